/** Return an element of the page by its id. */
export const byId = (id) => document.getElementById(id);

/** Tell the reader, at the top of the page, that something does not work. */
export function tellTrouble(text) {
  byId("trouble").hidden = false;
  byId("trouble").textContent = text;
}

/** Keep the time at which something first happened, for measurements. */
export function markFirst(name) {
  if (!performance.getEntriesByName(name).length) performance.mark(name);
}
