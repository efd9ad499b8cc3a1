/** What the network makes of the held-out images: accuracy, verdict on the surface, confusion. */

export const percent = (share, digits = 1) => `${(100 * share).toFixed(digits)}\u202f%`;

const signed = (x) => (Number.isFinite(x) ? `${x < 0 ? "\u2212" : "+"}${Math.abs(x).toFixed(2)}` : "none");

/** Return the verdict on a surface, or on a curve, in words. */
export function verdictText({ score, r2, quadrupole, line, bend }) {
  if (Number.isFinite(line ?? NaN)) {
    return `straight line R\u00b2 ${line.toFixed(2)}; parabola R\u00b2 ${r2.toFixed(2)}, opening ${bend > 0 ? "upward" : "downward"}`;
  }
  if (!Number.isFinite(score ?? NaN)) return "flat or straight: no curvature, so no soft XOR";
  const shape = score > 0 ? "soft XOR" : "no soft XOR";
  const doubt = r2 < 0.5 ? "; a quadratic describes it poorly" : "";
  return `${shape} (score ${signed(score)}, quadratic R\u00b2 ${r2.toFixed(2)}${doubt}), quadrupole ${percent(quadrupole, 0)}`;
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
 * @param choose Called with the true and the predicted class of a cell that was clicked.
 */
export function showConfusion(table, confusion, names, choose) {
  if (table.rows.length !== names.length + 1) buildConfusion(table, names, choose);
  const totals = names.map((_, row) => names.reduce((sum, __, column) => sum + confusion[row * names.length + column], 0));
  names.forEach((name, row) => {
    names.forEach((other, column) => {
      const count = confusion[row * names.length + column];
      const cell = table.rows[row + 1].cells[column + 1];
      const share = totals[row] ? count / totals[row] : 0;
      if (cell.dataset.count === String(count)) return;
      cell.dataset.count = count;
      cell.textContent = count || "";
      cell.title = `${count} of ${totals[row]} images of ${name} taken for ${other}`;
      cell.style.setProperty("--share", row === column ? share : Math.min(1, count ? 0.2 + 3 * share : 0));
      cell.className = row === column ? "right" : count ? "wrong" : "";
    });
  });
}

function buildConfusion(table, names, choose) {
  table.replaceChildren();
  const short = (name) => (name.length > 3 ? `${name.slice(0, 3)}.` : name);
  const head = table.insertRow();
  head.append(header("", "col"), ...names.map((name) => header(short(name), "col", name)));
  names.forEach((name, row) => {
    const line = table.insertRow();
    line.append(header(short(name), "row", name));
    names.forEach((_, column) => {
      line.insertCell().addEventListener("click", () => choose(row, column));
    });
  });
}

function header(text, scope, title = "") {
  const cell = document.createElement("th");
  Object.assign(cell, { textContent: text, scope, title });
  return cell;
}
