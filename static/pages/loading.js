/** Reads the list's pages as the reader comes to them, and what the feed does not send: counts, and
 * places in the queue. */

import { listJobs, readJob } from "./api.js";
import { FLAGS } from "./filters.js";

const PAGE = 100;
const FAR = 1000; // jobs a page when the reader jumps ahead; the server sends fewer if they are large
const AHEAD = 60; // rows read before the reader comes to them
const SEARCHED = 1000; // jobs looked through for a text that is too short for the server
const CHILDREN = 200;
const PAUSE = 2000; // ms between two counts, or after a failure

const NOTHING = { jobs: [], next: null, counts: {} }; // what filters find that the server refuses

const sum = (counts) => Object.values(counts).reduce((all, n) => all + n, 0);

export class Loader {
  counts = null; // by status and flag
  #filters;
  #entries;
  #on;
  #request = null; // the newest; answers to earlier ones are ignored
  #asked = new Set(); // pages and jobs that are being read again
  #resumeAt = 0; // after a failure
  #over = false;
  #counting = 0;
  #outdated = false;

  /** `on.jobs(jobs, page)`, `on.counts()`, `on.settled()`. */
  constructor(filters, entries, on) {
    this.#filters = filters;
    this.#entries = entries;
    this.#on = on;
  }

  get settled() {
    return !this.#request && this.#entries.next !== undefined;
  }

  /** Read the first page anew. The rows stay until it is here. */
  begin(delay = 0) {
    return this.#read({ limit: PAGE }, delay);
  }

  /** Read on if the rows up to `last` need it. */
  more(last) {
    const { next, read, order } = this.#entries;
    if (this.#over || this.#request || Date.now() < this.#resumeAt) return;
    if (next === undefined) this.#read({ limit: PAGE });
    if (!next || last + AHEAD < order.length) return;
    if (this.#filters.isShort && read >= SEARCHED) return;
    this.#read({ after: next, limit: last - order.length > 5 * PAGE ? FAR : PAGE });
  }

  async #read({ after, limit }, delay = 0) {
    const request = (this.#request = Symbol("request"));
    if (delay) await new Promise((resolve) => setTimeout(resolve, delay));
    if (this.#request !== request) return;
    const query = { ...this.#filters.query, limit, after };
    const page = await listJobs(query).catch((error) => (error.errors?.length ? NOTHING : null));
    if (this.#request !== request) return;
    this.#request = null;
    if (page) this.#take(page, after, limit);
    else this.#rest();
    this.#on.settled();
  }

  /** The server is away, which the stream's state shows. */
  #rest() {
    this.#resumeAt = Date.now() + PAUSE;
    setTimeout(() => this.#on.settled(), PAUSE);
  }

  stop() {
    this.#over = true;
  }

  #take({ jobs, next, counts }, after, limit) {
    const entries = this.#entries;
    if (after === undefined) this.#clear();
    entries.next = next;
    const page = entries.pages.push({ after, limit }) - 1;
    if (page === 0) this.#total(counts);
    this.#on.jobs(jobs, page);
  }

  #clear() {
    this.#entries.clear();
    this.#asked = new Set();
  }

  #total(counts) {
    const { status, flag } = this.#filters.chosen;
    if (!this.counts) this.counts = counts;
    this.#entries.total = status ? (counts[status] ?? 0) : sum(counts);
    if (flag) this.#entries.total = sum(counts);
  }

  /** Read again the jobs of rows that were let go. */
  refill(rows) {
    const asked = this.#asked; // another list has another set
    for (const { id, job, page } of rows) {
      const key = page ?? id;
      if (job || asked.has(key)) continue;
      asked.add(key);
      this.#again(page, id)
        .then((jobs) => asked === this.#asked && this.#on.jobs(jobs, page), () => {})
        .finally(() => asked.delete(key));
    }
  }

  async #again(page, id) {
    if (page === null) return [await readJob(id)];
    const { jobs } = await listJobs({ ...this.#filters.query, ...this.#entries.pages[page] });
    return jobs;
  }

  async children(id) {
    const { project } = this.#filters.scope;
    const { jobs } = await listJobs({ project, parent: id, limit: CHILDREN });
    return jobs;
  }

  /** The ids of the unfinished jobs that match, at most a thousand. */
  async unfinished() {
    const query = filled(this.#filters.query);
    const ids = [];
    let after = "";
    if (!["queued", "running", undefined].includes(query.status)) return ids;
    do {
      const page = await listJobs({ status: "queued,running", ...query, limit: FAR, after });
      ids.push(...page.jobs.filter((job) => job.completed_at === null).map((job) => job.id));
      after = page.next;
    } while (after && ids.length < FAR);
    return ids.slice(0, FAR);
  }

  /** Count soon, and at most every two seconds. */
  recount() {
    this.#outdated = true;
    this.#counting ||= setTimeout(() => this.#count(), 100);
  }

  async #count() {
    this.#outdated = false;
    const query = { ...this.#filters.query, status: "", flag: "" };
    // Without the server there are no counts. When it returns, the stream's state counts again.
    await this.#ask(query).catch(() => {});
    setTimeout(() => {
      this.#counting = 0;
      if (this.#outdated) this.recount();
    }, PAUSE);
  }

  async #ask(query) {
    const { jobs, counts } = await listJobs({ ...query, status: "queued", limit: PAGE });
    const open = counts.queued + counts.running;
    const flagged = Object.keys(FLAGS).map((flag) => (open ? countOf({ ...query, flag }) : 0));
    const [waiting, stalled] = await Promise.all(flagged);
    this.counts = { ...counts, all: sum(counts), waiting, stalled };
    const { status, flag } = this.#filters.chosen;
    this.#entries.total = this.counts[flag || status || "all"] ?? 0;
    this.#on.queue(jobs);
    this.#on.counts();
  }
}

const filled = (query) => Object.fromEntries(Object.entries(query).filter(([, value]) => value));
const countOf = (query) =>
  listJobs({ ...query, limit: 1 }).then(({ counts }) => sum(counts), () => 0);
