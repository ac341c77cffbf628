/** The list of a project's jobs: charts, filters, and rows that follow the feed. */

import { credential, readStats } from "./api.js";
import { teach } from "./begin.js";
import { Charts, RANGES } from "./charts.js";
import { STATUSES } from "./describe.js";
import { Entries } from "./entries.js";
import { FLAGS, Filters } from "./filters.js";
import { number } from "./format.js";
import { help, listen } from "./keys.js";
import { listOf, pageOf, showConnection, showNotice, showPlace } from "./layout.js";
import { Loader } from "./loading.js";
import { watch } from "../livejobs.js";
import { projectMenu } from "./projects.js";
import { fillRow, fillTimes, makeGap, makeRow, reuseRow } from "./row.js";
import { Selection } from "./selection.js";
import { session } from "./session.js";
import { start } from "./start.js";
import * as ui from "./ui.js";
import { VirtualList } from "./virtual.js";

const BEGIN = 100; // jobs that the feed sends first
const MOST = 150_000; // rows before the list begins again
const TYPING = 200; // ms after the last letter until the server searches
const STATS = 15_000; // ms, while no job changes its status
const TABS = [
  ["", "", "All"],
  ["queued", "", "Queued"],
  ["running", "", "Running"],
  ...Object.entries(FLAGS).map(([flag, label]) => ["", flag, label]),
  ...Object.entries(STATUSES).slice(2).map(([status, label]) => [status, "", label]),
];
const NONE = {
  waiting: "No job waits for an answer.",
  stalled: "No job is stalled.",
  queued: "No job is in the queue.",
  running: "No job is running.",
  failed: "No job has failed.",
};

class ListPage {
  #filters;
  #parts;
  #page;
  #entries = new Entries();
  #loader;
  #rows;
  #charts;
  #selection;
  #ready = false;
  #pointed = false; // the mouse is over the list
  #current = null; // id of the row that the keyboard is at
  #named = { type: new Set(), tag: new Set() }; // what there is to filter by
  #help = null;
  #timers;

  constructor(root, query) {
    this.#filters = new Filters(query);
    this.#page = ui.make("list-page");
    this.#parts = this.#page.parts;
    root.replaceChildren(this.#page);
    this.#loader = new Loader(this.#filters, this.#entries, {
      jobs: (jobs, page) => this.#take(jobs, page),
      queue: (jobs) => this.#placed(jobs),
      counts: () => {
        this.#showCounts();
        this.#chart();
      },
      settled: () => this.#rows.draw(),
    });
    this.#build();
    this.watch = watch(
      { ...this.#filters.scope, limit: BEGIN },
      {
        ...credential.watching,
        rate: 10,
        background: true, // see start.js
        onChange: (job) => this.#change(job),
        onGone: (id) => this.#gone(id),
        onReady: () => this.#onReady(),
        onReset: () => {
          this.#entries.clear();
          this.#begin();
        },
        onState: (state) => this.#onState(state),
      },
    );
    this.#begin();
    this.#chart();
    this.#timers = [
      setInterval(() => this.#tick(), 1000),
      setInterval(() => document.hidden || this.#chart(), STATS),
    ];
  }

  // Building

  #build() {
    const { cards, ranges, rows } = this.#parts;
    const { project } = this.#filters.scope;
    this.#charts = new Charts(cards, ranges, (range) => this.#chooseRange(range));
    this.#selection = new Selection(this.#page, {
      jobOf: (id) => this.#entries.get(id)?.job,
      unfinished: () => this.#loader.unfinished(),
      changed: () => this.#selected(),
    });
    this.#rows = new VirtualList(rows, {
      length: () => this.#entries.length,
      key: (index) => (this.#entries.order[index]?.job ? this.#entries.order[index].id : `gap ${index}`),
      make: (index) => this.#make(index),
      reuse: (node, index) => reuseRow(node, this.#entries.order[index]?.job),
      fill: (node, index) => this.#fill(node, index),
      kept: () => (rows.contains(document.activeElement) ? this.#at(this.#current) : -1),
      before: () => this.#arrange(),
      after: () => this.#drawn(),
    });
    this.#buildTools();
    this.#listen();
    teach(this.#parts, project, Boolean(credential.token));
    showPlace(project);
    projectMenu(document.querySelector("[data-part=place]"), project);
    this.#showRights();
    this.#showScope();
    this.#showTools();
  }

  #buildTools() {
    const { statuses, type, tag, q, clear, news } = this.#parts;
    for (const [status, flag, label] of TABS) {
      const button = ui.element("button", undefined, { type: "button" });
      Object.assign(button, { status, flag, onclick: () => this.#choose({ status, flag }) });
      button.append(ui.element("span", label), ui.element("b", "", { class: "num" }));
      statuses.append(button);
    }
    type.onchange = () => this.#choose({ type: type.value });
    tag.onchange = () => this.#choose({ tag: tag.value });
    q.oninput = () => this.#choose({ q: q.value.trim() }, { typed: true });
    clear.onclick = () => this.#choose({ status: "", flag: "", type: "", tag: "", q: "" });
    news.onclick = () => this.#letIn();
    addEventListener("popstate", () => {
      this.#filters.read(new URLSearchParams(location.search));
      this.#begin();
      this.#chart();
    });
  }

  #listen() {
    const { listed, rows } = this.#parts;
    const point = (over) => (event) => {
      if (event.pointerType !== "mouse") return;
      this.#pointed = over;
      this.#hold();
    };
    listed.addEventListener("pointerenter", point(true));
    listed.addEventListener("pointerleave", point(false));
    rows.addEventListener("focusin", ({ target }) => this.#come(target.closest(".row")?.dataset.id));
    rows.addEventListener("focusout", () => setTimeout(() => this.#hold()));
    rows.addEventListener("click", (event) => this.#click(event));
    listen({
      "/": () => (this.#parts.q.focus(), this.#parts.q.select(), true),
      "?": () => ((this.#help ??= help()).showModal(), true),
      j: () => this.#step(1),
      k: () => this.#step(-1),
      g: () => this.#goTo(0),
      x: () => this.#select(false),
      X: () => this.#select(true),
      ArrowRight: ({ target }) => this.#open(target, true),
      ArrowLeft: ({ target }) => this.#open(target, false),
      Escape: () => this.#escape(),
    });
  }

  /** A credential that may not cancel selects nothing. */
  async #showRights() {
    const { may, open } = (await session().catch(() => null)) ?? { may: [], open: true };
    this.#page.classList.toggle("watching-only", !may.includes("cancel"));
    if (!open) teach(this.#parts, this.#filters.scope.project, true);
  }

  #showScope() {
    const { scope } = this.#parts;
    const { project, parent } = this.#filters.scope;
    scope.hidden = !parent;
    if (!parent) return;
    const link = (text, href) => ui.element("a", text, { href });
    scope.append("Children of ", link(parent, pageOf(parent)), link("Show all jobs", listOf({ project })));
  }

  // Filters

  #choose(chosen, how = {}) {
    this.#filters.choose(chosen, how);
    this.#begin(how.typed ? TYPING : 0);
  }

  #begin(delay = 0) {
    const { any, scope } = this.#filters;
    this.#loader.begin(delay);
    this.#entries.grouped = !any && !scope.parent;
    this.#showTools();
    this.#loader.recount();
    this.#rows.draw();
  }

  #showTools() {
    const { statuses, q } = this.#parts;
    const { chosen } = this.#filters;
    for (const button of statuses.children) {
      const isChosen = button.status === chosen.status && button.flag === chosen.flag;
      ui.attribute(button, "aria-pressed", isChosen);
    }
    if (document.activeElement !== q) q.value = chosen.q;
    this.#showNames("type", "All types");
    this.#showNames("tag", "All tags");
    this.#charts.choose(this.#range);
  }

  #showNames(field, all) {
    const select = this.#parts[field];
    const chosen = this.#filters.chosen[field];
    const names = ["", ...new Set([...this.#named[field], chosen].filter(Boolean))].sort();
    const create = (name) => ui.element("option", name || all, { value: name });
    ui.keyed(select, names, (name) => name, create, () => {});
    select.value = chosen;
    select.hidden = names.length < 2;
  }

  /** Learn what the jobs can be filtered by. Workers may invent names without end. */
  #learn(job) {
    for (const [field, names] of [["type", [job.type]], ["tag", job.tags]]) {
      const known = this.#named[field];
      const fresh = names.filter((name) => name && !known.has(name) && known.size < 200);
      for (const name of fresh) known.add(name);
      if (fresh.length) this.#showNames(field, field === "type" ? "All types" : "All tags");
    }
  }

  #showCounts() {
    const { counts } = this.#loader;
    for (const button of this.#parts.statuses.children) {
      ui.put(button.lastChild, number.format(counts[button.flag || button.status || "all"] ?? 0));
    }
    const { project } = this.#filters.scope;
    const name = project === "default" ? "Jobs" : project;
    document.title = counts.running ? `${name} (${counts.running} running)` : name;
    this.#rows.draw();
  }

  // Charts

  get #range() {
    return Object.hasOwn(RANGES, this.#filters.range) ? this.#filters.range : "hour";
  }

  #chooseRange(range) {
    this.#filters.chooseRange(range === "hour" ? "" : range);
    this.#chart();
  }

  async #chart() {
    const range = this.#range;
    this.#charts.choose(range);
    const { project } = this.#filters.scope;
    const stats = await readStats({ project, range }).catch(() => null);
    if (stats && range === this.#range) this.#charts.show(stats);
  }

  // Jobs

  /** The jobs of the feed; null until it connects. */
  get #watched() {
    return this.watch.jobs;
  }

  #take(jobs, page) {
    for (const job of jobs) this.#admit(job, page);
    if (page === 0) for (const job of this.#watched?.values() ?? []) this.#admit(job, null);
    if (this.#entries.read > MOST) return this.#begin();
    this.#rows.draw();
  }

  #admit(job, page) {
    this.#learn(job);
    const known = this.#entries.get(job.id)?.job ?? this.#watched?.get(job.id);
    const newer = known && isNewer(known, job) ? known : job;
    const below = this.#entries.expanded.has(job.parent);
    const entry = this.#entries.take(newer, { fits: this.#filters.matches(newer), page, below });
    if (entry && newer !== known) entry.seen = Date.now();
    return entry;
  }

  #change(job) {
    const before = this.#entries.get(job.id)?.job;
    this.#admit(job, null);
    if (!before || before.status !== job.status || before.stalled !== job.stalled) this.#loader.recount();
    if (this.#selection.has(job.id)) this.#selection.show();
    this.#rows.draw();
  }

  /** Places in the queue, which the feed does not send. */
  #placed(jobs) {
    for (const { id, cursor, queue } of jobs) {
      const entry = this.#entries.get(id);
      if (entry?.job?.cursor !== cursor) continue;
      entry.job = { ...entry.job, queue };
      entry.seen = Date.now();
    }
  }

  #gone(id) {
    this.#entries.drop(id);
    this.#loader.recount();
    this.#rows.draw();
  }

  #onReady() {
    this.#ready = true;
    this.#loader.recount();
    this.#rows.draw();
  }

  #onState(state) {
    showConnection(state);
    if (state === "live" && this.#ready) this.#loader.recount();
    if (state !== "denied" && state !== "refused") return;
    for (const timer of this.#timers) clearInterval(timer);
    this.#loader.stop();
    showNotice(document.getElementById("main"), state);
  }

  // Rows

  #at(id) {
    const entry = id && this.#entries.get(id);
    return entry ? this.#entries.order.indexOf(entry) : -1;
  }

  /** Keep the places of rows while somebody may be about to click one, or reads further down. */
  #hold() {
    const { rows } = this.#parts;
    const busy = this.#pointed || rows.contains(document.activeElement) || !this.#rows.isAtTop;
    const holding = busy && this.#ready && this.#loader.settled && this.#entries.order.length > 0;
    if (holding === this.#entries.holding) return;
    this.#entries.holding = holding;
    if (!holding) this.#entries.release();
    this.#rows.draw();
  }

  #letIn() {
    this.#entries.release();
    this.#rows.show();
    scrollTo(0, 0);
  }

  /** Put the rows in order. What is in the window stays where it is. */
  #arrange() {
    const { first, isAtTop } = this.#rows;
    const seen = this.#entries.order[first];
    if (!this.#entries.arrange() || isAtTop || !seen) return;
    const now = this.#entries.order.indexOf(seen);
    if (now >= 0) this.#rows.shift(now - first);
  }

  #make(index) {
    const entry = this.#entries.order[index];
    return entry?.job ? makeRow(entry.job, this.#ready) : makeGap();
  }

  #fill(node, index) {
    const entry = this.#entries.order[index];
    if (!entry?.job || !node.parts) return;
    fillRow(node, entry, {
      index,
      length: this.#entries.length,
      selected: this.#selection.has(entry.id),
      expanded: this.#entries.expanded.has(entry.id),
    });
  }

  #drawn() {
    const { first, last } = this.#rows;
    const entries = this.#entries;
    this.#hold();
    this.#showState();
    this.#loader.more(last);
    this.#loader.refill(entries.order.slice(first, last));
    entries.trim(first, last);
  }

  #showState() {
    const { rows, loading, nothing, empty, why, news } = this.#parts;
    const { chosen, any, scope } = this.#filters;
    const settled = this.#ready && this.#loader.settled;
    const none = this.#entries.length === 0 && this.#entries.held.size === 0;
    loading.hidden = !none || settled;
    rows.hidden = none;
    ui.attribute(rows, "aria-busy", !settled);
    empty.hidden = !settled || !none || any || Boolean(scope.parent);
    nothing.hidden = !settled || !none || !empty.hidden;
    const only = !chosen.type && !chosen.tag && !chosen.q;
    ui.put(why, (only && NONE[chosen.flag || chosen.status]) || "No job matches.");
    news.hidden = !this.#entries.held.size;
    this.#showReading();
    const n = this.#entries.held.size;
    ui.put(news, `${number.format(n)} new ${n === 1 ? "job" : "jobs"}`);
    document.body.classList.toggle("bare", !empty.hidden);
  }

  /** After a jump far ahead: how far the list is read. */
  #showReading() {
    const { order, read, total, next } = this.#entries;
    const { reading } = this.#parts;
    reading.hidden = !next || this.#rows.last < order.length + 20;
    if (!reading.hidden) ui.put(reading, `Reading ${number.format(read)} of ${number.format(total)}`);
  }

  #tick() {
    for (const row of this.#parts.rows.children) {
      const entry = row.job && this.#entries.get(row.job.id);
      if (entry) fillTimes(row, entry, Date.now());
    }
  }

  #click({ target, shiftKey }) {
    const id = target.closest(".row")?.dataset.id;
    if (target.matches("input")) this.#mark(id, shiftKey);
    if (target.matches("[data-part=open]")) this.#expand(id);
  }

  #mark(id, extended) {
    if (this.#page.classList.contains("watching-only")) return;
    const order = extended ? this.#entries.order.map((entry) => entry.id) : [];
    if (extended) this.#selection.extend(id, order);
    else this.#selection.toggle(id);
  }

  #selected() {
    this.#page.classList.toggle("selecting", this.#selection.ids.size > 0);
    this.#rows.draw();
  }

  // Children

  async #expand(id, open = !this.#entries.expanded.has(id)) {
    this.#entries.expand(id, open);
    this.#rows.show();
    if (!open) return;
    const jobs = await this.#loader.children(id).catch(() => []);
    for (const job of jobs) this.#admit(job, null);
    this.#rows.draw();
  }

  // Keyboard

  #come(id) {
    this.#current = id ?? this.#current;
    this.#hold();
  }

  #step(step) {
    const at = this.#at(this.#current);
    return this.#goTo(at < 0 ? this.#rows.first : at + step);
  }

  #goTo(index) {
    const entry = this.#entries.order[index];
    if (!entry) return true;
    this.#current = entry.id;
    this.#rows.reveal(index);
    this.#parts.rows.nodes.get(entry.id)?.parts?.title.focus({ preventScroll: true });
    return true;
  }

  #select(extended) {
    if (this.#at(this.#current) < 0) return undefined;
    this.#mark(this.#current, extended);
    return true;
  }

  #open(target, open) {
    const id = target.closest?.(".row")?.dataset.id;
    const entry = id && this.#entries.get(id);
    if (!entry) return undefined;
    if (!open && !this.#entries.expanded.has(id)) return this.#goTo(this.#at(entry.parent));
    if (entry.job?.children.total) this.#expand(id, open);
    return true;
  }

  #escape() {
    if (this.#selection.ids.size) this.#selection.clear();
    else document.activeElement.blur();
    return undefined;
  }
}

const seq = (job) => Number(job.cursor.slice(job.cursor.lastIndexOf(".") + 1));
const isNewer = (a, b) => seq(a) > seq(b);

start((root) => new ListPage(root, new URLSearchParams(location.search)));
