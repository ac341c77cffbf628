/** The sign of a state: its shape, and its word for screen readers. */

import { attribute } from "../../pages/ui.js";

const SVG = "http://www.w3.org/2000/svg";
const RING = { cx: 8, cy: 8, r: 6.25 };
const SHAPES = [
  ["circle", { class: "disc", ...RING }],
  ["circle", { class: "arc", ...RING, pathLength: 100, transform: "rotate(-90 8 8)" }],
  ["path", { class: "tick", d: "m5.3 8.2 1.9 1.9 3.6-4" }],
  ["path", { class: "cross", d: "m5.9 5.9 4.2 4.2m0-4.2-4.2 4.2" }],
  ["path", { class: "dash", d: "M5.3 8h5.4" }],
  ["path", { class: "ask", d: "M6.3 6.2a1.75 1.75 0 1 1 2.5 1.7c-.5.25-.8.6-.8 1.1m0 2.3v.01" }],
];
const ARROW = [["path", { d: "M8 2.5v7.75m-3-2.9 3 3 3-3M2.75 13.25h10.5" }]];

function drawing(shapes, attributes) {
  const svg = document.createElementNS(SVG, "svg");
  for (const [tag, more] of shapes) {
    const shape = svg.appendChild(document.createElementNS(SVG, tag));
    for (const [name, value] of Object.entries(more)) shape.setAttribute(name, value);
  }
  for (const [name, value] of Object.entries(attributes)) svg.setAttribute(name, value);
  return svg;
}

const box = { viewBox: "0 0 16 16" };
const glyph = { ...box, class: "glyph", part: "glyph", role: "img" };
export const makeGlyph = () => drawing(SHAPES, glyph);
export const makeArrow = () => drawing(ARROW, { ...box, class: "arrow", "aria-hidden": "true" });

export function showGlyph(glyph, kind, percent, word) {
  attribute(glyph, "data-kind", kind);
  attribute(glyph, "aria-label", word);
  attribute(glyph.children[1], "stroke-dasharray", `${percent ?? 25} 100`);
}
