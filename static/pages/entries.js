/**
 * The order of the list: what is known of each job, which pages were read, and what waits until the
 * reader lets it in. It touches no page and asks no server.
 *
 * An entry is `{ id, created_at, parent, job, page, seen, depth, leaving }`. `job` may be null: of a
 * long list only the jobs near the reader are kept, and `page` tells where to read the others again.
 */

import { newestFirst } from "../livejobs.js";

const KEPT = 3000; // whole jobs
const NEAR = 1000; // rows around the reader that keep theirs

const seq = ({ cursor }) => Number(cursor.slice(cursor.lastIndexOf(".") + 1));

export const isNewer = (a, b) => seq(a) > seq(b);

/** The place of an entry in a sorted list: its own, or the one to insert it at. */
function placeOf(sorted, entry) {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (newestFirst(sorted[middle], entry) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

export class Entries {
  order = []; // the entries as they are shown
  held = new Map(); // new ones that wait, by id
  pages = []; // the `after` of each page that was read
  next; // undefined: no page was read; null: there are no more
  total = 0; // of the jobs that match, as the server counted them
  holding = false; // rows keep their places
  grouped = false; // children are shown below their parents only
  expanded = new Set();

  #byId = new Map();
  #sorted = [];
  #families = new Map(); // the entries of each parent, known so far
  #whole = 0;
  #stale = false;
  #leaving = false;

  clear() {
    for (const list of [this.held, this.#byId, this.#families, this.expanded]) list.clear();
    Object.assign(this, { order: [], pages: [], next: undefined, total: 0 });
    this.#sorted = [];
    this.#whole = 0;
    this.#stale = true;
  }

  get(id) {
    return this.#byId.get(id) ?? this.held.get(id);
  }

  /** The place of a job among the rows, or -1. */
  indexOf(id) {
    const entry = id && this.get(id);
    return entry ? this.order.indexOf(entry) : -1;
  }

  /** Rows, with those that are not read yet. */
  get length() {
    return this.order.length + (this.next ? Math.max(0, this.total - this.#sorted.length) : 0);
  }

  get read() {
    return this.#sorted.length;
  }

  /** Take a job. `fits`: it belongs to the list. Return its entry, or null if it is of no interest. */
  take(job, { fits, page = null, below = false }) {
    const known = this.get(job.id);
    if (!fits) this.held.delete(job.id);
    if (known) return this.#renew(known, job, fits, page);
    if (below) return this.#add(job, page, { listed: false });
    if (!fits || (page === null && this.#isBeyond(job))) return null;
    if (page === null && this.holding && !this.#isHidden(job)) return this.#hold(job);
    return this.#add(job, page, { listed: true });
  }

  /** A job that a page still to be read will hold. */
  #isBeyond(job) {
    if (this.next === undefined) return true;
    const last = this.#sorted.at(-1);
    return Boolean(this.next && last && newestFirst(last, job) < 0);
  }

  #hold(job) {
    const entry = this.#make(job, null);
    this.held.set(job.id, entry);
    return this.#renew(entry, job, true, null);
  }

  #make({ id, created_at, parent }, page) {
    return { id, created_at, parent, job: null, page, seen: 0, depth: 0, leaving: false };
  }

  #add(job, page, { listed }) {
    const entry = this.#make(job, page);
    this.#enter(entry, listed);
    this.#renew(entry, job, true, page);
    return entry;
  }

  #enter(entry, listed) {
    this.#byId.set(entry.id, entry);
    if (entry.parent) {
      if (!this.#families.has(entry.parent)) this.#families.set(entry.parent, []);
      this.#families.get(entry.parent).push(entry);
    }
    entry.listed = listed;
    if (listed) this.#list(entry);
    this.#stale = true;
  }

  #list(entry) {
    entry.listed = true;
    this.#sorted.splice(placeOf(this.#sorted, entry), 0, entry);
    this.#stale = true;
  }

  #renew(entry, job, fits, page) {
    if (!entry.job) this.#whole++;
    entry.job = job;
    entry.page ??= page;
    if (!entry.listed && page !== null && !this.held.has(job.id)) this.#list(entry);
    if (entry.listed && fits === entry.leaving) this.#leave(entry, !fits);
    return entry;
  }

  #leave(entry, leaving) {
    entry.leaving = leaving;
    this.#leaving ||= leaving;
    this.#stale ||= !this.holding;
  }

  /** Forget a deleted job. */
  drop(id) {
    this.held.delete(id);
    const entry = this.#byId.get(id);
    if (!entry) return;
    if (!entry.listed) this.#forget(entry);
    else this.#leave(entry, true);
  }

  #forget(entry) {
    this.#byId.delete(entry.id);
    if (entry.job) this.#whole--;
    const family = this.#families.get(entry.parent);
    if (family) family.splice(family.indexOf(entry), 1);
    this.#stale = true;
  }

  /** Let in what waits, and let go what left. */
  release() {
    for (const entry of this.held.values()) this.#enter(entry, true);
    this.held.clear();
    this.#stale = true;
  }

  expand(id, open) {
    this.expanded[open ? "add" : "delete"](id);
    this.#stale = true;
  }

  /** Put the rows in order again, if something changed. Return whether they changed. */
  arrange() {
    if (!this.#stale) return false;
    this.#stale = false;
    if (this.#leaving && !this.holding) this.#letGo();
    this.order = [];
    for (const entry of this.#sorted) if (!this.#isHidden(entry)) this.#show(entry, 0);
    return true;
  }

  #letGo() {
    this.#leaving = false;
    for (const entry of this.#sorted) if (entry.leaving) this.#forget(entry);
    this.#sorted = this.#sorted.filter((entry) => !entry.leaving);
  }

  /** Below its parent, a job is not shown again. A parent is older, so there can be no circle. */
  #isHidden(entry) {
    const parent = entry.parent && this.#byId.get(entry.parent);
    if (!parent || newestFirst(entry, parent) > 0) return false;
    return this.grouped ? parent.listed : this.expanded.has(parent.id);
  }

  #show(entry, depth) {
    entry.depth = depth;
    this.order.push(entry);
    if (!this.expanded.has(entry.id)) return;
    const children = (this.#families.get(entry.id) ?? []).filter((it) => newestFirst(it, entry) < 0);
    for (const child of children.sort(newestFirst).reverse()) this.#show(child, depth + 1);
  }

  /** Keep whole jobs near the rows `from` to `to` only, if they have become too many. */
  trim(from, to) {
    if (this.#whole <= KEPT) return;
    const near = new Set(this.order.slice(Math.max(0, from - NEAR), to + NEAR));
    for (const entry of this.#sorted) {
      if (near.has(entry) || !entry.job || entry.page === null) continue;
      entry.job = null;
      this.#whole--;
    }
  }
}
