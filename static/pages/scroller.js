/**
 * A list of any number of rows of any height, in a box that scrolls. Only rows near the box's window
 * are in the document.
 *
 * The scroll bar shows the place among all rows, as if each had the usual height. The rows in the
 * document follow one another with their own heights, from `#base` on. So the two drift apart while
 * somebody scrolls row by row, and `#settle` moves both together when the scrolling rests.
 */

import { element, eachFrame } from "./ui.js";

const ROW = 20; // px
const HIGHEST = 12_000_000; // px: browsers can't draw a higher box
const SPARE = 600; // px of rows above and below the window
const CHUNK = 16; // rows that are made before they are measured
const NEAR = 24; // px from the end that count as the end

export class Scroller {
  length = 0;
  following = true;
  #box;
  #space = element("div", undefined, { class: "space" });
  #rows = element("div", undefined, { class: "rows" });
  #make;
  #options;
  #first = 0; // index of the first row in the document
  #base = 0; // its place
  #top = 0; // the box's place
  #size = 0; // and its height
  #revealed = null; // the row to keep in its place, until the reader scrolls
  #draw = eachFrame(() => this.draw());

  /** `make(index)` makes a row. `drawn(from, to)` and `follow(following)` hear of changes. */
  constructor(box, make, options) {
    this.#box = box;
    this.#make = make;
    this.#options = options;
    this.#space.append(this.#rows);
    box.replaceChildren(this.#space);
    box.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    box.addEventListener("scrollend", () => this.#settle());
    new ResizeObserver(() => this.again()).observe(box);
  }

  get #height() {
    return Math.min(HIGHEST, this.length * ROW);
  }

  /** Pixels of the scroll bar for each row. */
  get #step() {
    return this.length ? this.#height / this.length : ROW;
  }

  get #count() {
    return this.#rows.childElementCount;
  }

  get #last() {
    return this.#first + this.#count; // the first row below
  }

  get #end() {
    return this.#base + this.#rows.offsetHeight;
  }

  /** The row at the window's top. */
  get current() {
    const isSeen = (row) => this.#base + row.offsetTop + row.offsetHeight > this.#top;
    const at = [...this.#rows.children].findIndex(isSeen);
    return at < 0 ? 0 : this.#first + at;
  }

  // What the owner does

  /** There are that many rows now; those that were there are the same. */
  grow(length) {
    if (length === this.length) return;
    this.length = length;
    if (this.following) this.toEnd();
    else this.draw();
  }

  /** All rows are others. */
  reset(length) {
    this.length = length;
    this.#rows.replaceChildren();
    this.#first = this.#base = 0;
    if (this.following) return this.toEnd();
    this.#scrollTo(0);
    this.draw();
  }

  /** Make rows in the document again, all or those that `which` names. What the reader sees stays. */
  renew(which = () => true) {
    if (!this.#isShown) return;
    const at = this.#revealed ?? this.current;
    const before = this.#placeOf(at);
    [...this.#rows.children].forEach((row, n) => {
      if (which(row)) row.replaceWith(this.#make(this.#first + n));
    });
    this.#moveRows(this.#base + before - this.#placeOf(at));
    if (this.following) this.toEnd();
    else this.draw();
  }

  /** The box is shown again, or has another size. */
  again() {
    if (!this.#isShown) return;
    this.#size = this.#box.clientHeight;
    if (this.following) return this.toEnd();
    if (this.#box.scrollTop !== this.#top) this.#box.scrollTop = this.#top;
    this.draw();
  }

  /** Stay where the reader is. */
  pause() {
    this.#follow(false);
  }

  toEnd() {
    this.#follow(true);
    if (!this.#isShown) return;
    if (!this.#count || this.length - this.#last > 200) this.#build(this.length);
    this.#fillDown(Infinity);
    this.#fitEnd();
    this.#scrollTo(this.#box.scrollHeight);
    this.draw();
  }

  reveal(index) {
    this.#follow(false);
    this.#revealed = index;
    if (!this.#isShown) return void (this.#top = index * this.#step);
    this.#build(index);
    this.#scrollTo(this.#placeOf(index) - this.#box.clientHeight / 3);
    this.draw();
  }

  // Scrolling

  get #isShown() {
    return this.#box.clientHeight > 0;
  }

  #scrolled() {
    if (!this.#isShown) return;
    if (this.#box.clientHeight !== this.#size) return this.again(); // the browser moved it, not the reader
    if (Math.abs(this.#box.scrollTop - this.#top) < 1) return; // it was moved from here
    this.#revealed = null;
    const up = this.#box.scrollTop < this.#top;
    this.#top = this.#box.scrollTop;
    const left = this.#space.offsetHeight - this.#top - this.#box.clientHeight;
    if (up && left > NEAR) this.#follow(false);
    else if (!up && left <= NEAR) this.#follow(true);
    this.#draw();
  }

  #follow(following) {
    if (this.following === following) return;
    this.following = following;
    this.#options.follow(following);
  }

  #scrollTo(top) {
    this.#box.scrollTop = top;
    this.#top = this.#box.scrollTop;
  }

  /** Move the rows and the window together, to where the scroll bar would have them. */
  #settle() {
    this.draw(); // the rows may still be those of the place before
    if (!this.#isShown || !this.#count || this.#last === this.length) return;
    const shift = (this.#first ? this.#first * this.#step : 0) - this.#base;
    if (Math.abs(shift) < 1) return;
    this.#moveRows(this.#base + shift);
    this.#scrollTo(this.#top + shift);
  }

  // Drawing

  draw() {
    if (!this.#isShown) return;
    const [low, high] = [this.#top - SPARE, this.#top + this.#box.clientHeight + SPARE];
    if (!this.#count || this.#base > high || this.#end < low) this.#jump();
    this.#fillDown(high);
    this.#fillUp(low);
    this.#trim(low - SPARE, high + SPARE);
    if (this.#base < 0 || (!this.#first && this.#base)) this.#settleTop();
    this.#fitEnd();
    this.#options.drawn(this.#first, this.#last);
  }

  #jump() {
    const left = this.#height - this.#top - this.#box.clientHeight;
    this.#build(left < 1 ? this.length : Math.floor(this.#top / this.#step));
    if (left < 1) this.#moveRows(this.#height - this.#rows.offsetHeight);
  }

  /** Draw the rows around an index in place of all others. */
  #build(index) {
    this.#first = Math.max(0, Math.min(index, this.length) - 40);
    this.#rows.replaceChildren(...this.#range(this.#first, Math.min(this.length, index + 60)));
    const at = Math.min(index, this.length) - this.#first;
    const above = this.#rows.children[at]?.offsetTop ?? this.#rows.offsetHeight;
    this.#moveRows(this.#first ? index * this.#step - above : 0);
    this.#fitEnd();
  }

  #range(from, to) {
    return Array.from({ length: Math.max(0, to - from) }, (_, n) => this.#make(from + n));
  }

  #fillDown(high) {
    const far = high === Infinity ? this.length : this.#last + 400;
    while (this.#last < Math.min(far, this.length) && (high === Infinity || this.#end < high)) {
      this.#rows.append(...this.#range(this.#last, Math.min(this.length, this.#last + CHUNK)));
    }
  }

  #fillUp(low) {
    while (this.#first > 0 && this.#base > low) {
      const before = this.#rows.offsetHeight;
      const from = Math.max(0, this.#first - CHUNK);
      this.#rows.prepend(...this.#range(from, this.#first));
      this.#first = from;
      this.#moveRows(this.#base - (this.#rows.offsetHeight - before));
    }
  }

  #trim(low, high) {
    const rows = [...this.#rows.children];
    const places = rows.map((row) => this.#base + row.offsetTop);
    const below = places.findIndex((place) => place > high);
    const above = places.findLastIndex((place) => place < low);
    if (below > 0) for (const row of rows.slice(below)) row.remove();
    if (above <= 0) return;
    for (const row of rows.slice(0, above)) row.remove();
    this.#first += above;
    this.#moveRows(places[above]);
  }

  /** The first row is the top of all; none may be above it. */
  #settleTop() {
    const shift = this.#first * this.#step - this.#base;
    this.#moveRows(this.#base + shift);
    this.#fitEnd();
    this.#scrollTo(this.#top + shift);
  }

  #fitEnd() {
    const height = this.#last === this.length ? this.#end : Math.max(this.#height, this.#end + ROW);
    if (this.#space.height === height) return;
    this.#space.height = height;
    this.#space.style.setProperty("height", `${height}px`);
  }

  #moveRows(base) {
    this.#base = base;
    this.#rows.style.setProperty("transform", `translateY(${base}px)`);
  }

  #placeOf(index) {
    return this.#base + (this.#rows.children[index - this.#first]?.offsetTop ?? 0);
  }
}
