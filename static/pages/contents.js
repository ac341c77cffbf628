/** What the tabs of a job hold, except its log, which is always drawn. */

import { jobPath } from "./api.js";
import { Children } from "./family.js";
import { carryToken, showFiles } from "./files.js";
import { number } from "./format.js";
import { History } from "./history.js";
import { Listed, list, table } from "./results.js";
import { showSnippets } from "./snippets.js";
import { put } from "./ui.js";

const LONGEST_JSON = 300_000; // characters

export class Contents {
  #parts;
  #lists; // of results and errors
  #children;
  #history;
  /** The fields that each tab shows, and how it is drawn. */
  #tabs = {
    results: { fields: ["results"], draw: (job) => this.#lists[0].show(job) },
    errors: { fields: ["errors"], draw: (job) => this.#lists[1].show(job) },
    files: { fields: ["files"], draw: (job) => this.#showFiles(job) },
    children: { fields: ["children"], draw: (job) => this.#showChildren(job) },
    history: {
      fields: ["status", "attempt", "waiting", "cancel_requested", "files"],
      draw: (job) => this.#history.show(job),
    },
    json: { fields: [], draw: (job) => this.#showJson(job) }, // and each second: it may be long
    embed: { fields: ["title"], draw: (job) => showSnippets(this.#parts.snippets, job) },
  };

  constructor(id, parts, onError) {
    this.#parts = parts;
    const listed = (kind, draw) => {
      const own = { more: parts[`${kind}-more`], cut: parts[`${kind}-cut`] };
      return new Listed(id, kind, own, draw, onError);
    };
    this.#lists = [listed("results", table(parts.results)), listed("errors", list(parts.errors))];
    this.#children = new Children(parts);
    this.#history = new History(id, parts);
  }

  /** The whole job is new. */
  clear() {
    for (const each of this.#lists) each.clear();
  }

  /** Another tab is open now. */
  open(tab, job) {
    if (tab !== "children") this.#children.close();
    this.show(tab, job, () => true);
  }

  close() {
    this.#children.close();
  }

  /** Draw the open tab only, if `changed(...fields)`. */
  show(tab, job, changed) {
    const { fields, draw } = this.#tabs[tab] ?? {};
    if (draw && changed(...fields)) draw(job);
  }

  /** Draw what changes with time alone. */
  tick(tab, job) {
    this.#children.tick();
    if (tab === "json") this.#showJson(job);
  }

  #showFiles(job) {
    const { files, all } = this.#parts;
    all.hidden = job.files.length < 2;
    carryToken(all, `${jobPath(job.id)}/files.zip`);
    showFiles(files, job);
  }

  #showChildren(job) {
    this.#parts["all-children"].hidden = !job.children.total;
    if (job.children.total) this.#children.open(job);
  }

  #showJson({ logs: _, ...job }) {
    const text = JSON.stringify(job, null, 2);
    put(this.#parts.json, text.length > LONGEST_JSON ? `${text.slice(0, LONGEST_JSON)}…` : text);
  }
}

/** Show how much each tab holds, and suggest one that holds something. */
export function showCounts(tabs, parts, job) {
  const counts = {
    log: job.logs_total,
    results: job.results_total,
    files: job.files.length,
    errors: job.errors_total,
    children: job.children.total,
  };
  for (const [name, n] of Object.entries(counts)) tabs.count(name, n ? number.format(n) : "");
  for (const name of ["results", "errors", "files", "children"]) parts[`no-${name}`].hidden = counts[name] > 0;
  parts["results-frame"].hidden = !counts.results;
  tabs.suggest(counts);
}
