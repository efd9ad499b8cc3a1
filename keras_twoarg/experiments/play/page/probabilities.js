/** What the networks say: a bar for each class, or for the likeliest ones, of one network or two. */

import { largest } from "./network.js";
import { percent } from "./results.js";

const LIKELIEST = 8;

export class Probabilities {
  /**
   * @param card The card that holds the list and the sentence below it.
   * @param nameOf Returns how a class is called in the list, from its name.
   */
  constructor(card, nameOf = (name) => name) {
    Object.assign(this, { nameOf, list: card.querySelector(".probabilities"), said: card.querySelector(".said") });
  }

  clear() {
    this.list.replaceChildren();
  }

  /** Show probabilities, an array or null for each network; of more than 20 classes the first network's likeliest. */
  show(all, names) {
    const classes = likeliest(all[0], names.length);
    while (this.list.children.length < classes.length) this.list.append(emptyRow());
    while (this.list.children.length > classes.length) this.list.lastChild.remove();
    classes.forEach((k, place) => {
      const row = this.list.children[place];
      const [first, second] = [all[0]?.[k] ?? 0, all[1]?.[k] ?? 0];
      row.firstChild.textContent = row.firstChild.title = this.nameOf(names[k]);
      row.style.setProperty("--first", first);
      row.style.setProperty("--second", second);
      row.lastChild.textContent = all[0] ? percent(first, 0) : "";
      row.classList.toggle("top", Boolean(all[0]) && largest(all[0]) === k);
    });
    const said = all.filter(Boolean).map((p) => `${this.nameOf(names[largest(p)])} (${percent(p[largest(p)], 0)})`);
    this.said.textContent = said.length ? `The network says ${said.join(" and ")}.` : "";
  }
}

/** Return the classes to show, in order. */
function likeliest(probabilities, number) {
  const classes = Array.from({ length: number }, (_, k) => k);
  if (number <= 20) return classes;
  if (!probabilities) return [];
  return classes.sort((a, b) => probabilities[b] - probabilities[a]).slice(0, LIKELIEST);
}

function emptyRow() {
  const row = document.createElement("li");
  const label = Object.assign(document.createElement("span"), { className: "name" });
  const bars = Object.assign(document.createElement("span"), { className: "bars" });
  bars.append(document.createElement("i"), document.createElement("i"));
  row.append(label, bars, Object.assign(document.createElement("span"), { className: "value" }));
  return row;
}
