/**
 * A long list of rows of one height, of which only those in the window are in the document. The
 * page itself scrolls: the list is as high as all its rows.
 */

import { eachFrame, keyed } from "./ui.js";

const SPARE = 8; // rows above and below the window

export class VirtualList {
  first = 0; // rows in the window
  last = 0;
  #list;
  #options;
  #height = 0;
  #above = 0; // rows above the window

  /** `options`: `length()`, `key(index)`, `make(index)`, `fill(node, index)`;
   * `kept()`: a row to draw wherever it is, or -1; `before()` and `after()` a drawing. */
  constructor(list, options) {
    this.#list = list;
    this.#options = options;
    this.draw = eachFrame(() => this.show());
    addEventListener("scroll", this.draw, { passive: true });
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

  show() {
    const { length, key, make, fill, before, after } = this.#options;
    before();
    const all = length();
    // Read once and before anything changes: a later read would make the browser lay out twice.
    const above = (this.#above = -this.#list.getBoundingClientRect().top / this.#height);
    this.first = Math.max(0, Math.min(all, Math.floor(above)));
    this.last = Math.min(all, Math.max(0, Math.ceil(above + innerHeight / this.#height)));
    this.#list.style.setProperty("height", `${all * this.#height}px`);
    const create = (index) => make(index);
    const update = (node, index) => {
      const top = index * this.#height;
      if (node.top !== top) node.style.setProperty("transform", `translateY(${(node.top = top)}px)`);
      fill(node, index);
    };
    keyed(this.#list, this.#indexes(all), key, create, update);
    after();
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
