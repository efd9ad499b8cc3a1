/** Return an element of the page by its id. */
export const byId = (id) => document.getElementById(id);
