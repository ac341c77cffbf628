/** Elements: copies of templates, text, lists that follow their items, and small drawings. */

import { markOf, percentOf } from "./describe.js";
import { dateAndTime } from "./format.js";
import { harmless } from "./text.js";

/** A copy of a template. `parts` holds its `data-part` elements by name. */
export function make(template) {
  const node = document.getElementById(template).content.firstElementChild.cloneNode(true);
  node.parts = partsOf(node);
  return node;
}

const partsOf = (node) =>
  Object.fromEntries([...node.querySelectorAll("[data-part]")].map((el) => [el.dataset.part, el]));

export function element(tag, text, attributes = {}) {
  const node = document.createElement(tag);
  if (text !== undefined) put(node, text);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return node;
}

/** Set a node's text, never markup. The node keeps it: reading it from the document is slower. */
export function put(node, text) {
  if (node.lastText === text) return;
  node.lastText = text;
  node.textContent = harmless(text);
}

/** Set an attribute if it differs; null removes it. */
export function attribute(node, name, value) {
  if (value === null) node.removeAttribute(name);
  else if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value);
}

/** Make the children of `parent` follow `items`: `create` makes a node once, `update` fills it. */
export function keyed(parent, items, key, create, update) {
  const before = parent.nodes ?? new Map();
  const nodes = (parent.nodes = new Map(items.map((item) => [key(item), null])));
  for (const [id, node] of before) if (!nodes.has(id)) node.remove();
  let at = parent.firstElementChild;
  for (const item of items) {
    const node = before.get(key(item)) ?? create(item);
    nodes.set(key(item), node);
    update(node, item);
    if (node === at) at = at.nextElementSibling;
    else parent.insertBefore(node, at);
  }
}

/** Fill a description list with pairs of name and text. Return whether any pair has a text. */
export function facts(list, pairs) {
  const filled = pairs.filter(([, text]) => text !== null && text !== undefined && text !== "");
  const create = ([name]) => {
    const pair = element("div");
    pair.append(element("dt", name), element("dd"));
    return pair;
  };
  keyed(list, filled, ([name]) => name, create, (pair, [, text]) => put(pair.lastChild, text));
  return filled.length > 0;
}

export function showGlyph(glyph, job) {
  attribute(glyph, "data-status", markOf(job));
  attribute(glyph.children[1], "stroke-dasharray", `${percentOf(job) ?? 25} 100`);
}

export function showBar(fill, percent, running) {
  const known = percent !== null;
  attribute(fill, "class", running && !known ? "unknown" : null);
  fill.style.setProperty("transform", `scaleX(${(percent ?? 0) / 100})`);
}

export function showTime(node, time, text) {
  if (node.dateTime !== time) {
    node.dateTime = time;
    node.title = dateAndTime.format(new Date(time));
  }
  put(node, text);
}

/** Return a function that requests `draw`, which then runs at most once a frame. */
export function eachFrame(draw) {
  let asked = false;
  return () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      draw();
    });
  };
}

export async function copy(button, text) {
  try {
    await navigator.clipboard.writeText(text);
    put(button, "Copied");
  } catch {
    // The browser forbids it, so the text is selected: one key copies it.
    getSelection().selectAllChildren(button.previousElementSibling);
    put(button, "Selected");
  }
  setTimeout(() => put(button, "Copy"), 1600);
}
