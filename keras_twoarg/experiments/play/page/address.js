/** What one sees as text behind the address' #, so that a link restores it. */

/** Return numbers from -127 to 127 as short text: runs of zeros are counted, and the bytes are base64. */
export function packNumbers(numbers) {
  const bytes = [];
  for (let i = 0; i < numbers.length; i++) {
    if (numbers[i] !== 0) {
      bytes.push(numbers[i] + 128);
      continue;
    }
    let run = 1;
    while (run < 255 && i + run < numbers.length && numbers[i + run] === 0) run++;
    bytes.push(0, run);
    i += run - 1;
  }
  let binary = "";
  for (const byte of bytes) binary += String.fromCharCode(byte);
  return btoa(binary).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
}

/** Return the numbers that `packNumbers` made text of, or null if they are not so many. */
export function unpackNumbers(text, length) {
  let binary;
  try {
    binary = atob(text.replace(/-/g, "+").replace(/_/g, "/"));
  } catch {
    return null;
  }
  const numbers = [];
  for (let i = 0; i < binary.length && numbers.length <= length; i++) {
    const byte = binary.charCodeAt(i);
    if (byte) numbers.push(byte - 128);
    else for (let run = binary.charCodeAt(++i); run > 0; run--) numbers.push(0);
  }
  return numbers.length === length ? numbers : null;
}

/** Return how a painted table differs from what was painted on, as text. */
export function packPainting({ base, table }) {
  const change = table.values.map((value, k) => value - base[k]);
  const most = change.reduce((top, value) => Math.max(top, Math.abs(value)), 0);
  if (!most) return "";
  return `${most.toPrecision(4)}_${packNumbers(Array.from(change, (value) => Math.round((127 * value) / most)))}`;
}

/** Return a painted table from its text and what was painted on, or null where they do not fit. */
export function unpackPainting(text, base) {
  const cut = text.indexOf("_");
  const most = Number(text.slice(0, cut));
  const change = cut > 0 ? unpackNumbers(text.slice(cut + 1), base.length) : null;
  return change && Number.isFinite(most) ? base.map((value, k) => value + (most * change[k]) / 127) : null;
}

let timer = null;

/** Put entries behind the #, at most a few times a second. */
export function writeAddress(entriesOf) {
  clearTimeout(timer);
  timer = setTimeout(() => {
    const text = new URLSearchParams(entriesOf()).toString();
    history.replaceState(null, "", `#${text}`);
  }, 250);
}

/** Return what stands behind the #, by name. */
export function readAddress() {
  return new Map(new URLSearchParams(location.hash.slice(1)));
}
