/** The list of a project's jobs: filters, counts, and rows that follow the feed. */

import { credential, listJobs } from "./api.js";
import { STATUSES, messageText, nameOf, percentOf, stateText, timeText } from "./describe.js";
import { age, number, since } from "./format.js";
import { listOf, pageOf, showConnection, showNotice, showPlace } from "./layout.js";
import { BASE, Jobs, newestFirst, watch } from "../livejobs.js";
import { start } from "./start.js";
import * as ui from "./ui.js";

const PAGE = 100;
const SCOPE = ["project", "parent", "tag"]; // set by the address only
const FILTERS = ["status", "type", "q"];

class ListPage {
  #scope;
  #filter;
  #parts;
  #jobs = new Jobs(); // those of the feed and of the list
  #seen = new Map(); // when each job last changed, for its countdown
  #dirty = new Set(); // ids of rows to update
  #stale = true; // the rows and their order must be computed again
  #ready = false;
  #most = PAGE; // rows
  #next = null; // cursor of the list's next page, if any
  #request = null; // the newest request for the list; answers to earlier ones are ignored
  #counting = 0; // timer of the next count
  #outdated = false; // something changed since the last count
  #draw = ui.eachFrame(() => this.#show());

  constructor(root, query) {
    this.#scope = { ...pick(query, SCOPE), project: query.get("project") || "default" };
    this.#filter = pick(query, FILTERS);
    const page = ui.make("list-page");
    this.#parts = page.parts;
    root.replaceChildren(page);
    this.#build();
    this.watch = watch(
      { ...this.#scope, limit: PAGE },
      {
        ...credential.watching,
        rate: 10,
        background: true, // see pages.js
        onChange: (job) => this.#hear(job),
        onGone: (id) => this.#jobs.delete(id) && this.#rearrange(),
        onReady: () => {
          this.#ready = true;
          this.#rearrange();
        },
        onReset: () => {
          this.#jobs.clear();
          this.#begin();
        },
        onState: (state) => this.#onState(state),
      },
    );
    this.#load();
    setInterval(() => this.#tick(), 1000);
  }

  // Tools

  #build() {
    const { statuses, type, q, more, clear, commands } = this.#parts;
    for (const [status, label] of [["", "All"], ...Object.entries(STATUSES)]) {
      const button = ui.element("button", undefined, { type: "button", "data-status": status });
      button.append(ui.element("span", label), ui.element("b", ""));
      button.onclick = () => this.#choose({ status });
      statuses.append(button);
    }
    type.onchange = () => this.#choose({ type: type.value });
    q.value = this.#filter.q;
    q.oninput = () => this.#choose({ q: q.value.trim() }, 200);
    more.onclick = () => this.#showMore();
    clear.onclick = () => this.#choose({ status: "", type: "", q: (q.value = "") });
    for (const [task, code] of firstSteps(this.#scope.project)) {
      const command = ui.make("command");
      ui.put(command.parts.task, task);
      ui.put(command.parts.code, code);
      command.parts.copy.onclick = () => ui.copy(command.parts.copy, code);
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
    const link = (text, href) => ui.element("a", text, { href });
    if (parent) scope.append("Children of ", link(parent, pageOf(parent)), " ");
    if (tag) scope.append("Tagged ", ui.element("b", tag), " ");
    scope.append(link("Show all", listOf({ project })));
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
      ui.attribute(button, "aria-pressed", button.dataset.status === this.#filter.status);
    }
    const types = new Set([...this.#jobs.values()].map((job) => job.type));
    types.add(this.#filter.type);
    const options = ["", ...[...types].filter(Boolean).sort()];
    const create = (name) => ui.element("option", name || "All types", { value: name });
    if (!type.nodes) type.replaceChildren();
    ui.keyed(type, options, (name) => name, create, () => {});
    type.value = this.#filter.type;
    type.hidden = options.length < 2;
  }

  // Lists

  /** The list's parameters. The server's text search needs at least three letters. */
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
    const request = (this.#request = Symbol("request"));
    if (delay) await new Promise((resolve) => setTimeout(resolve, delay));
    if (this.#request !== request) return;
    try {
      const page = await listJobs({ ...this.#query, limit: PAGE, after: this.#next });
      if (this.#request !== request) return;
      this.#request = null;
      this.#next = page.next;
      for (const job of page.jobs) if (this.#jobs.take(job)) this.#change(job);
      this.#showCounts(page.counts);
    } catch {
      this.#request = null; // the server is away; the stream's state shows it
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

  /** Count soon, and at most every two seconds. */
  #recount() {
    this.#outdated = true;
    this.#counting ||= setTimeout(() => this.#count(), 100);
  }

  /** Read counts and queue positions from the list: the feed does not send them. */
  async #count() {
    this.#outdated = false;
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
      // The server is away. When it returns, the stream's state counts again.
    }
    setTimeout(() => {
      this.#counting = 0;
      if (this.#outdated) this.#recount();
    }, 2000);
  }

  #showCounts(counts) {
    const all = Object.keys(STATUSES).reduce((sum, status) => sum + (counts[status] ?? 0), 0);
    for (const button of this.#parts.statuses.children) {
      const status = button.dataset.status;
      ui.put(button.lastChild, number.format(status ? (counts[status] ?? 0) : all));
    }
    const name = this.#scope.project === "default" ? "Jobs" : this.#scope.project;
    document.title = counts.running ? `${name} (${counts.running} running)` : name;
  }

  // Rows

  #hear(job) {
    if (this.#jobs.take(job)) this.#change(job);
  }

  #change(job) {
    const row = this.#parts.rows.nodes?.get(job.id);
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
    else for (const id of this.#dirty) this.#update(this.#parts.rows.nodes.get(id));
    this.#dirty.clear();
    this.#stale = false;
  }

  #arrange() {
    const all = [...this.#jobs.values()];
    const found = all.filter((job) => this.#matches(job)).sort(newestFirst);
    const { rows, waiting, nothing, empty, more } = this.#parts;
    const create = (job) => this.#makeRow(job);
    ui.keyed(rows, found.slice(0, this.#most), (job) => job.id, create, (row) => this.#update(row));
    const settled = this.#ready && !this.#request;
    waiting.hidden = found.length > 0 || settled;
    ui.attribute(rows, "aria-busy", !settled);
    empty.hidden = !settled || all.length > 0 || Boolean(this.#scope.parent || this.#scope.tag);
    nothing.hidden = !settled || found.length > 0 || !empty.hidden;
    more.hidden = !this.#next && found.length <= this.#most;
    document.body.classList.toggle("bare", !empty.hidden);
    this.#showTools();
    for (const id of this.#seen.keys()) if (!this.#jobs.has(id)) this.#seen.delete(id);
  }

  #makeRow(job) {
    const row = ui.make("row");
    const link = row.firstElementChild;
    link.href = pageOf(job.id);
    row.glyph = ui.make("glyph");
    link.prepend(row.glyph);
    row.key = job.id;
    row.classList.toggle("arriving", this.#ready && since(job.created_at, Date.now()) < 10);
    return row;
  }

  #update(row) {
    const job = row && this.#jobs.get(row.key);
    if (!job || row.job === job) return;
    row.job = job;
    const { title, type, message, fill, word } = row.parts;
    ui.attribute(row, "data-status", job.stalled ? "stalled" : job.status);
    ui.showGlyph(row.glyph, job);
    ui.put(title, nameOf(job));
    ui.put(type, job.type ?? "");
    ui.put(message, messageText(job, Date.now()));
    const state = stateText(job);
    ui.put(word, state);
    word.classList.toggle("number", state.endsWith("%") && job.status === "running");
    ui.showBar(fill, percentOf(job), job.status === "running");
    this.#updateTime(row, Date.now());
  }

  #updateTime(row, now) {
    const { job } = row;
    ui.put(row.parts.time, timeText(job, this.#seen.get(job.id) ?? now, now));
    ui.showTime(row.parts.age, job.created_at, age(job.created_at, now));
    if (job.stalled) ui.put(row.parts.message, messageText(job, now));
  }

  #tick() {
    for (const row of this.#parts.rows.children) this.#updateTime(row, Date.now());
  }

  #onState(state) {
    showConnection(state);
    if (state === "live" && this.#ready) this.#recount();
    if (state === "denied" || state === "refused") showNotice(document.getElementById("main"), state);
  }
}

const pick = (query, names) =>
  Object.fromEntries(names.map((name) => [name, query.get(name) ?? ""]));

/** JSON in one line, with spaces. A line break inside a string is escaped, so none is lost. */
const spaced = (value) =>
  JSON.stringify(value, null, 1).replace(/\n */g, " ").replace(/([{[]) | ([\]}])/g, "$1$2");

/** The text as one quoted word of a shell. */
const shellWord = (text) => `'${text.replaceAll("'", "'\\''")}'`;

/** Commands that create and finish a first job: pairs of task and command. */
function firstSteps(project) {
  const job = { ...(project === "default" ? {} : { project }), title: "Hello", total: 100 };
  const progress = { type: "progress", current: 42, message: "Warming up" };
  const key = credential.token ? ` \\\n  -H "x-api-key: $LIVEJOBS_KEY"` : "";
  const curl = (target, body) =>
    `curl ${target}${key} \\\n  --json ${shellWord(spaced(body))}`;
  const hello = new URL("v1/jobs/hello", BASE);
  return [
    ["Create a job", curl(`-X PUT ${hello}`, job)],
    ["Report its progress", curl(`${hello}/reports`, progress)],
    ["Finish it", curl(`${hello}/reports`, { type: "succeed" })],
  ];
}

start((root) => new ListPage(root, new URLSearchParams(location.search)));
