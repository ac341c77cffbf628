/** The results and the item errors of a job: the newest first, older ones on request. */

import { readEntries } from "./api.js";
import { clock, number, removed, valueText } from "./format.js";
import * as ui from "./ui.js";

const FIRST = 50;
const MORE = 200;
const COLUMNS = 12;
const exact = new Intl.NumberFormat(undefined, { maximumSignificantDigits: 8 });
const SHORT = 120; // characters of a value that stay in one line

/** Entries of one kind: those that the job holds, and older ones from the server. */
class Entries {
  shown = FIRST;
  #id;
  #kind;
  #older = [];
  #live = [];

  constructor(id, kind) {
    this.#id = id;
    this.#kind = kind;
  }

  take(live) {
    this.#live = live;
    const first = live[0]?.n ?? 1;
    if (this.#older.length && this.#older.at(-1).n < first - 1) this.#older = []; // a gap
  }

  clear() {
    this.#older = [];
  }

  get #all() {
    const first = this.#live[0]?.n ?? Infinity;
    return [...this.#older.filter(({ n }) => n < first), ...this.#live];
  }

  /** Newest first. */
  get newest() {
    return this.#all.slice(-this.shown).reverse();
  }

  /** Whether there are more than those shown. */
  hasMore(total) {
    const all = this.#all;
    return all.length > this.shown || all.length < total;
  }

  async more(total) {
    this.shown += MORE;
    const all = this.#all;
    const missing = Math.min(total, this.shown) - all.length;
    if (missing <= 0) return;
    const end = (all[0]?.n ?? total + 1) - 1;
    const after = Math.max(0, end - missing);
    const page = await readEntries(this.#id, this.#kind, { after, limit: end - after });
    this.#older = [...page[this.#kind].filter(({ n }) => n <= end), ...this.#older];
  }
}

/** A list of entries with its button. `draw(newest)` fills it. */
export class Listed {
  #entries;
  #kind;
  #more;
  #cut;
  #draw;
  #job;

  constructor(id, kind, { more, cut }, draw, onError) {
    this.#entries = new Entries(id, kind);
    this.#kind = kind;
    this.#more = more;
    this.#cut = cut;
    this.#draw = draw;
    more.onclick = () => this.#showMore().catch(onError);
  }

  /** How many there are on the server. */
  get #total() {
    return this.#job[`${this.#kind}_total`] - this.#removed;
  }

  get #removed() {
    return this.#job.trimmed?.[this.#kind] ?? 0;
  }

  clear() {
    this.#entries.clear();
  }

  show(job) {
    this.#job = job;
    this.#entries.take(job[this.#kind]);
    this.#show();
  }

  #show() {
    this.#draw(this.#entries.newest);
    this.#more.hidden = !this.#entries.hasMore(this.#total);
    this.#cut.hidden = !this.#removed;
    if (this.#removed) ui.put(this.#cut, removed(this.#removed, this.#kind.slice(0, -1)));
  }

  async #showMore() {
    this.#more.disabled = true;
    try {
      await this.#entries.more(this.#total);
    } finally {
      this.#more.disabled = false;
    }
    this.#show();
  }
}

// Results

const keyOf = ({ n, at }) => `${n} ${at}`;
const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);

/** A value that has no names to be columns. */
const isFlat = (value) => !isObject(value) || !Object.keys(value).length;

/** Draw results as a table. Its columns are the names in the results that are objects. */
export function table(node) {
  const head = node.tHead.rows[0];
  const body = node.tBodies[0];
  let before = "";
  return (newest) => {
    const columns = columnsOf(newest);
    const key = JSON.stringify(columns);
    if (key !== before) {
      body.replaceChildren();
      body.nodes = new Map();
      const own = columns.names.map((name) => heading(name));
      head.replaceChildren(heading("#", "n"), ...own, heading("Time", "at"));
    }
    const isFirst = before === "";
    before = key;
    const create = (entry) => tableRow(entry, columns, !isFirst && entry.n > (node.last ?? Infinity));
    ui.keyed(body, newest, keyOf, create, () => {});
    node.last = newest[0]?.n;
  };
}

function columnsOf(entries) {
  const names = new Set();
  for (const { value } of entries.toReversed()) {
    if (isObject(value)) for (const name of Object.keys(value)) names.size < COLUMNS && names.add(name);
  }
  const fields = [...names];
  const isPlain = entries.some(({ value }) => isFlat(value));
  const isRich = entries.some(({ value }) => !isFlat(value) && rest(value, fields));
  const more = [isPlain && "Value", isRich && "More"].filter(Boolean);
  return { fields, isPlain, isRich, names: [...fields, ...more] };
}

const heading = (text, kind) => ui.element("th", text, { scope: "col", ...(kind && { class: kind }) });

function tableRow({ n, at, value }, { fields, isPlain, isRich }, arrives) {
  const row = ui.element("tr", undefined, arrives ? { class: "arriving" } : {});
  const flat = isFlat(value);
  row.append(ui.element("td", number.format(n), { class: "n" }));
  row.append(...fields.map((name) => cell(flat || !Object.hasOwn(value, name) ? undefined : value[name])));
  if (isPlain) row.append(cell(flat ? value : undefined));
  if (isRich) row.append(cell(flat ? undefined : rest(value, fields)));
  row.append(timeCell(at));
  return row;
}

function timeCell(at) {
  const td = ui.element("td", undefined, { class: "at" });
  const time = ui.element("time");
  ui.showTime(time, at, clock.format(new Date(at)));
  td.append(time);
  return td;
}

function rest(value, fields) {
  const more = Object.entries(value).filter(([name]) => !fields.includes(name));
  return more.length ? Object.fromEntries(more) : undefined;
}

function cell(value) {
  if (value === undefined) return ui.element("td");
  const isNumber = typeof value === "number";
  const text = isNumber ? exact.format(value) : valueText(value);
  const kind = isNumber ? "num" : typeof value === "string" ? "words" : "value";
  const td = ui.element("td", undefined, { class: kind });
  td.append(ui.element("span", text));
  if (isNumber) td.title = String(value);
  return td;
}

// Errors

export const list = (node) => (newest) => ui.keyed(node, newest, keyOf, makeError, () => {});

function makeError(entry) {
  const node = ui.make("entry");
  const { n, text, detail, at } = node.parts;
  ui.put(n, number.format(entry.n));
  ui.put(text, entry.item === null ? entry.message : `${valueText(entry.item)}: ${entry.message}`);
  ui.put(detail, entry.detail === null ? "" : compact(entry.detail));
  detail.hidden = entry.detail === null;
  ui.showTime(at, entry.at, clock.format(new Date(entry.at)));
  return node;
}

function compact(value) {
  const line = valueText(value);
  return line.length <= SHORT ? line : valueText(value, 2);
}
