/** The list of a project's jobs: charts, filters, and rows that follow the feed. */

import { credential } from "./api.js";
import { teach } from "./begin.js";
import { Entries, isNewer } from "./entries.js";
import { Filters } from "./filters.js";
import { Hand } from "./hand.js";
import { showConnection, showNotice, showPlace } from "./layout.js";
import { showScope, showState } from "./liststate.js";
import { Loader } from "./loading.js";
import { watch } from "../livejobs.js";
import { projectMenu } from "./projects.js";
import { fillRow, fillTimes, makeGap, makeRow, reuseRow } from "./row.js";
import { Selection } from "./selection.js";
import { session } from "./session.js";
import { start } from "./start.js";
import { Tools } from "./tools.js";
import { Trends } from "./trends.js";
import { make } from "./ui.js";
import { VirtualList } from "./virtual.js";

const BEGIN = 100; // jobs that the feed sends first
const MOST = 150_000; // rows before the list begins again
const TYPING = 200; // ms after the last letter until the server searches
const STATS = 15_000; // ms, while no job changes its status

class ListPage {
  #filters;
  #parts;
  #page;
  #entries = new Entries();
  #loader;
  #rows;
  #trends;
  #tools;
  #selection;
  #hand;
  #ready = false;
  #timers;

  constructor(root, query) {
    this.#filters = new Filters(query);
    this.#page = make("list-page");
    this.#parts = this.#page.parts;
    root.replaceChildren(this.#page);
    this.#loader = new Loader(this.#filters, this.#entries, {
      jobs: (jobs, page) => this.#take(jobs, page),
      queue: (jobs) => this.#placed(jobs),
      counts: () => {
        this.#showCounts();
        this.#trends.read();
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
    this.#trends.read();
    this.#timers = [
      setInterval(() => this.#tick(), 1000),
      setInterval(() => document.hidden || this.#trends.read(), STATS),
    ];
  }

  // Building

  #build() {
    const { project } = this.#filters.scope;
    this.#trends = new Trends(this.#parts, this.#filters);
    this.#tools = new Tools(this.#parts, this.#filters, (chosen, how) => this.#choose(chosen, how));
    this.#selection = new Selection(this.#page, {
      jobOf: (id) => this.#entries.get(id)?.job,
      unfinished: () => this.#loader.unfinished(),
      changed: () => this.#selected(),
    });
    this.#buildRows();
    const list = { entries: this.#entries, rows: this.#rows, selection: this.#selection };
    this.#hand = new Hand(this.#page, list, {
      moved: () => this.#hold(),
      expand: (id, open) => this.#expand(id, open),
    });
    this.#parts.news.onclick = () => this.#letIn();
    addEventListener("popstate", () => this.#goBack());
    teach(this.#parts, project, Boolean(credential.token));
    showPlace(project);
    projectMenu(document.querySelector("[data-part=place]"), project);
    this.#showRights();
    showScope(this.#parts, this.#filters.scope);
    this.#tools.show();
  }

  #buildRows() {
    this.#rows = new VirtualList(this.#parts.rows, {
      length: () => this.#entries.length,
      key: (index) => (this.#entries.order[index]?.job ? this.#entries.order[index].id : `gap ${index}`),
      make: (index) => this.#make(index),
      reuse: (node, index) => reuseRow(node, this.#entries.order[index]?.job),
      fill: (node, index) => this.#fill(node, index),
      kept: () => this.#hand.focused,
      before: () => this.#arrange(),
      after: () => this.#drawn(),
    });
  }

  /** A credential that may not cancel selects nothing. */
  async #showRights() {
    const { may, open } = (await session().catch(() => null)) ?? { may: [], open: true };
    this.#page.classList.toggle("watching-only", !may.includes("cancel"));
    if (!open) teach(this.#parts, this.#filters.scope.project, true);
  }

  // Filters

  #choose(chosen, how = {}) {
    this.#filters.choose(chosen, how);
    this.#begin(how.typed ? TYPING : 0);
  }

  /** The reader went back to another address of this page. */
  #goBack() {
    this.#filters.read(new URLSearchParams(location.search));
    this.#begin();
    this.#trends.read();
  }

  #begin(delay = 0) {
    const { any, scope } = this.#filters;
    this.#loader.begin(delay);
    this.#entries.grouped = !any && !scope.parent;
    this.#tools.show();
    this.#loader.recount();
    this.#rows.draw();
  }

  #showCounts() {
    const { counts } = this.#loader;
    this.#tools.count(counts);
    const { project } = this.#filters.scope;
    const name = project === "default" ? "Jobs" : project;
    document.title = counts.running ? `${name} (${counts.running} running)` : name;
    this.#rows.draw();
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
    this.#tools.learn(job);
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

  /** Keep the places of rows while somebody may be about to click one, or reads further down. */
  #hold() {
    const busy = this.#hand.isThere || !this.#rows.isAtTop;
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
    const settled = this.#ready && this.#loader.settled;
    showState(this.#parts, { entries, filters: this.#filters, settled, last });
    this.#loader.more(last);
    this.#loader.refill(entries.order.slice(first, last));
    entries.trim(first, last);
  }

  #tick() {
    for (const row of this.#parts.rows.children) {
      const entry = row.job && this.#entries.get(row.job.id);
      if (entry) fillTimes(row, entry, Date.now());
    }
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
}

start((root) => new ListPage(root, new URLSearchParams(location.search)));
