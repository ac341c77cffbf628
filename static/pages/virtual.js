/**
 * A long list of rows of one height, of which only those in the window are in the document. The
 * page itself scrolls: the list is as high as all its rows.
 *
 * While it scrolls, rows that leave the window become those that come. A changed text costs the
 * browser far less than a new row, and less than another order: the order follows when the
 * scrolling rests.
 */

import { eachFrame, keyed } from "./ui.js";

const SPARE = 8; // rows above and below the window
const REST = 150; // ms without a scroll event

export class VirtualList {
  first = 0; // rows in the window
  last = 0;
  #list;
  #options;
  #height = 0;
  #above = 0; // rows above the window
  #scrolling = 0; // timer, until it rests
  #moved = new Set(); // rows that are not in order

  /** `options`: `length()`, `key(index)`, `make(index)`, `fill(node, index)`; `reuse(node, index)`
   * makes another row of a row, and returns whether it could; `kept()`: a row to draw wherever it is, or -1; `before()` and `after()` a drawing. */
  constructor(list, options) {
    this.#list = list;
    this.#options = options;
    this.draw = eachFrame(() => this.show());
    addEventListener("scroll", () => this.#scrolled(), { passive: true });
    addEventListener("resize", () => (this.#measure(), this.draw()));
    this.#measure();
  }

  #measure() {
    this.#height = parseFloat(getComputedStyle(this.#list).getPropertyValue("--row")) || 46;
  }

  get #top() {
    return this.#list.getBoundingClientRect().top + scrollY;
  }

  /** Whether the list's beginning was in the window at the last drawing. */
  get isAtTop() {
    return this.#above < 1;
  }

  #scrolled() {
    clearTimeout(this.#scrolling);
    this.#scrolling = setTimeout(() => {
      this.#scrolling = 0;
      this.draw();
    }, REST);
    this.draw();
  }

  show() {
    const { length, fill, before, after } = this.#options;
    before();
    const all = length();
    // Read once and before anything changes: a later read would make the browser lay out twice.
    const above = (this.#above = -this.#list.getBoundingClientRect().top / this.#height);
    this.first = Math.max(0, Math.min(all, Math.floor(above)));
    this.last = Math.min(all, Math.max(0, Math.ceil(above + innerHeight / this.#height)));
    this.#list.style.setProperty("height", `${all * this.#height}px`);
    const update = (node, index) => {
      const top = index * this.#height;
      if (node.top !== top) node.style.setProperty("transform", `translateY(${(node.top = top)}px)`);
      fill(node, index);
    };
    if (this.#scrolling) this.#recycle(this.#indexes(all), update);
    else this.#order(this.#indexes(all), update);
    after();
  }

  #order(indexes, update) {
    const { key, make } = this.#options;
    const { activeElement: active } = document;
    for (const node of this.#moved) node.remove(); // they move, and the others stay
    this.#moved.clear();
    this.#list.classList.remove("moving");
    keyed(this.#list, indexes, key, make, update);
    if (document.activeElement !== active && this.#list.contains(active)) active.focus({ preventScroll: true });
  }

  #recycle(indexes, update) {
    const { key, make, reuse } = this.#options;
    const nodes = (this.#list.nodes ??= new Map());
    const wanted = new Map(indexes.map((index) => [key(index), index]));
    const spare = [...nodes.keys()].filter((id) => !wanted.has(id));
    this.#list.classList.add("moving");
    for (const [id, index] of wanted) {
      if (!nodes.has(id)) {
        const at = spare.findIndex((old) => reuse(nodes.get(old), index));
        const [old] = at < 0 ? [] : spare.splice(at, 1);
        const node = nodes.get(old) ?? this.#list.appendChild(make(index));
        nodes.delete(old);
        nodes.set(id, node);
        this.#moved.add(node);
      }
      update(nodes.get(id), index);
    }
    for (const id of spare) this.#drop(id);
  }

  #drop(id) {
    const { nodes } = this.#list;
    this.#moved.delete(nodes.get(id));
    nodes.get(id).remove();
    nodes.delete(id);
  }

  /** The rows to draw. The one with the focus stays, so that the keyboard does not lose its place. */
  #indexes(all) {
    const from = Math.max(0, this.first - SPARE);
    const to = Math.min(all, this.last + SPARE);
    const indexes = Array.from({ length: Math.max(0, to - from) }, (_, n) => from + n);
    const held = this.#options.kept();
    if (held >= 0 && held < from) indexes.unshift(held);
    if (held >= to && held < all) indexes.push(held);
    return indexes;
  }

  /** Scroll so that a row is wholly in the window. */
  reveal(index, margin = 96) {
    const top = this.#top + index * this.#height;
    if (top - margin < scrollY) scrollTo(0, top - margin);
    else if (top + this.#height + margin > scrollY + innerHeight) {
      scrollTo(0, top + this.#height + margin - innerHeight);
    }
    this.show();
  }

  /** Keep what the reader sees in its place, after rows above it came or went. */
  shift(rows) {
    if (rows) scrollBy(0, rows * this.#height);
  }
}
