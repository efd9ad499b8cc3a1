/** Colours: a diverging map from violet over white to orange that the colour-blind can tell apart, and the page's own. */

const STOPS = [
  [45, 0, 75],
  [84, 39, 136],
  [128, 115, 172],
  [178, 171, 210],
  [244, 243, 240],
  [253, 184, 99],
  [224, 130, 20],
  [179, 88, 6],
  [127, 59, 8],
];
const SHADES = 511;

/** The map as bytes, three for each shade. */
const DIVERGING = Uint8ClampedArray.from({ length: 3 * SHADES }, (_, k) => {
  const position = (Math.floor(k / 3) / (SHADES - 1)) * (STOPS.length - 1);
  const stop = Math.min(Math.floor(position), STOPS.length - 2);
  return STOPS[stop][k % 3] + (position - stop) * (STOPS[stop + 1][k % 3] - STOPS[stop][k % 3]);
});

/** Return the reach of the colours about a middle: of a flat phi, of which only rounding is left, it is 1. */
export function reachOf(span, centre) {
  return span > 1e-6 * Math.abs(centre) ? span : 1;
}

/** Return the place of a colour in the map, for a value between -1 and 1; what lies beyond has the outermost colour. */
export function shadeOf(value) {
  return 3 * Math.round(((Math.min(Math.max(value, -1), 1) + 1) / 2) * (SHADES - 1));
}

/** Put the colour of a value into an image's bytes. */
export function putColour(bytes, at, value) {
  const shade = shadeOf(value);
  bytes[at] = DIVERGING[shade];
  bytes[at + 1] = DIVERGING[shade + 1];
  bytes[at + 2] = DIVERGING[shade + 2];
  bytes[at + 3] = 255;
}

/** Return the colour of a value as CSS, darkened by a factor. */
export function colourOf(value, light = 1) {
  const shade = shadeOf(value);
  const part = (k) => Math.round(DIVERGING[shade + k] * light);
  return `rgb(${part(0)},${part(1)},${part(2)})`;
}

/** One colour and one shape for each layer's dots. */
export const LAYER_MARKS = [
  { colour: "#111111", shape: "circle" },
  { colour: "#0072b2", shape: "square" },
  { colour: "#007a53", shape: "triangle" },
  { colour: "#a3195b", shape: "diamond" },
];

/** Return one of the page's own colours, which follow the reader's choice of dark or light. */
export function pageColour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}
