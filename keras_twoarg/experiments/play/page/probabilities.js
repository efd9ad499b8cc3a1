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
    Object.assign(this, { nameOf, list: card.querySelector(".probabilities"), said: card.querySelector(".said"), last: "" });
  }

  clear() {
    this.list.replaceChildren();
  }

  /**
   * Show probabilities; of more than 20 classes the first network's likeliest.
   *
   * @param all An array or null for each network.
   * @param names Names of the classes.
   * @param about {networks: their names, busy: whether something goes on that a screen reader is not told of, note: more to say}.
   */
  show(all, names, { networks, busy, note = "" }) {
    const classes = likeliest(all.find(Boolean), names.length);
    while (this.list.children.length < classes.length) this.list.append(emptyRow());
    while (this.list.children.length > classes.length) this.list.lastChild.remove();
    classes.forEach((k, place) => {
      const row = this.list.children[place];
      const [first, second] = [all[0]?.[k] ?? 0, all[1]?.[k] ?? 0];
      row.firstChild.textContent = row.firstChild.title = this.nameOf(names[k]);
      row.style.setProperty("--first", first);
      row.style.setProperty("--second", second);
      const values = all.filter(Boolean).map((p) => (100 * p[k]).toFixed(0));
      row.lastChild.textContent = values.length ? `${values.join(" / ")}\u202f%` : "";
      row.classList.toggle("top", Boolean(all[0]) && largest(all[0]) === k);
    });
    const answers = all.map((p) => p && `${this.nameOf(names[largest(p)])} (${percent(p[largest(p)], 0)})`);
    const lines = all.length > 1 ? answers.map((answer, k) => answer && legendLine(k, `${networks[k]}: ${answer}`)) : answers.map((answer) => answer && `The network says ${answer}.`);
    this.say([...lines.filter(Boolean), note], busy);
  }

  /** Write texts and elements below the list. */
  say(parts, busy = false) {
    const now = [busy, ...parts.map((part) => part.textContent ?? part)].join("\n");
    if (now === this.last) return;
    this.last = now;
    this.said.setAttribute("aria-live", busy ? "off" : "polite");
    this.said.replaceChildren(...parts);
  }
}

/** Return the classes to show, in order. */
function likeliest(probabilities, number) {
  const classes = Array.from({ length: number }, (_, k) => k);
  if (number <= 20) return classes;
  if (!probabilities) return [];
  return classes.sort((a, b) => probabilities[b] - probabilities[a]).slice(0, LIKELIEST);
}

/** Return what a network says behind the colour of its bars. */
function legendLine(k, text) {
  const line = Object.assign(document.createElement("span"), { className: "network" });
  line.append(Object.assign(document.createElement("i"), { className: k ? "swatch second" : "swatch" }), text);
  return line;
}

function emptyRow() {
  const row = document.createElement("li");
  const label = Object.assign(document.createElement("span"), { className: "name" });
  const bars = Object.assign(document.createElement("span"), { className: "bars" });
  bars.append(document.createElement("i"), document.createElement("i"));
  row.append(label, bars, Object.assign(document.createElement("span"), { className: "value" }));
  return row;
}
