/**
 * The lines of a log. `Lines` is the whole log, of which the pages near the reader are here.
 * `Matches` is what a filter lets through. Both have a `length`, `at(index)` and `indexOf(n)`.
 */

import { harmless } from "./text.js";

const SIZE = 500; // lines of a page
const MOST = 40; // pages
const HEAVY = 16_000_000; // characters of all pages
const SETTLED = 60; // ms at one place before its pages are asked for
const AGAIN = 3000; // ms after a failure
const AT_ONCE = 2;

export class Lines {
  length = 0;
  removed = 0; // the number of the last line that the server keeps no more
  #base = 0; // the same when the first line was shown, so that rows keep their places
  #pages = new Map(); // by number, the one used longest ago first: { lines, size }
  #wanted = [];
  #asked = new Set();
  #timer = 0;
  #read;
  #changed;
  #failed;

  /** `read(query)` asks the server; `changed()` when lines arrived; `failed(error)`. */
  constructor(read, changed, failed) {
    this.#read = read;
    this.#changed = changed;
    this.#failed = failed;
  }

  clear() {
    this.length = 0;
    this.#pages.clear();
  }

  /** The server has removed the lines up to this number. */
  cut(removed) {
    this.removed = removed;
    if (!this.length) this.#base = removed;
  }

  at(index) {
    const place = index + this.#base;
    return this.#pages.get(Math.floor(place / SIZE))?.lines[place % SIZE];
  }

  indexOf = (n) => Math.max(0, n - 1 - this.#base);
  isRemoved = (index) => index + this.#base < this.removed;

  /** Keep lines that arrived. */
  take(lines) {
    for (const line of lines) {
      const page = this.#page(Math.floor((line.n - 1) / SIZE));
      const at = (line.n - 1) % SIZE;
      page.size += line.message.length - (page.lines[at]?.message.length ?? 0);
      page.lines[at] = line;
      this.length = Math.max(this.length, line.n - this.#base);
    }
    this.#trim();
  }

  #page(p) {
    if (!this.#pages.has(p)) this.#pages.set(p, { lines: [], size: 0 });
    return this.#pages.get(p);
  }

  #trim() {
    const kept = new Set(this.#wanted);
    let size = 0;
    for (const page of this.#pages.values()) size += page.size;
    for (const [p, page] of this.#pages) {
      if (this.#pages.size <= MOST && size <= HEAVY) return;
      if (kept.has(p)) continue;
      this.#pages.delete(p);
      size -= page.size;
    }
  }

  /** The reader is at these lines. */
  want(from, to) {
    const first = Math.floor((from + this.#base) / SIZE);
    const last = Math.floor((Math.max(from, to - 1) + this.#base) / SIZE);
    this.#wanted = Array.from({ length: last - first + 1 }, (_, n) => first + n);
    for (const p of this.#wanted) this.#touch(p);
    clearTimeout(this.#timer);
    if (this.#wanted.some((p) => this.#missing(p) >= 0)) this.#timer = setTimeout(() => this.#ask(), SETTLED);
  }

  #touch(p) {
    const page = this.#pages.get(p);
    if (page) this.#pages.delete(p), this.#pages.set(p, page);
  }

  /** The index of the first line of a page that is not here, or -1. */
  #missing(p) {
    const page = this.#pages.get(p)?.lines ?? [];
    const end = Math.min(SIZE, this.#base + this.length - p * SIZE);
    for (let at = Math.max(0, this.removed - p * SIZE); at < end; at++) if (!page[at]) return p * SIZE + at;
    return -1;
  }

  #ask() {
    for (const p of this.#wanted) {
      if (this.#asked.size >= AT_ONCE) return;
      if (!this.#asked.has(p) && this.#missing(p) >= 0) this.#load(p);
    }
  }

  async #load(p) {
    const after = this.#missing(p);
    this.#asked.add(p);
    try {
      const { logs } = await this.#read({ after, limit: (p + 1) * SIZE - after });
      if (this.length) this.take(logs);
    } catch (error) {
      this.#failed(error);
      await new Promise((done) => setTimeout(done, AGAIN));
    }
    this.#asked.delete(p);
    this.#changed();
    this.#ask();
  }
}

const PAGE = 1000;
const FOUND = 20_000;
const LEVELS = { debug: 0, info: 1, warning: 2, error: 3 };

export class Matches {
  lines = [];
  seen = 0; // number of the last line that was looked at
  done = false;
  #filter;
  #read;
  #changed;
  #stopped = false;
  #live = [];

  /** `filter`: the least `level`, and `words` that a line must contain. */
  constructor(filter, read, changed) {
    this.#filter = { ...filter, words: filter.words.toLowerCase() };
    this.#read = read;
    this.#changed = changed;
  }

  get length() {
    return this.lines.length;
  }

  get full() {
    return this.lines.length >= FOUND;
  }

  at = (index) => this.lines[index];
  want() {}

  indexOf(n) {
    return this.lines.findIndex((line) => line.n >= n);
  }

  stop() {
    this.#stopped = true;
  }

  /** Read the log from its beginning. `total`: lines that there are now. */
  async scan(total) {
    const { level } = this.#filter;
    for (let after = this.seen; after !== null && !this.full; ) {
      const page = await this.#read({ after, level, limit: PAGE });
      if (this.#stopped) return;
      for (const line of page.logs) this.#add(line);
      after = page.next === null ? null : Number(page.next);
      this.seen = after ?? Math.max(this.seen, total);
      this.#changed();
    }
    this.done = true;
    this.take(this.#live);
    this.#changed();
  }

  /** New lines of the job. */
  take(lines) {
    this.#live = lines;
    if (!this.done) return;
    const least = LEVELS[this.#filter.level || "debug"];
    for (const line of lines) if (line.n > this.seen && LEVELS[line.level] >= least) this.#add(line);
  }

  #add(line) {
    this.seen = Math.max(this.seen, line.n);
    if (this.full) return;
    const { words } = this.#filter;
    const text = () => `${line.source ?? ""} ${harmless(line.message)}`.toLowerCase();
    if (!words || text().includes(words)) this.lines.push(line);
  }
}
