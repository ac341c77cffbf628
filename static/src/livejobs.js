/**
 * The browser client of livejobs. This module imports nothing and touches no page.
 *
 *   import { watch } from "/static/livejobs.js";
 *   const it = watch("teaser", { onChange: (job) => console.log(job.progress.percent) });
 *   it.stop();
 *
 * How it connects:
 * - Watches of the same rights form a group. One tab of the group, the leader, holds the connection;
 *   Web Locks elect it, and a BroadcastChannel carries its events to the other tabs. Where a browser
 *   has neither (plain http on a foreign host), each tab connects by itself.
 * - Every tab keeps the state of what it watches. So the next leader resumes where the last one was.
 * - One subscription goes over SSE. Several go over one WebSocket, as an SSE stream carries only one.
 *   Where a proxy blocks or buffers one of them, the other is used; where it does so to both, polling.
 * - SSE is read with fetch: it sends the token in a header and sees the status, and EventSource does
 *   neither.
 * - Watches with `view: "head"` share feeds of up to 100 jobs. So a page can show thousands of jobs.
 */

/** The server's root address: the parent of `static/`, or else the root of the page's origin. */
export const BASE = /\/static\/livejobs\.js$/.test(new URL(import.meta.url).pathname)
  ? new URL("../", import.meta.url)
  : new URL("/", globalThis.location?.href ?? "http://localhost");

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

const dot = (cursor) => cursor.lastIndexOf(".");
/** The number in a cursor: its position in the project's order. */
const seq = (cursor) => Number(cursor.slice(dot(cursor) + 1));
const sameEpoch = (a, b) => a.slice(0, dot(a)) === b.slice(0, dot(b));
const finished = (job) => /succ|fail|canc/.test(job.status);

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

// ---- What is watched ---------------------------------------------------------------------------

const OVER = new Set(["ended", "gone", "missing", "denied", "refused"]);
/** Statuses of the server that a retry does not change. */
const FINAL = { 204: "ended", 400: "refused", 403: "denied", 404: "missing", 422: "refused" };

/** One job or filter, with its state, for all watches of this tab. `tabs` are others that want it. */
class Topic {
  state = "connecting";
  detail = "";
  cursor = null; // resume from here
  job = null;
  ready = false;
  alone = false; // of a head: no feed has it
  batch = null;
  connection = null;
  tag = null; // of the last poll
  watches = new Set();
  tabs = new Set();

  constructor(group, key) {
    this.group = group;
    this.key = key;
    this.spec = JSON.parse(key);
    this.jobs = this.spec.feed ? new Jobs() : null;
  }

  get over() {
    return OVER.has(this.state);
  }

  get used() {
    return this.tabs.size > 0 || [...this.watches].some((watch) => watch.active);
  }

  become(state, detail = "") {
    if (this.over || (this.state === state && this.detail === detail)) return;
    this.group.relay({ op: "become", key: this.key, state, detail });
    Object.assign(this, { state, detail });
    for (const watch of this.watches) watch.become(state, detail);
  }

  /** Take an event of the server, or of the leader. */
  take(op, data, cursor) {
    this.group.relay({ op: "event", key: this.key, event: [op, data, cursor] });
    if (op === "snapshot") this.#snapshot(data);
    if (op === "delta") this.#delta(data);
    if (op === "reset") this.#reset();
    if (op === "ready") this.#ready();
    if (op === "gone" && this.jobs?.delete(data.job)) this.tell("onGone", data.job);
    if (cursor) this.cursor = cursor;
    if (op === "gone" && !this.jobs) this.become("gone");
    if (op === "end") this.become("ended");
  }

  tell(name, ...news) {
    for (const watch of this.watches) watch.tell(name, ...news);
  }

  #snapshot(job) {
    if (this.jobs ? !this.jobs.take(job) : this.#knowsMore(job.cursor)) return;
    if (!this.jobs) this.job = job;
    this.tell("onChange", job, null);
  }

  #delta(delta) {
    if (this.jobs) {
      if (this.jobs.change(delta)) this.tell("onChange", this.jobs.get(delta.job), delta);
      return;
    }
    const { set, append = {}, cursor } = delta;
    if (this.job ? this.#knowsMore(cursor) : !("id" in set)) return;
    // Polling may have read lines that are newer than the job; they come again.
    const isNew = (list) => (entry) => !(entry.n <= this.job?.[list]?.at(-1)?.n);
    const lists = Object.entries(append).map(([list, all]) => [list, all.filter(isNew(list))]);
    const fresh = { ...delta, append: Object.fromEntries(lists) };
    this.job = apply(this.job ?? {}, fresh);
    this.tell("onChange", this.job, fresh);
  }

  #knowsMore(cursor) {
    const known = this.job?.cursor;
    return known && sameEpoch(known, cursor) && seq(known) > seq(cursor);
  }

  #ready() {
    this.ready = true;
    this.tell("onReady");
  }

  #reset() {
    this.jobs?.clear();
    this.job = this.cursor = this.tag = null;
    this.ready = false;
    this.tell("onReset");
  }

  /** All that another tab needs to continue. */
  get whole() {
    const { state, detail, cursor, job, ready, jobs } = this;
    return { state, detail, cursor, job, ready, jobs: jobs && [...jobs.values()] };
  }

  isNewer(whole) {
    if (!whole?.cursor) return false;
    return !this.cursor || (sameEpoch(whole.cursor, this.cursor) && seq(whole.cursor) > seq(this.cursor));
  }

  /** Take over the state of another tab. */
  load({ state, detail, cursor, job, ready, jobs }) {
    if (this.cursor && cursor && !sameEpoch(cursor, this.cursor)) this.#reset();
    for (const one of jobs ?? (job && job.cursor !== this.job?.cursor ? [job] : [])) this.#snapshot(one);
    if (ready && !this.ready) this.#ready();
    this.cursor = cursor ?? this.cursor;
    this.become(state, detail);
  }
}

/** A feed for many topics that need only heads. A job that the feed lacks is then watched alone. */
class Batch {
  cursor = null;
  connection = null;

  constructor(group, topics) {
    this.group = group;
    this.topics = new Map(topics.map((topic) => [topic.spec.job, topic]));
    this.spec = { feed: { jobs: [...this.topics.keys()] }, limit: topics.length };
    for (const topic of topics) topic.batch = this;
  }

  get over() {
    return [...this.topics.values()].every((topic) => topic.over || !topic.used);
  }

  become(state, detail) {
    for (const topic of this.topics.values()) {
      if (state !== "live" || topic.job) topic.become(state, detail);
    }
  }

  take(op, data, cursor) {
    if (cursor) this.cursor = cursor;
    if (op === "reset") for (const topic of this.topics.values()) topic.take(op, data);
    if (op === "ready") return this.#release();
    const topic = this.topics.get(data.job ?? data.id);
    topic?.take(op, data);
    if (topic?.job) topic.become("live");
    if (topic?.job && finished(topic.job)) topic.take("end", {}, topic.job.cursor);
  }

  #release() {
    for (const topic of this.topics.values()) {
      if (topic.job || topic.over) continue;
      Object.assign(topic, { alone: true, batch: null });
      this.topics.delete(topic.spec.job);
    }
    this.group.arrange();
  }
}

// ---- Connections -------------------------------------------------------------------------------

const MUTE = 5_000; // ms until a new connection must have sent something
const SILENCE = 40_000; // ms without anything; the server pings every 15 s
const FIRST_RETRY = 1_000; // ms, the longest wait before the first retry
const LAST_RETRY = 30_000; // ms, the longest wait before any retry
const BLOCKED = 300_000; // ms until a blocked way is tried again
const HOLD = 25; // seconds that the server holds a poll
const PAUSE = 2_000; // ms between polls of several subscriptions

const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

/** Reconnects with full jitter: clients that were cut together must not return together. */
class Connection {
  subs = new Set();
  heardAt = Date.now();
  #failures = 0;
  #abort = null; // of the attempt that runs
  #timer = 0;
  #proven = false; // something was received in this attempt

  constructor(group) {
    this.group = group;
  }

  get isOpen() {
    return this.#abort !== null;
  }

  add(sub) {
    this.subs.add(sub);
    sub.connection = this;
    if (this.isOpen) this.begin?.(sub);
    else if (this.subs.size === 1) this.start();
  }

  remove(sub) {
    this.subs.delete(sub);
    sub.connection = null;
    if (!sub.over) sub.state = "connecting";
    if (!this.subs.size) this.stop();
    else if (!sub.over) this.finish?.(sub);
  }

  start() {
    this.stop();
    if (!this.subs.size) return;
    const { signal } = (this.#abort = new AbortController());
    this.#proven = false;
    this.heardAt = Date.now();
    if (this.way !== "poll") this.#timer = setTimeout(() => this.fail({ mute: true }), MUTE);
    this.open(signal).catch(() => signal.aborted || this.fail());
  }

  stop() {
    clearTimeout(this.#timer);
    this.#abort?.abort();
    this.#abort = null;
  }

  /** Something came, for `sub` if it is given. */
  hear(sub) {
    this.heardAt = Date.now();
    clearTimeout(this.#timer);
    this.#proven = true;
    if (!sub) return;
    this.#failures = this.group.refusals = 0;
    sub.become("live");
  }

  /** `sure`: the server itself refused. Else a proxy may stand between. */
  async fail({ mute, sure, wait = 0 } = {}) {
    const mayBeBlocked = this.way !== "poll" && !this.#proven && !sure;
    this.stop();
    for (const sub of this.subs) sub.become("reconnecting");
    const delay = Math.random() * Math.min(LAST_RETRY, FIRST_RETRY * 2 ** this.#failures++);
    const timer = (this.#timer = setTimeout(() => this.start(), Math.max(wait, delay)));
    if (!mayBeBlocked || !(mute || this.#failures > 1)) return;
    const answers = await this.group.answers();
    if (answers && this.#timer === timer && this.subs.size) this.group.block(this.way);
  }

  /** Handle an answer that is not the wanted one. */
  async refuse(sub, answer) {
    const ours = /problem\+json/.test(answer.headers.get("content-type")) || answer.status === 204;
    if (ours && answer.status === 401) return this.group.unauthorized();
    if (!ours || !FINAL[answer.status]) {
      const wait = 1000 * (Number(answer.headers.get("retry-after")) || 0);
      return this.fail({ sure: ours, mute: answer.ok, wait });
    }
    const { detail } = answer.status === 204 ? {} : await answer.json().catch(() => ({}));
    sub.become(answer.status === 404 && sub.job ? "gone" : FINAL[answer.status], detail);
    this.group.arrange();
  }

  /** The watchdog: a dead connection sends nothing, and after a sleep nothing came for long. */
  check(now) {
    if (this.isOpen && Math.abs(now - this.heardAt) > SILENCE) this.start();
  }

  /** The network is back, or a new token is here. */
  hurry() {
    if (!this.isOpen && this.subs.size) this.start();
  }
}

const query = (fields) => {
  const pairs = Object.entries(fields).filter(([, value]) => value !== undefined && value !== null);
  return pairs.length ? `?${new URLSearchParams(pairs)}` : "";
};
const jobPath = (id) => `v1/jobs/${encodeURIComponent(id)}`;

class Stream extends Connection {
  way = "sse";
  static MOST = 1;

  async open(signal) {
    const [sub] = this.subs;
    const { job, feed, logs, tail, rate, limit } = sub.spec;
    const path = job === undefined ? "v1/events" : `${jobPath(job)}/events`;
    const options = { ...feed, limit, tail, rate, logs: logs && 1, view: "delta", since: sub.cursor };
    const accept = "text/event-stream";
    const answer = await this.group.fetch(path + query(options), signal, { accept });
    const type = answer.headers.get("content-type") ?? "";
    if (answer.status !== 200 || !type.startsWith(accept)) return this.refuse(sub, answer);
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (signal.aborted) return;
      if (done) return this.fail();
      this.hear(sub); // the first bytes come at once, even where no event does
      let from = Math.max(0, text.length - 1);
      text += value;
      for (let end; (end = text.indexOf("\n\n", from)) >= 0; from = 0) {
        if (!this.#event(sub, text.slice(0, end))) return;
        text = text.slice(end + 2);
      }
    }
  }

  /** Return whether to read on. */
  #event(sub, block) {
    const { event, data, id } = Object.fromEntries(
      block.split("\n").map((line) => line.split(/: ?(.*)/s)),
    );
    if (event === "bye") this.fail({ sure: true });
    else if (data && event !== "ping") sub.take(event, JSON.parse(data), id);
    if (sub.over) this.group.arrange();
    return this.isOpen;
  }

  /** A stream ends with its token, so it begins again with the next one. */
  renewed() {
    this.start();
  }
}

class Socket extends Connection {
  way = "ws";
  static MOST = 100;
  #socket;
  #ids = new Map();
  #last = 0;

  async open(signal) {
    const address = this.group.address("v1/ws").href.replace("http", "ws");
    const socket = (this.#socket = new WebSocket(address, "livejobs.v1"));
    signal.addEventListener("abort", () => socket.close());
    this.#ids.clear();
    socket.onopen = () => {
      if (this.group.token) this.renewed();
      for (const sub of this.subs) this.begin(sub);
    };
    socket.onmessage = ({ data }) => signal.aborted || this.#take(JSON.parse(data));
    socket.onclose = ({ code }) => {
      if (signal.aborted) return;
      if (code === 4401) this.group.unauthorized();
      else this.fail({ sure: code > 4400, wait: code === 4429 ? LAST_RETRY / 2 : 0 });
    };
  }

  #send(message) {
    if (this.#socket.readyState === 1) this.#socket.send(JSON.stringify(message));
  }

  renewed() {
    this.#send({ op: "auth", token: this.group.token });
  }

  begin(sub) {
    const id = ++this.#last;
    this.#ids.set(id, sub);
    const { job, feed, logs, tail, rate, limit } = sub.spec;
    this.#send({ op: "subscribe", id, job, feed, logs, tail, rate, limit, since: sub.cursor });
  }

  finish(sub) {
    for (const [id, other] of this.#ids) if (other === sub) this.#forget(id);
  }

  #forget(id) {
    this.#ids.delete(id);
    this.#send({ op: "unsubscribe", id });
  }

  #take({ op, id, ...data }) {
    const sub = this.#ids.get(id);
    this.hear(op === "error" ? null : sub);
    if (op === "error") return this.#refused(sub, data);
    if (!sub || op === "ack") return;
    const isSnapshot = op === "snapshot";
    // In a feed only `ready` and changes move the cursor: a cut before `ready` begins again.
    const cursor = isSnapshot && !sub.spec.feed ? data.job.cursor : data.cursor;
    sub.take(op, isSnapshot ? data.job : data, cursor);
    if (!sub.over) return;
    this.#ids.delete(id);
    this.group.arrange();
  }

  #refused(sub, { code, detail }) {
    if (/unauth|cred|expired/.test(code)) return this.group.unauthorized();
    if (!sub) return;
    if (/many|rate|unavail|start/.test(code)) return this.fail({ sure: true, wait: FIRST_RETRY * 5 });
    if (/found/.test(code)) sub.become(sub.job ? "gone" : "missing", detail);
    else sub.become(/forbid|scope|foreign/.test(code) ? "denied" : "refused", detail);
    this.group.arrange();
  }
}

/** Polls where nothing else passes: one job is held by the server, several are asked in turn. */
class Poll extends Connection {
  way = "poll";
  static MOST = Infinity;

  async open(signal) {
    while (!signal.aborted) {
      const alone = this.subs.size === 1;
      for (const sub of [...this.subs]) {
        if (sub.jobs) await this.#feed(sub, signal);
        const topics = sub.topics?.values() ?? (sub.jobs ? [] : [sub]);
        for (const topic of topics) if (!topic.over) await this.#job(topic, signal, alone);
      }
      const [first] = this.subs;
      await sleep(alone && first?.job ? PAUSE / 10 : PAUSE);
    }
  }

  /** The answer's JSON; undefined if there is nothing to handle. */
  async #get(topic, path, signal, headers) {
    const answer = await this.group.fetch(path, signal, headers);
    if (answer.status !== 304 && answer.status !== 200) {
      await this.refuse(topic, answer);
      return undefined;
    }
    this.hear(topic);
    const body = answer.status === 200 ? await answer.json() : undefined;
    if (signal.aborted) return undefined;
    topic.tag = answer.headers.get("etag") ?? topic.tag;
    return body;
  }

  async #job(topic, signal, alone) {
    const { job: id, logs, tail = 100 } = topic.spec;
    const headers = topic.tag && { "if-none-match": topic.tag, prefer: `wait=${alone ? HOLD : 0}` };
    const job = await this.#get(topic, jobPath(id), signal, headers);
    if (!job) return;
    if (topic.job && !sameEpoch(topic.job.cursor, job.cursor)) topic.take("reset", {});
    let lines = [];
    for (let page; logs && page?.next !== null; lines = lines.concat(page.logs)) {
      const after = (lines.at(-1) ?? topic.job?.logs?.at(-1))?.n;
      const range = after || topic.job ? { after: after ?? 0, limit: 1000 } : { tail };
      page = await (await this.group.fetch(`${jobPath(id)}/logs${query(range)}`, signal)).json();
    }
    topic.take("delta", { job: id, cursor: job.cursor, set: job, append: { logs: lines } }, job.cursor);
    if (finished(job)) topic.take("end", {}, job.cursor);
    if (topic.over) this.group.arrange();
  }

  async #feed(topic, signal) {
    const pages = await this.#pages(topic, signal);
    if (!pages) return;
    const jobs = pages.flatMap((page) => page.jobs);
    const cursors = jobs.map((job) => job.cursor).sort((a, b) => seq(a) - seq(b));
    const last = cursors.at(-1);
    if (last && topic.cursor && !sameEpoch(last, topic.cursor)) topic.take("reset", {});
    for (const job of jobs) topic.take("snapshot", job);
    const listed = new Set(jobs.map((job) => job.id));
    const whole = pages.every((page) => !page.next);
    // The list is complete, so these were deleted, or no longer match.
    const left = whole ? [...topic.jobs.values()].filter((job) => !listed.has(job.id)) : [];
    for (const { id } of left) {
      const answer = await this.group.fetch(jobPath(id), signal);
      if (answer.status === 404) topic.take("gone", { job: id });
      if (answer.ok) topic.take("snapshot", await answer.json());
    }
    if (!topic.ready || last) topic.take(topic.ready ? "" : "ready", {}, last);
  }

  /** A list takes one type and one tag, so there is a request for each pair. */
  async #pages(topic, signal) {
    const { feed, limit } = topic.spec;
    const each = (names = "") => names.match(/[^,]+/g) ?? [undefined];
    const pages = [];
    for (const type of each(feed.type)) {
      for (const tag of each(feed.tag)) {
        const page = await this.#get(topic, "v1/jobs" + query({ ...feed, type, tag, limit }), signal);
        if (!page) return undefined;
        pages.push(page);
      }
    }
    return pages;
  }
}

const WAYS = { sse: Stream, ws: Socket, poll: Poll };
const STREAMS = 3; // where WebSockets are blocked: a browser has six connections for a host

// ---- The group: all tabs with the same rights --------------------------------------------------

/** What a token allows. Tokens that differ only in their times are one credential. */
function rights(token) {
  try {
    const text = atob(token.split(".")[1].replace(/-/g, "+").replace(/_/g, "/"));
    const { iat, exp, nbf, jti, ...claims } = JSON.parse(text);
    const from = iat ?? Date.now() / 1000;
    return { claims: JSON.stringify(claims), from, lasts: exp - from };
  } catch {
    return { claims: String(token ?? "") };
  }
}

let tab; // this tab's name
let away = false; // frozen, or in the cache of visited pages

class Group {
  topics = new Map();
  refusals = 0;
  leads = false;
  #batches = [];
  #blocked = {}; // until when
  #leave = null; // an AbortController while this tab takes part
  #channel = null;
  #asked = new Set(); // keys that the leader knows this tab wants
  #others = new Set(); // tabs whose end the leader waits for
  #timers = {};
  #renewing = null;
  #onToken = null;
  #waiting = false;

  constructor(name, base, token) {
    Object.assign(this, { name, base, token });
  }

  address(path) {
    return new URL(path, this.base);
  }

  fetch(path, signal, headers) {
    const authorization = this.token && { authorization: `Bearer ${this.token}` };
    const options = { signal, cache: "no-store", headers: { ...headers, ...authorization } };
    return fetch(this.address(path), options);
  }

  topic(key) {
    if (!this.topics.has(key)) this.topics.set(key, new Topic(this, key));
    return this.topics.get(key);
  }

  /** Soon, and once for all changes of the same moment: follow what the watches want. */
  update() {
    if (this.#waiting) return;
    this.#waiting = true;
    queueMicrotask(() => {
      this.#waiting = false;
      this.#follow();
      for (const [key, topic] of this.topics) {
        if (!topic.watches.size && !topic.tabs.size) this.topics.delete(key);
      }
    });
  }

  #follow() {
    if (away || ![...this.topics.values()].some((topic) => topic.used)) return this.#part();
    if (!this.#leave) this.#join();
    this.#want();
    this.arrange();
  }

  // Tabs

  async #join() {
    const { signal } = (this.#leave = new AbortController());
    const { locks } = globalThis.navigator ?? {};
    if (!locks || !globalThis.BroadcastChannel) return this.#lead();
    tab ??= crypto.getRandomValues(new Uint32Array(3)).join("");
    const held = new Promise((done) => signal.addEventListener("abort", done));
    const hold = (name, then) =>
      locks
        .request(`${this.name} ${name}`, { signal }, () => (then(), held))
        .catch(() => signal.aborted || this.#lead()); // forbidden in a sandboxed frame
    // The leader notices the end of a tab by this lock.
    await new Promise((done) => hold(tab, done));
    if (signal.aborted) return;
    this.#channel = new BroadcastChannel(this.name);
    this.#channel.onmessage = ({ data }) => this.#hear(data);
    this.#want();
    hold("leader", () => this.#lead());
  }

  #part() {
    this.leads = false;
    for (const sub of this.#connected()) sub.connection.remove(sub);
    this.#leave?.abort();
    this.#channel?.close();
    this.#channel = this.#leave = null;
    this.#asked.clear();
    this.#others.clear();
    Object.values(this.#timers).forEach(clearInterval);
    for (const topic of this.topics.values()) topic.tabs.clear();
  }

  #lead() {
    this.leads = true;
    const watchdog = () => this.each((connection) => connection.check(Date.now()));
    this.#timers.watchdog = setInterval(watchdog, SILENCE / 8);
    this.#timers.watchdog.unref?.(); // Node.js ends with its last watch
    this.#schedule();
    this.#post({ op: "lead" });
    this.arrange();
  }

  #post(message) {
    this.#channel?.postMessage({ ...message, from: tab });
  }

  relay(message) {
    if (this.leads) this.#post(message);
  }

  /** Ask the leader for what this tab wants now. */
  #want() {
    if (!this.#channel || this.leads) return;
    for (const [key, topic] of this.topics) {
      const wanted = topic.used && !topic.over;
      if (wanted === this.#asked.has(key)) continue;
      this.#asked[wanted ? "add" : "delete"](key);
      this.#post(wanted ? { op: "want", key, whole: topic.whole } : { op: "drop", key });
    }
    for (const key of this.#asked) {
      if (!this.topics.has(key) && this.#asked.delete(key)) this.#post({ op: "drop", key });
    }
  }

  #hear({ op, from, to, key, ...rest }) {
    if (to && to !== tab) return;
    if (op === "token") return this.take(rest.token);
    if (op === "renew") return this.#offer(rest.token);
    if (this.leads) return this.#serve(op, from, key, rest.whole);
    if (op === "lead") {
      this.#asked.clear();
      return this.#want();
    }
    const topic = this.topics.get(key);
    if (!topic?.watches.size) return;
    if (op === "event") topic.take(...rest.event);
    if (op === "become") topic.become(rest.state, rest.detail);
    if (op === "whole") topic.load(rest.whole);
  }

  /** As the leader, answer another tab. */
  #serve(op, from, key, whole) {
    if (op === "drop") this.topics.get(key)?.tabs.delete(from);
    if (op === "want") {
      const topic = this.topic(key);
      topic.tabs.add(from);
      if (topic.isNewer(whole)) topic.load({ ...whole, state: topic.state });
      else this.#post({ op: "whole", to: from, key, whole: topic.whole });
      this.#noticeEnd(from);
    }
    this.update();
  }

  #noticeEnd(other) {
    if (this.#others.has(other)) return;
    this.#others.add(other);
    const { signal } = this.#leave;
    const ended = () => {
      this.#others.delete(other);
      for (const topic of this.topics.values()) topic.tabs.delete(other);
      this.update();
    };
    navigator.locks.request(`${this.name} ${other}`, { signal }, ended).catch(() => {});
  }

  // Connections

  #connected() {
    return [...this.topics.values(), ...this.#batches].filter((sub) => sub.connection);
  }

  each(act) {
    new Set(this.#connected().map((sub) => sub.connection)).forEach(act);
  }

  /** Give each subscription its connection. */
  arrange() {
    if (!this.leads) return;
    const wanted = this.#wanted();
    const way = this.#way(wanted.length);
    for (const sub of this.#connected()) {
      const { connection } = sub;
      const fits = connection.way === way || (way === "sse" && connection.way === "poll" && this.#full);
      if (!fits || !wanted.includes(sub)) connection.remove(sub);
    }
    this.#batches = this.#batches.filter((batch) => !batch.over);
    for (const sub of wanted) if (!sub.connection) this.#connect(sub, way);
  }

  get #full() {
    return this.#connected().filter((sub) => sub.connection.way === "sse").length >= STREAMS;
  }

  #connect(sub, way) {
    const Way = WAYS[way === "sse" && this.#full ? "poll" : way];
    let free = null;
    this.each((connection) => {
      if (connection instanceof Way && connection.subs.size < Way.MOST) free = connection;
    });
    (free ?? new Way(this)).add(sub);
  }

  /** The topics to subscribe to, with batches in place of heads. */
  #wanted() {
    const topics = [...this.topics.values()].filter((topic) => topic.used && !topic.over);
    const isLoose = ({ spec, alone, batch }) => spec.head && !alone && !this.#batches.includes(batch);
    if (this.#batches.length > 50) this.#batches = []; // many small ones: pack them anew
    const heads = topics.filter(isLoose);
    while (heads.length) this.#batches.push(new Batch(this, heads.splice(0, 100)));
    return [...topics.filter(({ spec, alone }) => !spec.head || alone), ...this.#batches].filter(
      (sub) => !sub.over,
    );
  }

  #way(subscriptions) {
    const hasSocket = this.#connected().some((sub) => sub.connection.way === "ws");
    const order = subscriptions > 1 || hasSocket ? ["ws", "sse"] : ["sse", "ws"];
    const offered = (way) => way === "sse" || globalThis.WebSocket; // Node.js 20 has none
    return order.find((way) => offered(way) && !(this.#blocked[way] > Date.now())) ?? "poll";
  }

  block(way) {
    this.#blocked[way] = Date.now() + BLOCKED;
    clearTimeout(this.#timers.block);
    this.#timers.block = setTimeout(() => this.arrange(), BLOCKED + 1);
    this.arrange();
  }

  /** Whether the server answers a plain request, so that only streams are blocked. */
  async answers() {
    const signal = AbortSignal.timeout(MUTE);
    const asked = this.fetch("v1/jobs?limit=1", signal);
    return asked.then((answer) => answer.status < 500, () => false);
  }

  // The token

  async unauthorized() {
    this.each((connection) => connection.stop());
    const renewed = this.refusals++ < 3 && (await this.renew().catch(() => null));
    if (renewed) return;
    if (renewed === null) return this.each((connection) => connection.fail({ sure: true }));
    for (const sub of this.#connected()) sub.become("denied");
    this.arrange();
  }

  renew() {
    return (this.#renewing ??= this.#renew().finally(() => (this.#renewing = null)));
  }

  /** Return whether there is another token now. */
  async #renew() {
    const renew = this.#renewer;
    if (renew) return this.take(await renew(), true);
    if (!this.#others.size) return false; // there is no other tab to ask
    this.#post({ op: "renew", token: this.token });
    return new Promise((done) => {
      this.#onToken = done;
      setTimeout(done, MUTE, false);
    });
  }

  get #renewer() {
    const watches = [...this.topics.values()].flatMap((topic) => [...topic.watches]);
    return watches.find((watch) => watch.options.renew)?.options.renew;
  }

  /** Another tab needs a token. */
  async #offer(old) {
    const token = this.#renewer ? await this.#renewer().catch(() => null) : this.token;
    if (token && token !== old) this.#post({ op: "token", token });
  }

  /** Take a token. `true`: the cookie was renewed. */
  take(token, isOwn = false) {
    if (!token || token === this.token) return false;
    if (token !== true) this.token = token;
    this.#onToken?.(true);
    if (isOwn) this.#post({ op: "token", token });
    if (this.leads) {
      this.#schedule();
      this.each((connection) => (connection.isOpen ? connection.renewed?.() : connection.start()));
    }
    return true;
  }

  /** Renew after two thirds of the token's time. The client's clock may differ from the server's. */
  #schedule() {
    clearTimeout(this.#timers.token);
    const ms = rights(this.token).lasts * 667;
    const renew = () => this.leads && this.renew().catch(() => {});
    if (ms > 0) this.#timers.token = setTimeout(renew, Math.min(ms, 86_400_000));
  }
}

const groups = new Map();

function groupOf(base, token) {
  const name = `livejobs ${base} ${rights(token).claims}`;
  if (!groups.size) follow();
  if (!groups.has(name)) groups.set(name, new Group(name, base, token));
  const group = groups.get(name);
  if (rights(token).from > rights(group.token).from) group.take(token, true);
  return group;
}

const updateAll = () => groups.forEach((group) => group.update());

/** Follow the page: a frozen tab must not lead, and a tab that nobody sees need not connect. */
function follow() {
  if (!globalThis.document) return;
  const goAway = (now) => () => ((away = now), updateAll());
  const hurry = () => groups.forEach((group) => group.each((connection) => connection.hurry()));
  document.addEventListener("freeze", goAway(true));
  document.addEventListener("resume", goAway(false));
  addEventListener("pagehide", goAway(true));
  addEventListener("pageshow", goAway(false));
  addEventListener("online", hurry);
}

// ---- Watching ----------------------------------------------------------------------------------

const GRACE = 15_000; // ms that a tab must be hidden until its watches pause
const FILTERS = ["project", "type", "status", "tag", "parent", "owner", "jobs"];

function keyOf(target, { logs, tail, rate, view }) {
  if (typeof target !== "string" && typeof target !== "object")
    throw new TypeError("watch takes the id of a job, or a filter");
  if (typeof target === "string") {
    return JSON.stringify({ job: target, ...(view === "head" ? { head: true } : { logs, tail, rate }) });
  }
  const filled = FILTERS.map((name) => [name, String(target[name] ?? "")]).filter(
    ([name, value]) => value || (name === "jobs" && target.jobs),
  );
  return JSON.stringify({ feed: Object.fromEntries(filled), limit: target.limit, rate });
}

class Watch {
  state = "connecting";
  detail = "";
  #key;
  #group = null;
  #topic = null;
  #stopped = false;
  #paused = false; // by its owner
  #unseen = false; // the tab is hidden
  #grace = 0;
  #onVisibility = () => this.#look();

  constructor(target, options) {
    this.options = options;
    this.#key = keyOf(target, options);
    options.signal?.addEventListener("abort", () => this.stop());
    if (options.signal?.aborted) return void this.stop();
    if (!options.background) {
      globalThis.document?.addEventListener("visibilitychange", this.#onVisibility);
      this.#look();
    }
    if (options.token || options.token === "" || !options.renew) queueMicrotask(() => this.#begin(options.token));
    else Promise.resolve().then(options.renew).then((token) => this.#begin(token), () => this.#begin());
  }

  /** The newest state of the job, if it is one. */
  get job() {
    return this.#topic?.job ?? null;
  }

  /** The jobs of the filter, by id. */
  get jobs() {
    return this.#topic?.jobs ?? null;
  }

  get ready() {
    return this.#topic?.ready ?? false;
  }

  get active() {
    return !this.#stopped && !this.#paused && !this.#unseen;
  }

  #begin(token) {
    if (this.#stopped) return;
    this.#group = groupOf(new URL(this.options.url ?? BASE, BASE).href, token);
    const topic = (this.#topic = this.#group.topic(this.#key));
    if (topic.over && !topic.used) this.#group.topics.set(this.#key, (this.#topic = new Topic(this.#group, this.#key)));
    this.#topic.watches.add(this);
    for (const job of this.jobs?.values() ?? (this.job ? [this.job] : [])) this.tell("onChange", job, null);
    if (this.ready) this.tell("onReady");
    this.become(this.#topic.state, this.#topic.detail);
    this.#group.update();
  }

  tell(name, ...news) {
    if (this.#stopped) return;
    try {
      this.options[name]?.(...news);
    } catch (error) {
      setTimeout(() => {
        throw error; // to the page, and not into the connection
      });
    }
  }

  become(state, detail = "") {
    if (this.#stopped || OVER.has(this.state)) return;
    if (state !== "closed" && !OVER.has(state) && !this.active) state = "paused";
    if (state === this.state) return;
    Object.assign(this, { state, detail });
    this.tell("onState", state, detail);
  }

  pause() {
    this.#paused = true;
    this.#changed();
  }

  resume() {
    this.#paused = false;
    this.#changed();
  }

  stop() {
    if (this.#stopped) return;
    this.become("closed");
    this.#stopped = true;
    clearTimeout(this.#grace);
    globalThis.document?.removeEventListener("visibilitychange", this.#onVisibility);
    this.#topic?.watches.delete(this);
    this.#group?.update();
  }

  #look() {
    clearTimeout(this.#grace);
    if (globalThis.document?.hidden) this.#grace = setTimeout(() => this.#see(false), this.#group ? GRACE : 0);
    else this.#see(true);
  }

  #see(seen) {
    if (this.#unseen === !seen) return;
    this.#unseen = !seen;
    this.#changed();
  }

  #changed() {
    if (this.active && this.state === "paused" && this.#topic) this.become(this.#topic.state);
    else this.become(this.state);
    this.#group?.update();
  }
}

/** Watch a job by its id, or the jobs that match a filter. See docs/browser.md. */
export const watch = (target, options = {}) => new Watch(target, options);
