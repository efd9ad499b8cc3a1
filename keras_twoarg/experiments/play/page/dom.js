/** Return an element of the page by its id. */
export const byId = (id) => document.getElementById(id);

/** Keep the time at which something first happened, for measurements. */
export function markFirst(name) {
  if (!performance.getEntriesByName(name).length) performance.mark(name);
}
