/** What the list shows: read from the page's address, and written to it, so that it can be shared. */

import { STATUSES } from "./describe.js";
import { listOf } from "./layout.js";

const SCOPE = ["project", "parent"]; // what the page watches: another scope is another page
const FILTERS = ["status", "flag", "type", "tag", "q"];
export const FLAGS = { waiting: "Waiting", stalled: "Stalled" };
const LEAST = 3; // letters that the server searches for
const MOST = 200;

const pick = (query, names) =>
  Object.fromEntries(names.map((name) => [name, query.get(name) ?? ""]));

export class Filters {
  constructor(query) {
    this.scope = { ...pick(query, SCOPE), project: query.get("project") || "default" };
    this.read(query);
  }

  read(query) {
    const chosen = (this.chosen = pick(query, FILTERS));
    if (!Object.hasOwn(STATUSES, chosen.status)) chosen.status = "";
    if (!Object.hasOwn(FLAGS, chosen.flag)) chosen.flag = "";
    this.range = query.get("range") ?? "";
  }

  get any() {
    return Object.values(this.chosen).some(Boolean);
  }

  get address() {
    return listOf({ ...this.scope, ...this.chosen, range: this.range });
  }

  /** The list's parameters. Fewer letters than the server searches for are looked for here alone. */
  get query() {
    const { q } = this.chosen;
    return { ...this.scope, ...this.chosen, q: q.length < LEAST ? "" : q.slice(0, MOST) };
  }

  get isShort() {
    return this.chosen.q.length > 0 && this.chosen.q.length < LEAST;
  }

  /** Change filters and the address. Typing replaces the address, a choice can be taken back. */
  choose(chosen, { typed = false } = {}) {
    Object.assign(this.chosen, chosen);
    history[typed ? "replaceState" : "pushState"](null, "", this.address);
  }

  chooseRange(range) {
    this.range = range;
    history.replaceState(null, "", this.address);
  }

  matches(job) {
    const { status, flag, type, tag, q } = this.chosen;
    if ((status && job.status !== status) || (type && job.type !== type)) return false;
    if ((flag && !job[flag]) || (tag && !job.tags.includes(tag))) return false;
    return !q || `${job.id}\n${job.title ?? ""}`.toLowerCase().includes(q.toLowerCase());
  }
}
