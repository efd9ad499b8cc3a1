/** What the network makes of the held-out images: accuracy, verdict on the surface, confusion. */

export const percent = (share, digits = 1) => `${(100 * share).toFixed(digits)}\u202f%`;

const signed = (x) => (Number.isFinite(x) ? `${x < 0 ? "\u2212" : "+"}${Math.abs(x).toFixed(2)}` : "none");

/** Return the verdict on a surface, or on a curve, in words. */
export function verdictText({ score, r2, quadrupole, line, bend, determined = true }) {
  if (!determined) return "open: the arguments within [\u22125, 5] are too few, or fall on a line or conic";
  if (line !== undefined) return curveText({ line, r2, bend });
  if (!Number.isFinite(score ?? NaN)) return "flat or straight: no curvature, so no soft XOR";
  const shape = score > 0 ? "soft XOR" : "no soft XOR";
  const doubt = r2 < 0.5 ? "; a quadratic describes it poorly" : "";
  return `${shape} (score ${signed(score)}, quadratic R\u00b2 ${r2.toFixed(2)}${doubt}), quadrupole ${percent(quadrupole, 0)}`;
}

function curveText({ line, r2, bend }) {
  if (!Number.isFinite(line ?? NaN)) return "flat";
  const [straight, bent] = [line.toFixed(2), r2.toFixed(2)];
  const opening = straight === bent ? "" : `, opening ${bend > 0 ? "upward" : "downward"}`;
  return `straight line R\u00b2 ${straight}; parabola R\u00b2 ${bent}${opening}`;
}

/** Return what share of the arguments the lines, the colours and the verdict leave out, in words. */
export function outsideText(share) {
  return share < 0.0005 ? "" : `; ${percent(share)} of the arguments lie outside [\u22125, 5] and do not count here`;
}

/** Write how many samples are right, of a text also the bits a character, and how far that is from the trained phi's. */
export function showAccuracy(element, { accuracy, bits, predictions }, reference, text) {
  const number = predictions.length;
  element.querySelector("[data-part=share]").textContent = percent(accuracy);
  const difference = Math.round((accuracy - reference.accuracy) * number);
  const beside =
    difference === 0 ? "as the trained phi" : `${difference > 0 ? "+" : "\u2212"}${Math.abs(difference)} against the trained phi`;
  const what = `of ${number.toLocaleString("en")} held-out ${text ? "characters" : "images"} right`;
  const surprise = text ? `; ${bits.toFixed(2)} bits a character (${signed(bits - reference.bits)})` : "";
  element.querySelector("[data-part=beside]").textContent = `${what}; ${beside}${surprise}`;
}

/**
 * Show which class is taken for which.
 *
 * @param table An empty table, or one of an earlier call.
 * @param confusion Counts, a row for each true class.
 * @param names Names of the classes.
 * @param choose Called with the true and the predicted class of a cell that was chosen.
 */
export function showConfusion(table, confusion, names, choose) {
  if (table.dataset.names !== String(names)) buildConfusion(table, names, choose);
  const totals = names.map((_, row) => names.reduce((sum, __, column) => sum + confusion[row * names.length + column], 0));
  names.forEach((name, row) => {
    names.forEach((other, column) => {
      const count = confusion[row * names.length + column];
      const cell = table.rows[row + 1].cells[column + 1];
      const share = totals[row] ? count / totals[row] : 0;
      const title = `${count} of ${totals[row]} images of ${name} taken for ${other}`;
      if (cell.title === title) return;
      cell.title = title;
      Object.assign(cell.firstChild, { textContent: count, hidden: !count });
      cell.firstChild.setAttribute("aria-label", title);
      cell.style.setProperty("--share", row === column ? share : Math.min(1, count ? 0.2 + 3 * share : 0));
      cell.className = row === column ? "right" : count ? "wrong" : "";
    });
  });
}

function buildConfusion(table, names, choose) {
  table.replaceChildren();
  table.dataset.names = names;
  const short = (name) => (name.length > 3 ? `${name.slice(0, 3)}.` : name);
  const head = table.insertRow();
  head.append(header("", "col"), ...names.map((name) => header(short(name), "col", name)));
  names.forEach((name, row) => {
    const line = table.insertRow();
    line.append(header(short(name), "row", name));
    names.forEach((_, column) => {
      const button = Object.assign(document.createElement("button"), { type: "button", hidden: true });
      button.addEventListener("click", () => choose(row, column));
      line.insertCell().append(button);
    });
  });
}

function header(text, scope, title = "") {
  const cell = document.createElement("th");
  Object.assign(cell, { textContent: text, scope, title });
  return cell;
}
