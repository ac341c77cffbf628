/**
 * The browser client of livejobs. This module imports nothing and touches no page.
 *
 *   import { watchJob } from "/static/livejobs.js";
 *   const watch = watchJob("teaser", { change: (job) => console.log(job.progress.percent) });
 *   watch.close();
 */

/** The server's root address: the parent of `static/`, wherever the app is mounted. */
export const BASE = new URL("../", import.meta.url);

// ---- The reducer -------------------------------------------------------------------------------

/** How many entries of each list a job keeps here. The server has all of them, in pages. */
export const KEPT = { results: 1000, errors: 1000, logs: 2000 };

/** The job after a delta: `set` is assigned, `append` extends. The given job does not change. */
export function apply(job, { set = {}, append = {} }) {
  const next = { ...job, ...set };
  for (const [list, entries] of Object.entries(append)) {
    next[list] = [...(next[list] ?? []), ...entries].slice(-KEPT[list]);
  }
  return next;
}

/** The number in a cursor: its position in the project's order. */
const seq = (cursor) => Number(cursor.slice(cursor.lastIndexOf(".") + 1));

/** The order of every list. All times have one format, so they sort as text. */
export const newestFirst = (a, b) => {
  if (a.created_at !== b.created_at) return a.created_at < b.created_at ? 1 : -1;
  return a.id < b.id ? 1 : -1;
};

/** The jobs of a feed by id. At ten percent above `MOST`, the oldest are removed down to `MOST`. */
export class Jobs extends Map {
  static MOST = 5000;

  /** Take a whole job, from the feed or a list. Return false if a newer state is known already. */
  take(job) {
    const known = this.get(job.id);
    if (known && seq(known.cursor) >= seq(job.cursor)) return false;
    this.set(job.id, job);
    if (this.size > Jobs.MOST * 1.1) this.#removeOldest();
    return true;
  }

  /** Take a delta. For an unknown job it holds every field, unless the job was removed before. */
  change({ job: id, cursor, set }) {
    const known = this.get(id);
    if (known ? seq(cursor) <= seq(known.cursor) : !("id" in set)) return false;
    return this.take(apply(known, { set: { ...set, cursor } }));
  }

  #removeOldest() {
    const oldest = [...this.values()].sort(newestFirst).slice(Jobs.MOST);
    for (const job of oldest) this.delete(job.id);
  }
}

// ---- The credential ----------------------------------------------------------------------------

/**
 * The tab's credential. The token may be part of an address; the key is sent in headers only, and
 * gets the next token when one expires. With an open server there is neither.
 */
export const credential = {
  get token() {
    return sessionStorage.getItem("livejobs_token");
  },

  get key() {
    return sessionStorage.getItem("livejobs_key");
  },

  /** Move `?token=` from the page's address into the tab: people copy and share addresses. */
  fromAddress() {
    const url = new URL(location.href);
    const token = url.searchParams.get("token");
    if (!token) return;
    sessionStorage.setItem("livejobs_token", token);
    sessionStorage.removeItem("livejobs_key");
    url.searchParams.delete("token");
    history.replaceState(history.state, "", url);
  },

  get headers() {
    const bearer = this.key ?? this.token;
    return bearer ? { authorization: `Bearer ${bearer}` } : {};
  },

  /** Exchange a key for a new token. Return whether the server issued one. */
  async renew(key = this.key) {
    if (!key) return false;
    const headers = { authorization: `Bearer ${key}`, "content-type": "application/json" };
    const answer = await fetch(address("v1/tokens"), { method: "POST", headers, body: "{}" });
    if (!answer.ok) return false;
    sessionStorage.setItem("livejobs_token", (await answer.json()).token);
    sessionStorage.setItem("livejobs_key", key);
    return true;
  },
};

// ---- The connection ----------------------------------------------------------------------------

const OPS = ["snapshot", "delta", "ready", "reset", "gone", "end", "ping", "bye"];
const SILENCE = 40_000; // ms without any event; the server pings every 15 s
const FIRST_RETRY = 1_000; // ms, the longest wait before the first retry
const LAST_RETRY = 30_000; // ms, the longest wait before any retry

/** Statuses that a retry does not change, and the state that follows from each. */
const FINAL = new Map([
  [204, "ended"],
  [400, "refused"],
  [401, "denied"],
  [403, "denied"],
  [404, "missing"],
  [422, "refused"],
]);

/**
 * A stream that reconnects: each new EventSource resumes at the last cursor. The browser's own
 * reconnect does not suffice: it stops at any status but 200, does not notice a connection that
 * died silently, and has no jitter, so all clients return at the same moment.
 *
 * `handlers` has a function for each event to handle. `onState` receives the state: connecting,
 * live, reconnecting or paused; and finally ended, missing, denied, refused or closed.
 */
export class Stream {
  state = "paused";
  cursor = null; // of the last event that was handled

  #url;
  #handlers;
  #onState;
  #source = null;
  #timer = 0; // the silence timeout of a connection, or the wait for the next one
  #failures = 0;

  constructor(url, handlers, onState = () => {}) {
    this.#url = url;
    this.#handlers = handlers;
    this.#onState = onState;
    this.resume();
  }

  get over() {
    return this.state === "closed" || [...FINAL.values()].includes(this.state);
  }

  close() {
    this.#finish("closed");
  }

  /** Close the connection until `resume`. All tabs of a browser share six connections a server. */
  pause() {
    if (!this.over) this.#finish("paused");
  }

  /** Connect now, unless connected. */
  resume() {
    if (this.over || this.#source) return;
    this.#drop();
    this.#become(this.#failures ? "reconnecting" : "connecting");
    const url = new URL(this.#url);
    if (this.cursor) url.searchParams.set("since", this.cursor);
    if (credential.token) url.searchParams.set("token", credential.token);
    const source = (this.#source = new EventSource(url));
    for (const op of OPS) source.addEventListener(op, (event) => this.#take(op, event));
    source.onopen = () => this.#become("live");
    source.onerror = () => this.#lost(url, source.readyState === EventSource.CLOSED);
    this.#watch();
  }

  #take(op, event) {
    this.#watch();
    if (op === "bye") return this.#retry();
    this.#failures = 0;
    this.#handlers[op]?.(JSON.parse(event.data));
    if (event.lastEventId) this.cursor = event.lastEventId;
    if (op === "end") this.#finish("ended");
  }

  #watch() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#retry(), SILENCE);
  }

  /** An EventSource does not show the status of a refusal, so a HEAD request asks for it. */
  async #lost(url, refused) {
    const source = this.#source;
    if (refused) {
      const status = await fetch(url, { method: "HEAD" }).then((answer) => answer.status, () => 0);
      if (this.#source !== source) return;
      if (status === 401 && (await credential.renew().catch(() => false))) return this.#retry();
      if (FINAL.has(status)) return this.#finish(FINAL.get(status));
    }
    this.#retry();
  }

  /** Back off with full jitter: clients that were cut together must not return together. */
  #retry() {
    this.#drop();
    const most = Math.min(LAST_RETRY, FIRST_RETRY * 2 ** this.#failures++);
    this.#timer = setTimeout(() => this.resume(), Math.random() * most);
    this.#become("reconnecting");
  }

  #finish(state) {
    this.#drop();
    this.#become(state);
  }

  #drop() {
    clearTimeout(this.#timer);
    this.#source?.close();
    this.#source = null;
  }

  #become(state) {
    if (this.state === state) return;
    this.state = state;
    this.#onState(state);
  }
}

/** The address of a path on the server. Empty query values are left out. */
export function address(path, query = {}) {
  const url = new URL(path, BASE);
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== null && value !== "") url.searchParams.set(name, value);
  }
  return url;
}

export const jobPath = (id) => `v1/jobs/${encodeURIComponent(id)}`;

/**
 * Watch one job. `change(job, delta)` receives the current job and its last change; `delta` is null
 * when the whole job is new. `gone()`: the job was deleted. `state(name)`: see Stream. `query`
 * holds the stream's parameters, such as `{ logs: 1, tail: 500 }`.
 */
export function watchJob(id, { change, gone, state }, query = {}) {
  let job = null;
  const handlers = {
    snapshot: (whole) => change((job = whole), null),
    delta: (delta) => change((job = apply(job, delta)), delta),
    gone,
  };
  return new Stream(address(`${jobPath(id)}/events`, { ...query, view: "delta" }), handlers, state);
}

/**
 * Watch the jobs that match a filter, or matched it until they changed. Returns the stream and its
 * `Jobs`; the caller may add jobs from lists to them. `change(job)`: a job is new or has changed.
 * `gone(id)`: a job was deleted. `ready()`: the first jobs are complete. `reset()`: all jobs were
 * dropped and follow again.
 */
export function watchFeed(filter, { change, gone, ready, reset, state }) {
  const jobs = new Jobs();
  const handlers = {
    snapshot: (job) => jobs.take(job) && change(job),
    delta: (delta) => jobs.change(delta) && change(jobs.get(delta.job)),
    gone: ({ job }) => jobs.delete(job) && gone?.(job),
    ready,
    reset: () => {
      jobs.clear();
      reset?.();
    },
  };
  const stream = new Stream(address("v1/events", { ...filter, view: "delta" }), handlers, state);
  return { jobs, stream };
}

/** The server's JSON, or an Error with the detail of its problem, and its `errors`. */
async function ask(url, options = {}) {
  const headers = { ...credential.headers, ...options.headers };
  const answer = await fetch(url, { ...options, headers });
  const body = await answer.json().catch(() => ({}));
  if (answer.ok) return body;
  const error = new Error(body.detail ?? `The server answered ${answer.status}.`);
  throw Object.assign(error, { errors: body.errors ?? [] });
}

export const listJobs = (query) => ask(address("v1/jobs", query));
export const readLogs = (id, query) => ask(address(`${jobPath(id)}/logs`, query));
export const cancelJob = (id, query = {}) =>
  ask(address(`${jobPath(id)}/cancel`, query), { method: "POST" });
/** Answer question `n`, which the job waits for. */
export const answerJob = (id, n, value) =>
  ask(address(`${jobPath(id)}/answer`), {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ n, value }),
  });

// ---- Text of workers ---------------------------------------------------------------------------

// What a terminal obeys: CSI, OSC and the like, and two-character sequences.
const ANSI =
  // eslint-disable-next-line no-control-regex
  /(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[PX^_][^\x1b]*(?:\x1b\\)?|\x1b[ -/]*[0-~]/g;
// Control characters, and those that reorder the text around them. Tabs and line breaks are text.
const UNSEEN = /[\0-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]/g;

/** A worker's text, safe to show: no terminal colours, and nothing that can disguise other text. */
export function harmless(text) {
  let plain = String(text).replace(ANSI, "");
  if (plain.includes("\r")) plain = plain.split("\n").map(overwritten).join("\n");
  return plain.replace(UNSEEN, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/** What a line shows after its writer returned to the beginning: the part written last. */
const overwritten = (line) => line.split("\r").findLast(Boolean) ?? "";
