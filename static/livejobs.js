/**
 * livejobs in the browser: first the client, then the two pages that are made with it. Importing
 * this module gives the client; the pages start only in the document that holds their templates.
 *
 *   import { watchJob } from "/static/livejobs.js";
 *   const watch = watchJob("teaser", { change: (job) => console.log(job.progress.percent) });
 *   watch.close();
 */

/** Where the server is: the folder that holds `static/`, wherever it is mounted. */
export const BASE = new URL("../", import.meta.url);

// ---- The reducer -------------------------------------------------------------------------------

/** The most that is kept of each list. The server keeps them all, and pages through them. */
export const KEPT = { results: 1000, errors: 1000, logs: 2000 };

/** A job after a delta: `set` is assigned, `append` extends. The job given is left as it was. */
export function apply(job, { set = {}, append = {} }) {
  const next = { ...job, ...set };
  for (const [list, entries] of Object.entries(append)) {
    next[list] = [...(next[list] ?? []), ...entries].slice(-KEPT[list]);
  }
  return next;
}

/** The place of a cursor in its project's order. */
const seq = (cursor) => Number(cursor.slice(cursor.lastIndexOf(".") + 1));

/** The order of every list. Times of one form are in the order of their letters. */
const newestFirst = (a, b) => {
  if (a.created_at !== b.created_at) return a.created_at < b.created_at ? 1 : -1;
  return a.id < b.id ? 1 : -1;
};

/** The jobs of a feed by id. Past `MOST` of them and some more, the oldest are let go. */
export class Jobs extends Map {
  static MOST = 5000;

  /** A whole job, from the stream or a list, whichever came first. Answers whether it is news. */
  take(job) {
    const had = this.get(job.id);
    if (had && seq(had.cursor) >= seq(job.cursor)) return false;
    this.set(job.id, job);
    if (this.size > Jobs.MOST * 1.1) this.#letGo();
    return true;
  }

  /** A change. Of a job that is not here it has every field, unless the job was let go. */
  change({ job: id, cursor, set }) {
    const had = this.get(id);
    if (had ? seq(cursor) <= seq(had.cursor) : !("id" in set)) return false;
    return this.take(apply(had, { set: { ...set, cursor } }));
  }

  #letGo() {
    const oldest = [...this.values()].sort(newestFirst).slice(Jobs.MOST);
    for (const job of oldest) this.delete(job.id);
  }
}

// ---- The credential ----------------------------------------------------------------------------

/**
 * What a page has to show for itself, kept as long as its tab: a token, which may stand in an
 * address, and perhaps the key that it was made with, which goes in headers only and makes the
 * next one. Where a server runs open there is neither.
 */
export const credential = {
  get token() {
    return sessionStorage.getItem("livejobs_token");
  },

  get key() {
    return sessionStorage.getItem("livejobs_key");
  },

  /** A token handed over in the page's address is taken out of it, as addresses get around. */
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
    const best = this.key ?? this.token;
    return best ? { authorization: `Bearer ${best}` } : {};
  },

  /** Another token in place of one that has expired. Answers whether there is one. */
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
const PATIENCE = 40_000; // ms without a word; the server pings every 15 s
const SOON = 1_000; // ms, the longest first wait before coming back
const LATER = 30_000; // ms, the longest of all

/** Answers that trying again does not change, and what they mean to who watches. */
const FINAL = new Map([
  [204, "ended"],
  [400, "refused"],
  [401, "denied"],
  [403, "denied"],
  [404, "missing"],
  [422, "refused"],
]);

/**
 * One EventSource after the other, each going on where the last one was cut. A browser's own
 * reconnect gives up on any answer but 200, tells nothing of a connection that died silently, and
 * comes back all at once with everyone else; so it is not left to it.
 *
 * `hear` has a function for each event that matters; `tell` gets the state: connecting, live,
 * reconnecting, paused, and for good: ended, missing, denied, refused, closed.
 */
export class Stream {
  state = "paused";
  cursor = null; // of the last event that was taken in

  #url;
  #hear;
  #tell;
  #source = null;
  #timer = 0; // the watchdog of a connection, or the wait for the next one
  #failures = 0;

  constructor(url, hear, tell = () => {}) {
    this.#url = url;
    this.#hear = hear;
    this.#tell = tell;
    this.resume();
  }

  get over() {
    return this.state === "closed" || [...FINAL.values()].includes(this.state);
  }

  close() {
    this.#finish("closed");
  }

  /** Let go of the connection until `resume`. Browsers have six for a server, all tabs together. */
  pause() {
    if (!this.over) this.#finish("paused");
  }

  /** Connect now, if it is not connected. */
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
    if (op === "bye") return this.#again();
    this.#failures = 0;
    this.#hear[op]?.(JSON.parse(event.data));
    if (event.lastEventId) this.cursor = event.lastEventId;
    if (op === "end") this.#finish("ended");
  }

  #watch() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#again(), PATIENCE);
  }

  /** The browser says that it was refused, but not with which answer. */
  async #lost(url, refused) {
    const source = this.#source;
    if (refused) {
      const status = await fetch(url, { method: "HEAD" }).then((answer) => answer.status, () => 0);
      if (this.#source !== source) return;
      if (status === 401 && (await credential.renew().catch(() => false))) return this.#again();
      if (FINAL.has(status)) return this.#finish(FINAL.get(status));
    }
    this.#again();
  }

  /** Back-off with full jitter, so that those who were cut together don't come back together. */
  #again() {
    this.#drop();
    const most = Math.min(LATER, SOON * 2 ** this.#failures++);
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
    this.#tell(state);
  }
}

function address(path, query = {}) {
  const url = new URL(path, BASE);
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== null && value !== "") url.searchParams.set(name, value);
  }
  return url;
}

const jobPath = (id) => `v1/jobs/${encodeURIComponent(id)}`;

/**
 * One job. `change(job, delta)` is called with the job as it is now and what changed; `delta` is
 * null when all of it is new. `gone()`: it was deleted. `state(name)`: see Stream. `query` is that
 * of the stream: `{logs: 1, tail: 500}`.
 */
export function watchJob(id, { change, gone, state }, query = {}) {
  let job = null;
  const hear = {
    snapshot: (whole) => change((job = whole), null),
    delta: (delta) => change((job = apply(job, delta)), delta),
    gone,
  };
  return new Stream(address(`${jobPath(id)}/events`, { ...query, view: "delta" }), hear, state);
}

/**
 * The jobs that a filter lets through, and those that it did until they changed: a `Jobs`, which
 * may also be given jobs from lists. `change(job)`: one is new or has changed; `gone(id)`: one was
 * deleted; `ready()`: the opening ones are here; `reset()`: there are none, all are told anew.
 */
export function watchFeed(filter, { change, gone, ready, reset, state }) {
  const jobs = new Jobs();
  const hear = {
    snapshot: (job) => jobs.take(job) && change(job),
    delta: (delta) => jobs.change(delta) && change(jobs.get(delta.job)),
    gone: ({ job }) => jobs.delete(job) && gone?.(job),
    ready,
    reset: () => {
      jobs.clear();
      reset?.();
    },
  };
  const stream = new Stream(address("v1/events", { ...filter, view: "delta" }), hear, state);
  return { jobs, stream };
}

/** What the server says, or an Error with its words. */
async function ask(url, options = {}) {
  const answer = await fetch(url, { ...options, headers: credential.headers });
  const said = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(said.detail ?? `The server answered ${answer.status}.`);
  return said;
}

export const listJobs = (query) => ask(address("v1/jobs", query));
export const readLogs = (id, query) => ask(address(`${jobPath(id)}/logs`, query));
export const cancelJob = (id, query = {}) =>
  ask(address(`${jobPath(id)}/cancel`, query), { method: "POST" });

// ---- The pages: words --------------------------------------------------------------------------

const STATUSES = {
  queued: "Queued",
  running: "Running",
  succeeded: "Succeeded",
  failed: "Failed",
  cancelled: "Cancelled",
};

// What a terminal would obey: CSI, OSC and its sisters, and two-character sequences.
const ANSI =
  // eslint-disable-next-line no-control-regex
  /(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[PX^_][^\x1b]*(?:\x1b\\)?|\x1b[ -/]*[0-~]/g;
// Controls, and what reorders the text around it. Tabs and line breaks are text.
const UNSEEN = /[\0-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]/g;

/** Text of a worker as it may be shown: without colours, and with no way to disguise the rest. */
export function harmless(text) {
  let plain = String(text).replace(ANSI, "");
  if (plain.includes("\r")) plain = plain.split("\n").map(written).join("\n");
  return plain.replace(UNSEEN, (it) => `\\u${it.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/** A line whose writer went back to its beginning: what was written last. */
const written = (line) => line.split("\r").findLast(Boolean) ?? "";

const number = new Intl.NumberFormat(undefined, { maximumFractionDigits: 1 });
const digits = { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" };
const clock = new Intl.DateTimeFormat(undefined, digits); // of one width, as it stands in columns
const dateAndTime = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const day = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });

const UNITS = [
  [86_400, "d"],
  [3_600, "h"],
  [60, "m"],
  [1, "s"],
];

/** 4.2s, 42s, 4m 12s, 2h 5m: the two largest units. */
function span(seconds) {
  if (seconds > 0.05 && seconds < 9.95 && seconds % 1) return `${seconds.toFixed(1)}s`;
  const whole = Math.round(seconds);
  const at = Math.max(0, UNITS.findIndex(([size]) => whole >= size));
  if (whole < 60) return `${whole}s`;
  const [[size, name], [smaller, lesser]] = UNITS.slice(at, at + 2);
  const rest = Math.floor((whole % size) / smaller);
  return `${Math.floor(whole / size)}${name}${rest ? ` ${rest}${lesser}` : ""}`;
}

const since = (time, now) => Math.max(0, (now - Date.parse(time)) / 1000);

function age(time, now) {
  const seconds = since(time, now);
  if (seconds < 5) return "just now";
  if (seconds > 30 * 86_400) return day.format(new Date(time));
  const [size, name] = UNITS.find(([unit]) => seconds >= unit);
  return `${Math.floor(seconds / size)}${name} ago`;
}

function bytes(size) {
  const at = size < 1000 ? 0 : Math.min(4, Math.floor(Math.log10(size) / 3));
  return `${number.format(size / 1000 ** at)} ${["B", "kB", "MB", "GB", "TB"][at]}`;
}

const LONGEST_VALUE = 20_000; // characters of a value that are shown

function value(it, indent) {
  const text = typeof it === "string" ? it : JSON.stringify(it, null, indent);
  return text.length > LONGEST_VALUE ? `${text.slice(0, LONGEST_VALUE)}…` : text;
}

const nameOf = (job) => job.title || job.id;
const finished = (job) => job.completed_at !== null;
const percentOf = (job) => job.progress.percent;

/** Where it stands, in a word or two. */
function standing(job) {
  if (job.status === "queued") return job.queue ? inLine(job.queue) : "Queued";
  if (job.status !== "running") {
    const reached = job.status === "failed" && percentOf(job);
    return reached ? `Failed at ${reached}%` : STATUSES[job.status];
  }
  if (job.cancel_requested) return "Cancelling";
  return percentOf(job) === null ? "Running" : `${percentOf(job)}%`;
}

const inLine = ({ position, length }) =>
  position === 1 ? "Next in line" : `${number.format(position)} of ${number.format(length)} in line`;

/** What it says of itself, or what is to be said about it. */
function saying(job, now) {
  if (job.error && job.status !== "succeeded") return job.error.message;
  if (job.stalled) return `Stalled: no word for ${span(Math.floor(since(job.heartbeat_at, now)))}`;
  const step = job.steps.find((one) => one.status === "running");
  return (finished(job) ? "" : job.progress.message) || (step ? step.title || step.name : "");
}

/** Seconds that are left, counted down since they were said; null when nobody knows. */
function left(job, seenAt, now) {
  const said = job.status === "queued" ? job.queue?.eta_seconds : job.progress.eta_seconds;
  if (said === null || said === undefined || job.stalled || finished(job)) return null;
  return Math.max(0, Math.round(said - (now - seenAt) / 1000));
}

function timeOf(job, seenAt, now) {
  const { run_seconds: took } = job.timing;
  if (finished(job)) return took === null ? "" : `took ${span(took)}`;
  const seconds = left(job, seenAt, now);
  if (job.status === "queued") return seconds ? `in ${span(seconds)}` : "";
  if (seconds) return `${span(seconds)} left`;
  const gone = Math.floor(since(job.started_at, now));
  return gone ? `for ${span(gone)}` : "";
}

// ---- The pages: elements -----------------------------------------------------------------------

/** A copy of a template, with its parts by name. */
function make(template) {
  const node = document.getElementById(template).content.firstElementChild.cloneNode(true);
  node.parts = partsOf(node);
  return node;
}

const partsOf = (node) =>
  Object.fromEntries([...node.querySelectorAll("[data-part]")].map((el) => [el.dataset.part, el]));

function element(tag, text, attributes = {}) {
  const node = document.createElement(tag);
  if (text !== undefined) put(node, text);
  for (const [name, said] of Object.entries(attributes)) node.setAttribute(name, said);
  return node;
}

/** Text, and only text. What was said last is remembered, as asking the document is slower. */
function put(node, text) {
  if (node.said === text) return;
  node.said = text;
  node.textContent = harmless(text);
}

function attribute(node, name, said) {
  if (said === null) node.removeAttribute(name);
  else if (node.getAttribute(name) !== String(said)) node.setAttribute(name, said);
}

/** The children of `parent` are made to be those of `items`: each is made once, then told. */
function keyed(parent, items, key, create, tell) {
  const had = parent.kept ?? new Map();
  const kept = (parent.kept = new Map(items.map((item) => [key(item), null])));
  for (const [id, node] of had) if (!kept.has(id)) node.remove();
  let at = parent.firstElementChild;
  for (const item of items) {
    const node = had.get(key(item)) ?? create(item);
    kept.set(key(item), node);
    tell(node, item);
    if (node === at) at = at.nextElementSibling;
    else parent.insertBefore(node, at);
  }
}

/** Pairs of a description list; without a value a pair is left out. */
function facts(list, pairs) {
  const said = pairs.filter(([, text]) => text !== null && text !== undefined && text !== "");
  const create = ([name]) => {
    const pair = element("div");
    pair.append(element("dt", name), element("dd"));
    return pair;
  };
  keyed(list, said, ([name]) => name, create, (pair, [, text]) => put(pair.lastChild, text));
  return said.length > 0;
}

function showGlyph(glyph, job) {
  attribute(glyph, "data-status", job.stalled ? "stalled" : job.status);
  attribute(glyph.children[1], "stroke-dasharray", `${percentOf(job) ?? 25} 100`);
}

function showBar(fill, percent, running) {
  const known = percent !== null;
  attribute(fill, "class", running && !known ? "unknown" : null);
  fill.style.setProperty("transform", `scaleX(${(percent ?? 0) / 100})`);
}

function showTime(node, time, text) {
  if (node.dateTime !== time) {
    node.dateTime = time;
    node.title = dateAndTime.format(new Date(time));
  }
  put(node, text);
}

/** A drawing that is done at most once a frame, however often it is asked for. */
function eachFrame(draw) {
  let asked = false;
  return () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      draw();
    });
  };
}

async function copy(button, text) {
  try {
    await navigator.clipboard.writeText(text);
    put(button, "Copied");
  } catch {
    getSelection().selectAllChildren(button.previousElementSibling); // not allowed: half a copy
    put(button, "Selected");
  }
  setTimeout(() => put(button, "Copy"), 1600);
}

const CONNECTION = {
  connecting: "Connecting",
  live: "Live",
  reconnecting: "Reconnecting",
  paused: "Paused",
};

function showPlace(project) {
  const node = document.querySelector("[data-part=place]");
  put(node, project);
  node.href = listOf({ project });
}

function showConnection(state) {
  const node = document.querySelector("[data-part=connection]");
  node.hidden = !(state in CONNECTION);
  node.dataset.state = state;
  put(node, CONNECTION[state] ?? "");
}

const NOTICES = {
  missing: ["There is no such job", "It may have been removed, or the address is not quite right."],
  denied: ["A key is needed", "This server shows its jobs only to who may see them."],
  refused: ["This address makes no sense here", "The server does not take what it asks for."],
  gone: ["This job was removed", "Its log and its files went with it."],
};

function notice(root, name) {
  const node = make("notice");
  put(node.parts.title, NOTICES[name][0]);
  put(node.parts.text, NOTICES[name][1]);
  node.querySelector("a").href = BASE;
  if (name === "denied") {
    node.querySelector("a").remove();
    askForKey(node.parts.form);
  }
  root.replaceChildren(node);
}

/** A key opens the page anew, if it is good for anything. */
function askForKey(form) {
  const { key, refused } = partsOf(form);
  form.hidden = false;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    refused.hidden = true;
    if (await credential.renew(key.value.trim()).catch(() => false)) return location.reload();
    put(refused, "This key is not good here.");
    refused.hidden = false;
    key.select();
  });
}

// ---- The list ----------------------------------------------------------------------------------

const PAGE = 100;
const SCOPE = ["project", "parent", "tag"]; // part of the address, not of the tools
const FILTERS = ["status", "type", "q"];

class ListPage {
  #scope;
  #filter;
  #parts;
  #feed;
  #jobs;
  #seen = new Map(); // when each job was last heard of, for what is counted down
  #dirty = new Set();
  #stale = true; // which jobs are shown, and in which order, is to be found out anew
  #ready = false;
  #most = PAGE; // rows
  #next = null; // of the list, when there is more
  #asked = null; // the newest question to the list; answers to others are late
  #counting = 0;
  #uncounted = false;
  #draw = eachFrame(() => this.#show());

  constructor(root, query) {
    const some = (names) => Object.fromEntries(names.map((name) => [name, query.get(name) ?? ""]));
    this.#scope = { ...some(SCOPE), project: query.get("project") || "default" };
    this.#filter = some(FILTERS);
    const page = make("list-page");
    this.#parts = page.parts;
    root.replaceChildren(page);
    this.#furnish();
    this.#feed = watchFeed(
      { ...this.#scope, limit: PAGE, rate: 10 },
      {
        change: (job) => this.#change(job),
        gone: () => this.#rearrange(),
        ready: () => {
          this.#ready = true;
          this.#rearrange();
        },
        reset: () => this.#begin(),
        state: (state) => this.#become(state),
      },
    );
    this.#jobs = this.#feed.jobs;
    this.#load();
    setInterval(() => this.#tick(), 1000);
  }

  get stream() {
    return this.#feed.stream;
  }

  // Tools

  #furnish() {
    const { statuses, type, q, more, clear, commands } = this.#parts;
    for (const [status, label] of [["", "All"], ...Object.entries(STATUSES)]) {
      const button = element("button", undefined, { type: "button", "data-status": status });
      button.append(element("span", label), element("b", ""));
      button.onclick = () => this.#choose({ status });
      statuses.append(button);
    }
    type.onchange = () => this.#choose({ type: type.value });
    q.value = this.#filter.q;
    q.oninput = () => this.#choose({ q: q.value.trim() }, 200);
    more.onclick = () => this.#showMore();
    clear.onclick = () => this.#choose({ status: "", type: "", q: (q.value = "") });
    for (const [what, code] of firstSteps(this.#scope.project)) {
      const command = make("command");
      put(command.parts.what, what);
      put(command.parts.code, code);
      command.parts.copy.onclick = () => copy(command.parts.copy, code);
      commands.append(command);
    }
    addEventListener("keydown", (event) => {
      const typing = event.target.matches?.("input, select, textarea");
      if (event.key !== "/" || typing || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      q.focus();
    });
    this.#showPlace();
    this.#showTools();
  }

  #showPlace() {
    const { project, parent, tag } = this.#scope;
    showPlace(project);
    const { scope } = this.#parts;
    scope.hidden = !parent && !tag;
    if (parent) scope.append("Children of ", element("a", parent, { href: pageOf(parent) }), " ");
    if (tag) scope.append("Tagged ", element("b", tag), " ");
    scope.append(element("a", "Show all", { href: listOf({ project }) }));
  }

  #choose(chosen, delay = 0) {
    Object.assign(this.#filter, chosen);
    history.replaceState(null, "", listOf({ ...this.#scope, ...this.#filter }));
    this.#showTools();
    this.#begin(delay);
  }

  #showTools() {
    const { statuses, type } = this.#parts;
    for (const button of statuses.children) {
      attribute(button, "aria-pressed", button.dataset.status === this.#filter.status);
    }
    const types = new Set([...(this.#jobs?.values() ?? [])].map((job) => job.type));
    types.add(this.#filter.type);
    const options = ["", ...[...types].filter(Boolean).sort()];
    const create = (name) => element("option", name || "All types", { value: name });
    if (!type.kept) type.replaceChildren();
    keyed(type, options, (name) => name, create, () => {});
    type.value = this.#filter.type;
    type.hidden = options.length < 2;
  }

  // Lists

  /** What the list is asked for: it knows no text of under three letters. */
  get #query() {
    const { status, type, q } = this.#filter;
    return { ...this.#scope, status, type, q: q.length < 3 ? "" : q.slice(0, 200) };
  }

  #begin(delay = 0) {
    this.#most = PAGE;
    this.#next = null;
    this.#load(delay);
    this.#rearrange();
  }

  async #load(delay = 0) {
    const asked = (this.#asked = Symbol("question"));
    if (delay) await new Promise((resolve) => setTimeout(resolve, delay));
    if (this.#asked !== asked) return;
    try {
      const page = await listJobs({ ...this.#query, limit: PAGE, after: this.#next });
      if (this.#asked !== asked) return;
      this.#asked = null;
      this.#next = page.next;
      for (const job of page.jobs) if (this.#jobs.take(job)) this.#change(job);
      this.#showCounts(page.counts);
    } catch {
      this.#asked = null; // the stream's state tells that the server is away
    }
    this.#rearrange();
  }

  #showMore() {
    this.#most += PAGE;
    if (this.#next) this.#load();
    this.#rearrange();
  }

  #rearrange() {
    this.#stale = true;
    this.#draw();
    this.#recount();
  }

  /** Soon, and then at most every two seconds. */
  #recount() {
    this.#uncounted = true;
    this.#counting ||= setTimeout(() => this.#count(), 100);
  }

  /** Counts, and places in the queue: a feed does not tell them. */
  async #count() {
    this.#uncounted = false;
    try {
      const page = await listJobs({ ...this.#query, status: "queued", limit: PAGE });
      this.#showCounts(page.counts);
      for (const { id, cursor, queue } of page.jobs) {
        const job = this.#jobs.get(id);
        if (job?.cursor === cursor) this.#jobs.set(id, { ...job, queue });
        this.#dirty.add(id);
      }
      this.#draw();
    } catch {
      // The server is away. The stream says so, and that it is back.
    }
    setTimeout(() => {
      this.#counting = 0;
      if (this.#uncounted) this.#recount();
    }, 2000);
  }

  #showCounts(counts) {
    const all = Object.keys(STATUSES).reduce((sum, status) => sum + (counts[status] ?? 0), 0);
    for (const button of this.#parts.statuses.children) {
      const status = button.dataset.status;
      put(button.lastChild, number.format(status ? (counts[status] ?? 0) : all));
    }
    const name = this.#scope.project === "default" ? "Jobs" : this.#scope.project;
    document.title = counts.running ? `${name} (${counts.running} running)` : name;
  }

  // Rows

  #change(job) {
    const row = this.#parts.rows.kept?.get(job.id);
    if (!row || row.job.status !== job.status) this.#recount();
    if (!row || Object.values(this.#filter).some(Boolean)) this.#stale = true;
    this.#seen.set(job.id, Date.now());
    this.#dirty.add(job.id);
    this.#draw();
  }

  #matches(job) {
    const { status, type, q } = this.#filter;
    if ((status && job.status !== status) || (type && job.type !== type)) return false;
    const text = `${job.id}\n${job.title ?? ""}`.toLowerCase();
    return !q || text.includes(q.toLowerCase());
  }

  #show() {
    if (this.#stale) this.#arrange();
    else for (const id of this.#dirty) this.#tell(this.#parts.rows.kept.get(id));
    this.#dirty.clear();
    this.#stale = false;
  }

  #arrange() {
    const all = [...this.#jobs.values()];
    const found = all.filter((job) => this.#matches(job)).sort(newestFirst);
    const { rows, waiting, nothing, empty, more } = this.#parts;
    const create = (job) => this.#makeRow(job);
    keyed(rows, found.slice(0, this.#most), (job) => job.id, create, (row) => this.#tell(row));
    const settled = this.#ready && !this.#asked;
    waiting.hidden = found.length > 0 || settled;
    attribute(rows, "aria-busy", !settled);
    empty.hidden = !settled || all.length > 0 || Boolean(this.#scope.parent || this.#scope.tag);
    nothing.hidden = !settled || found.length > 0 || !empty.hidden;
    more.hidden = !this.#next && found.length <= this.#most;
    document.body.classList.toggle("bare", !empty.hidden);
    this.#showTools();
    for (const id of this.#seen.keys()) if (!this.#jobs.has(id)) this.#seen.delete(id);
  }

  #makeRow(job) {
    const row = make("row");
    const link = row.firstElementChild;
    link.href = pageOf(job.id);
    row.glyph = make("glyph");
    link.prepend(row.glyph);
    row.key = job.id;
    row.classList.toggle("arriving", this.#ready && since(job.created_at, Date.now()) < 10);
    return row;
  }

  #tell(row) {
    const job = row && this.#jobs.get(row.key);
    if (!job || row.job === job) return;
    row.job = job;
    const { title, type, message, fill, word } = row.parts;
    attribute(row, "data-status", job.stalled ? "stalled" : job.status);
    showGlyph(row.glyph, job);
    put(title, nameOf(job));
    put(type, job.type ?? "");
    put(message, saying(job, Date.now()));
    put(word, standing(job));
    word.classList.toggle("number", word.said.endsWith("%") && job.status === "running");
    showBar(fill, percentOf(job), job.status === "running");
    this.#tellTime(row, Date.now());
  }

  #tellTime(row, now) {
    const { job } = row;
    put(row.parts.time, timeOf(job, this.#seen.get(job.id) ?? now, now));
    showTime(row.parts.age, job.created_at, age(job.created_at, now));
    if (job.stalled) put(row.parts.message, saying(job, now));
  }

  #tick() {
    for (const row of this.#parts.rows.children) this.#tellTime(row, Date.now());
  }

  #become(state) {
    showConnection(state);
    if (state === "live" && this.#ready) this.#recount();
    if (state === "denied" || state === "refused") notice(document.getElementById("main"), state);
  }
}

const pageOf = (id) => new URL(`jobs/${encodeURIComponent(id)}`, BASE);
const listOf = ({ project, ...rest }) =>
  address("", { ...rest, project: project === "default" ? "" : project });

/** JSON with a little air; a line break inside a string is escaped, so none is lost. */
const spaced = (it) => JSON.stringify(it, null, 1).replace(/\n */g, " ").replace(/([{[]) | ([\]}])/g, "$1$2");

/** One word of a shell, whatever is in it. */
const shellWord = (text) => `'${text.replaceAll("'", "'\\''")}'`;

/** What to type to see a first job here. */
function firstSteps(project) {
  const job = { ...(project === "default" ? {} : { project }), title: "Hello", total: 100 };
  const progress = { type: "progress", current: 42, message: "Warming up" };
  const key = credential.token ? ` \\\n  -H "x-api-key: $LIVEJOBS_KEY"` : "";
  const curl = (target, said) => `curl ${target}${key} \\\n  --json ${shellWord(spaced(said))}`;
  const hello = new URL("v1/jobs/hello", BASE);
  return [
    ["Create a job", curl(`-X PUT ${hello}`, job)],
    ["Say how far it is", curl(`${hello}/reports`, progress)],
    ["And that it is done", curl(`${hello}/reports`, { type: "succeed" })],
  ];
}

// ---- One job -----------------------------------------------------------------------------------

const AT_ONCE = 20; // results and errors that are shown before more are asked for
const EARLIER = 500; // log lines

class JobPage {
  #id;
  #root;
  #page;
  #parts;
  #job = null;
  #shown = {}; // the job as it was drawn
  #seenAt = 0;
  #anew = true; // the log is to be begun again
  #line = 0; // the last one drawn
  #following = true;
  #entries = { results: AT_ONCE, errors: AT_ONCE };
  #sure = 0; // while "cancel" asks whether it is meant
  #draw = eachFrame(() => this.#show());

  constructor(root, id) {
    this.#id = id;
    this.#root = root;
    const page = (this.#page = make("job-page"));
    this.#parts = page.parts;
    this.#parts.glyph = make("glyph");
    put(this.#parts.title, id);
    document.title = id;
    root.replaceChildren(page);
    this.#furnish();
    const hear = {
      change: (job, delta) => this.#change(job, delta),
      gone: () => this.#leave("gone"),
      state: (state) => this.#become(state),
    };
    this.stream = watchJob(id, hear, { logs: 1, tail: EARLIER });
    setInterval(() => this.#job && this.#tick(), 1000);
  }

  #furnish() {
    const { log, latest, earlier, cancel } = this.#parts;
    log.onscroll = () => this.#follow(log.scrollHeight - log.scrollTop - log.clientHeight < 24);
    latest.onclick = () => this.#follow(true);
    earlier.onclick = () => this.#showEarlier();
    cancel.onclick = () => this.#cancel();
    for (const kind of ["results", "errors"]) {
      this.#parts[`${kind}-more`].onclick = () => {
        this.#entries[kind] += AT_ONCE * 5;
        this.#showEntries(kind);
      };
    }
  }

  #change(job, delta) {
    this.#job = job;
    this.#seenAt = Date.now();
    this.#anew ||= !delta;
    document.title = `${headline(job)} ${nameOf(job)}`; // not with the frame: a hidden tab has none
    this.#draw();
  }

  #become(state) {
    showConnection(state);
    if (state in NOTICES) this.#leave(state);
  }

  #leave(name) {
    this.#job = null;
    this.stream?.close();
    document.title = NOTICES[name][0];
    notice(this.#root, name);
  }

  // Drawing: each section when a field that it shows is another than it was

  #show() {
    const job = this.#job;
    if (!job) return;
    const changed = (...fields) => fields.some((field) => job[field] !== this.#shown[field]);
    if (changed("title", "type", "tags", "project")) this.#showHead(job);
    if (changed("steps")) this.#showSteps(job);
    if (changed("files")) this.#showFiles(job);
    if (changed("result")) this.#showBlock("result", job.result);
    if (changed("error")) this.#showFailure(job);
    if (changed("counters")) this.#showFacts("counters", counted(job.counters));
    if (changed("meta")) this.#showFacts("meta", valuesOf(job.meta));
    if (changed("parent", "children")) this.#showFamily(job);
    if (changed("logs", "status")) this.#showLog(job);
    this.#showProgress(job);
    this.#tick();
    for (const kind of ["results", "errors"]) if (changed(kind)) this.#showEntries(kind);
    attribute(this.#page, "aria-busy", null);
    this.#shown = job;
  }

  #showHead(job) {
    const { title, labels } = this.#parts;
    showPlace(job.project);
    put(title, nameOf(job));
    const said = [job.type, ...job.tags.map((tag) => `#${tag}`)].filter(Boolean);
    keyed(labels, said, (it) => it, (it) => element("span", it), () => {});
  }

  #showProgress(job) {
    const { badge, percent, bar, fill, message, spoken, cancel, glyph } = this.#parts;
    attribute(this.#page, "data-status", job.stalled ? "stalled" : job.status);
    if (!badge.firstChild) badge.append(glyph, element("span"));
    showGlyph(glyph, job);
    put(badge.lastChild, job.stalled ? "Stalled" : STATUSES[job.status]);
    const reached = percentOf(job);
    const told = reached === null || (job.status === "queued" && !reached);
    put(percent, told ? standing(job) : `${reached}%`);
    percent.classList.toggle("number", !told);
    showBar(fill, reached, job.status === "running");
    attribute(bar, "aria-valuenow", reached);
    put(message, saying(job, Date.now()));
    message.hidden = !message.said || Boolean(job.error);
    put(spoken, `${STATUSES[job.status]}${reached ? `, ${reached - (reached % 25)} percent` : ""}`);
    this.#showCancel(job);
    cancel.hidden = finished(job);
  }

  /** What changes by itself. */
  #tick() {
    const job = this.#job;
    const now = Date.now();
    facts(this.#parts.figures, figures(job, this.#seenAt, now));
    facts(this.#parts.timing, timing(job, now));
    facts(this.#parts.facts, details(job, now));
    if (job.stalled) put(this.#parts.message, saying(job, now));
  }

  #showFailure(job) {
    const { failure, reason, code, detail } = this.#parts;
    failure.hidden = !job.error;
    if (!job.error) return;
    put(reason, job.error.message || "It failed without a word.");
    put(code, job.error.code ?? "");
    code.hidden = !job.error.code;
    put(detail, job.error.detail === null ? "" : value(job.error.detail, 2));
    detail.hidden = job.error.detail === null;
  }

  #showBlock(name, it) {
    this.#parts[`${name}-section`].hidden = it === null;
    put(this.#parts[name], it === null ? "" : value(it, 2));
  }

  #showFacts(name, pairs) {
    this.#parts[`${name}-section`].hidden = !facts(this.#parts[name], pairs);
  }

  #showSteps(job) {
    this.#parts["steps-section"].hidden = !job.steps.length;
    const create = () => {
      const step = make("step");
      step.glyph = make("glyph");
      step.prepend(step.glyph);
      return step;
    };
    keyed(this.#parts.steps, job.steps, (step) => step.name, create, tellStep);
  }

  #showFiles(job) {
    const { files, all, "files-section": section, "files-count": count } = this.#parts;
    section.hidden = !job.files.length;
    all.hidden = job.files.length < 2;
    put(count, all.hidden ? "" : number.format(job.files.length));
    carryToken(all, `${jobPath(job.id)}/files.zip`);
    const shown = previewed(job.files);
    const create = (file) => makeFile(pathOf(job, file), file);
    const tell = (row, file) => shown.has(file) && preview(row, pathOf(job, file), file);
    keyed(files, job.files, (file) => `${file.name} ${file.sha256}`, create, tell);
  }

  #showFamily({ id, project, parent, children }) {
    const { family, "family-section": section } = this.#parts;
    section.hidden = !parent && !children.total;
    family.replaceChildren();
    if (parent) family.append(member("Parent", parent, pageOf(parent)));
    if (!children.total) return;
    const counts = Object.keys(STATUSES).filter((status) => children[status]);
    const told = counts.map((status) => `${children[status]} ${status}`).join(", ");
    family.append(member("Children", told, listOf({ project, parent: id })));
  }

  #showEntries(kind) {
    const { [kind]: list, [`${kind}_total`]: total } = this.#job;
    this.#parts[`${kind}-section`].hidden = !total;
    put(this.#parts[`${kind}-count`], number.format(total));
    const some = list.slice(-this.#entries[kind]).reverse();
    keyed(this.#parts[kind], some, (entry) => entry.n, makeEntry, () => {});
    this.#parts[`${kind}-more`].hidden = some.length === list.length;
  }

  // The log

  #showLog(job) {
    const { log, "log-section": section, "log-count": count } = this.#parts;
    section.hidden = !job.logs_total && job.status !== "running";
    put(count, job.logs_total ? number.format(job.logs_total) : "");
    if (this.#anew) {
      log.replaceChildren();
      this.#line = 0;
      this.#anew = false;
    }
    const lines = job.logs.filter((line) => line.n > this.#line);
    if (!lines.length) return;
    log.append(...lines.map(makeLine));
    this.#line = lines.at(-1).n;
    while (log.children.length > KEPT.logs) log.firstChild.remove();
    this.#follow(this.#following);
    this.#showEarliest();
  }

  #follow(following) {
    const { log, latest } = this.#parts;
    this.#following = following;
    latest.hidden = following;
    if (following) log.scrollTop = log.scrollHeight;
  }

  #showEarliest() {
    const { log, earlier } = this.#parts;
    const full = log.children.length + EARLIER > KEPT.logs;
    earlier.hidden = !log.firstChild || log.firstChild.n === 1 || full;
  }

  async #showEarlier() {
    const { log, earlier } = this.#parts;
    const first = log.firstChild;
    const after = Math.max(0, first.n - 1 - EARLIER);
    earlier.disabled = true;
    try {
      const page = await readLogs(this.#id, { after, limit: first.n - 1 - after });
      const fromEnd = log.scrollHeight - log.scrollTop;
      first.before(...page.logs.map(makeLine));
      log.scrollTop = log.scrollHeight - fromEnd; // what was being read stays where it is
    } catch (error) {
      this.#refuse(error);
    }
    earlier.disabled = false;
    this.#showEarliest();
  }

  // Cancelling: asked for once, it is up to the worker; asked for twice, it ends now

  #showCancel(job) {
    const { cancel } = this.#parts;
    const label = job.cancel_requested ? "End it now" : "Cancel";
    put(cancel, this.#sure ? "Really?" : label);
    cancel.classList.toggle("sure", Boolean(this.#sure));
  }

  async #cancel() {
    const force = this.#job.cancel_requested ? "true" : null;
    clearTimeout(this.#sure);
    if (!this.#sure) {
      this.#sure = setTimeout(() => this.#unsure(), 4000);
      return this.#showCancel(this.#job);
    }
    this.#unsure();
    await cancelJob(this.#id, { force }).catch((error) => this.#refuse(error));
  }

  #unsure() {
    this.#sure = 0;
    if (this.#job) this.#showCancel(this.#job);
  }

  #refuse(error) {
    const { refused } = this.#parts;
    put(refused, error.message);
    refused.hidden = false;
    setTimeout(() => (refused.hidden = true), 8000);
  }
}

/** What a tab says of it. */
function headline(job) {
  if (job.status === "running") return percentOf(job) === null ? "…" : `${percentOf(job)}%`;
  return { queued: "○", succeeded: "✓", failed: "✕", cancelled: "–" }[job.status];
}

const amount = (it) => (it === null ? null : number.format(it));
const moment = (time) => time && dateAndTime.format(new Date(time));
const lasted = (seconds) => (seconds === null ? null : span(seconds));

function figures(job, seenAt, now) {
  const { current, total, unit, rate } = job.progress;
  const seconds = left(job, seenAt, now);
  const moving = job.status === "running" && !job.stalled && rate !== null;
  const of = total === null ? "" : ` of ${amount(total)}`;
  return [
    ["Done", current === null ? null : `${amount(current)}${of}${unit ? ` ${unit}` : ""}`],
    ["Rate", moving ? `${amount(rate)}${unit ? ` ${unit}` : ""}/s` : null],
    [job.status === "queued" ? "Starts in" : "Time left", seconds ? span(seconds) : null],
    [finished(job) ? "Took" : "Running for", ranFor(job, now)],
  ];
}

function ranFor(job, now) {
  if (finished(job)) return lasted(job.timing.run_seconds);
  return job.status === "running" ? span(Math.floor(since(job.started_at, now))) : null;
}

function timing(job, now) {
  return [
    ["Created", moment(job.created_at)],
    ["Started", moment(job.started_at)],
    ["Finished", moment(job.completed_at)],
    ["Waited", lasted(job.timing.queue_seconds)],
    ["Total", lasted(job.timing.total_seconds)],
    ["Last word", !finished(job) && job.heartbeat_at ? age(job.heartbeat_at, now) : null],
    ["Kept until", moment(job.expires_at)],
  ];
}

function details(job, now) {
  return [
    ["Id", job.id],
    ["Project", job.project],
    ["Owner", job.owner],
    ["Attempt", job.attempt > 1 ? number.format(job.attempt) : null],
    ...valuesOf(job.worker ?? {}).map(([name, text]) => [`Worker ${name}`, text]),
  ];
}

const counted = (counters) => Object.entries(counters).map(([name, n]) => [name, amount(n)]);
const valuesOf = (object) => Object.entries(object).map(([name, it]) => [name, value(it)]);

function member(label, text, href) {
  const item = element("li", `${label} `);
  item.append(element("a", text, { href }));
  return item;
}

// Files: links that carry a token, and what a browser can show in place

const PLAYERS = 3; // each may hold on to one of the six connections that a browser has for a server
const PICTURES = 24;
const AS_GOOD_AS_NEW = 60_000; // ms

const pathOf = (job, file) => `${jobPath(job.id)}/files/${encodeURIComponent(file.name)}`;

/** A link is no place for a key, and a token does not last: who has a key gets another to go with. */
function carryToken(link, path, query = {}) {
  const refresh = () => (link.href = address(path, { ...query, token: credential.token }));
  let renewed = 0;
  refresh();
  link.onpointerdown = refresh;
  link.onclick = async (event) => {
    if (!credential.key || Date.now() - renewed < AS_GOOD_AS_NEW) return;
    event.preventDefault();
    await credential.renew().catch(() => false);
    refresh();
    renewed = Date.now();
    link.click();
  };
}

/** The tag that shows it, if there is one. */
function tagOf({ media_type: type }) {
  const kind = type.slice(0, type.indexOf("/"));
  if (kind === "image") return "img";
  if (kind !== "video" && kind !== "audio") return null;
  return document.createElement(kind).canPlayType(type) ? kind : null;
}

function previewed(files) {
  const left = { player: PLAYERS, img: PICTURES };
  const fits = (tag) => tag && left[tag === "img" ? "img" : "player"]-- > 0;
  return new Set(files.filter((file) => fits(tagOf(file))));
}

function makeFile(path, file) {
  const row = make("file");
  const { link, name, size } = row.parts;
  put(name, file.name);
  put(size, file.size === null ? "" : bytes(file.size));
  carryToken(link, path);
  return row;
}

/** Below its link. One of the same name may come later, and must not be taken for this one. */
function preview(row, path, file) {
  if (row.shown) return;
  const tag = tagOf(file);
  const query = { inline: 1, v: file.sha256?.slice(0, 16) };
  const name = harmless(file.name);
  const media = (row.shown = element(tag));
  if (tag === "img") {
    Object.assign(media, { loading: "lazy", alt: name });
    row.shown = element("a", undefined, { target: "_blank", rel: "noopener", "aria-label": `View ${name}` });
    row.shown.append(media);
    carryToken(row.shown, path, query);
  } else {
    Object.assign(media, { controls: true, preload: "metadata", ariaLabel: name });
  }
  row.shown.classList.add("preview", tag);
  keepLoading(media, path, query, () => row.shown.remove());
  row.append(row.shown);
}

/** A token that is over by the time of a seek is replaced; what can't be shown is taken away. */
function keepLoading(media, path, query, giveUp) {
  let renewed = false;
  const load = () => (media.src = address(path, { ...query, token: credential.token }));
  media.onloadeddata = () => (renewed = false);
  media.onerror = async () => {
    const { currentTime: at, paused } = media;
    if (renewed || !(await credential.renew().catch(() => false))) return giveUp();
    renewed = true;
    load();
    if (at) media.currentTime = at;
    if (paused === false) media.play();
  };
  load();
}

const STEP = { pending: "queued", skipped: "cancelled" }; // as what it is drawn

function tellStep(node, step) {
  if (node.step === step) return;
  node.step = step;
  const { title, time, fill } = node.parts;
  const status = STEP[step.status] ?? step.status;
  attribute(node, "data-status", status);
  showGlyph(node.glyph, { status, progress: step });
  put(title, step.title || step.name);
  showBar(fill, step.percent, step.status === "running");
  put(time, stepTime(step));
}

function stepTime({ status, percent, started_at, completed_at }) {
  if (status === "running") return percent === null ? "" : `${percent}%`;
  if (status === "skipped") return "Skipped";
  if (!started_at || !completed_at) return "";
  return span(since(started_at, Date.parse(completed_at)));
}

function makeLine(line) {
  const node = make("line");
  node.n = line.n;
  node.dataset.level = line.level;
  showTime(node.parts.at, line.at, clock.format(new Date(line.at)));
  put(node.parts.source, line.source ?? "");
  put(node.parts.said, line.message);
  return node;
}

const SHORT = 120; // characters of a value that fit beside its number

function makeEntry(entry) {
  const node = make("entry");
  const { n, said, detail, at } = node.parts;
  const words = wordsOf(entry);
  const rest = typeof entry.value === "string" ? null : (entry.value ?? entry.detail ?? null);
  const short = value(rest);
  put(n, number.format(entry.n));
  put(said, words);
  put(detail, rest === null ? "" : short.length <= SHORT ? short : value(rest, 2));
  said.hidden = !words;
  detail.hidden = rest === null;
  showTime(at, entry.at, clock.format(new Date(entry.at)));
  return node;
}

/** Of an error its message; of a result the value, if it is words. */
function wordsOf({ message, item, value: said }) {
  if (message === undefined) return typeof said === "string" ? said : said === null ? "null" : "";
  return item === null ? message : `${item}: ${message}`;
}

// ---- The start ---------------------------------------------------------------------------------

const HIDDEN_FOR = 15_000; // ms before a hidden tab lets go of its connection
const LOOKS_EVERY = 30_000; // ms, and then holds it a moment, so that its title is not old
const LOOKS_FOR = 2_000;

/** Tabs that nobody sees don't take the few connections a browser has from those that are seen. */
function restWhenHidden(stream) {
  let timer = 0;
  const rest = () => {
    stream.pause();
    timer = setTimeout(look, LOOKS_EVERY);
  };
  const look = () => {
    stream.resume();
    timer = setTimeout(rest, LOOKS_FOR);
  };
  const heed = () => {
    clearTimeout(timer);
    if (document.hidden) timer = setTimeout(rest, HIDDEN_FOR);
    else stream.resume();
  };
  heed();
  document.addEventListener("visibilitychange", heed);
  addEventListener("online", () => stream.resume());
  addEventListener("pagehide", () => stream.pause());
  addEventListener("pageshow", () => stream.resume());
}

function start(root) {
  document.querySelector(".brand").href = BASE;
  credential.fromAddress();
  const path = location.pathname.slice(BASE.pathname.length);
  const page = path.startsWith("jobs/")
    ? new JobPage(root, decodeURIComponent(path.slice("jobs/".length)))
    : new ListPage(root, new URLSearchParams(location.search));
  restWhenHidden(page.stream);
}

if (globalThis.document?.getElementById("job-page")) start(document.getElementById("main"));
