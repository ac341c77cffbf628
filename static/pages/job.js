/** One job's page: each section is drawn when a field that it shows has changed. */

import { answerForm } from "./answer.js";
import { cancelJob, credential, jobPath } from "./api.js";
import * as describe from "./describe.js";
import { carryToken, showFiles } from "./files.js";
import { clock, number, since, span, valueText } from "./format.js";
import { NOTICES, listOf, pageOf, showConnection, showNotice, showPlace } from "./layout.js";
import { watch } from "../livejobs.js";
import { EARLIER, Log } from "./log.js";
import { start } from "./start.js";
import * as ui from "./ui.js";

const FIRST = 20; // results and errors shown at first

class JobPage {
  #id;
  #root;
  #page;
  #parts;
  #job = null;
  #shown = {}; // the job as drawn last
  #seenAt = 0;
  #log;
  #whole = true; // the whole job is new, its log too
  #entries = { results: FIRST, errors: FIRST };
  #confirming = 0; // timer, while the button asks for confirmation
  #draw = ui.eachFrame(() => this.#show());

  constructor(root, id) {
    this.#id = id;
    this.#root = root;
    const page = (this.#page = ui.make("job-page"));
    this.#parts = page.parts;
    this.#parts.glyph = ui.make("glyph");
    ui.put(this.#parts.title, id);
    document.title = id;
    root.replaceChildren(page);
    this.#log = new Log(id, this.#parts, (error) => this.#showRefusal(error));
    this.#build();
    this.watch = watch(id, {
      ...credential.watching,
      logs: true,
      tail: EARLIER,
      background: true, // see pages.js
      onChange: (job, delta) => this.#change(job, delta),
      onState: (state) => this.#onState(state),
    });
    setInterval(() => this.#job && this.#tick(), 1000);
  }

  #build() {
    this.#parts.cancel.onclick = () => this.#cancel();
    for (const kind of ["results", "errors"]) {
      this.#parts[`${kind}-more`].onclick = () => {
        this.#entries[kind] += FIRST * 5;
        this.#showEntries(kind);
      };
    }
  }

  #change(job, delta) {
    this.#job = job;
    this.#seenAt = Date.now();
    this.#whole ||= !delta;
    // Not in #show: a hidden tab draws no frames, and its title must follow.
    document.title = `${describe.tabMark(job)} ${describe.nameOf(job)}`;
    this.#draw();
  }

  #onState(state) {
    showConnection(state);
    if (state in NOTICES) this.#leave(state);
  }

  #leave(name) {
    this.#job = null;
    this.watch?.stop();
    document.title = NOTICES[name][0];
    showNotice(this.#root, name);
  }

  // Drawing

  #show() {
    const job = this.#job;
    if (!job) return;
    const changed = (...fields) => fields.some((field) => job[field] !== this.#shown[field]);
    if (changed("title", "type", "tags", "project")) this.#showHead(job);
    if (changed("waiting")) this.#showQuestion(job.waiting);
    if (changed("steps")) this.#showSteps(job);
    if (changed("files")) this.#showFiles(job);
    if (changed("result")) this.#showBlock("result", job.result);
    if (changed("error")) this.#showFailure(job);
    if (changed("counters")) this.#showFacts("counters", describe.counters(job));
    if (changed("meta")) this.#showFacts("meta", describe.values(job.meta));
    if (changed("parent", "children")) this.#showFamily(job);
    if (this.#whole) this.#log.clear();
    if (changed("logs", "status")) this.#log.show(job);
    this.#showProgress(job);
    this.#tick();
    for (const kind of ["results", "errors"]) if (changed(kind)) this.#showEntries(kind);
    ui.attribute(this.#page, "aria-busy", null);
    this.#shown = job;
    this.#whole = false;
  }

  #showHead(job) {
    const { title, labels } = this.#parts;
    showPlace(job.project);
    ui.put(title, describe.nameOf(job));
    const texts = [job.type, ...job.tags.map((tag) => `#${tag}`)].filter(Boolean);
    ui.keyed(labels, texts, (text) => text, (text) => ui.element("span", text), () => {});
  }

  #showProgress(job) {
    const { badge, percent, bar, fill, message, spoken, cancel, glyph } = this.#parts;
    ui.attribute(this.#page, "data-status", job.stalled ? "stalled" : job.status);
    if (!badge.firstChild) badge.append(glyph, ui.element("span"));
    ui.showGlyph(glyph, job);
    ui.put(badge.lastChild, job.stalled ? "Stalled" : describe.STATUSES[job.status]);
    const reached = describe.percentOf(job);
    const inWords = reached === null || (job.status === "queued" && !reached);
    ui.put(percent, inWords ? describe.stateText(job) : `${reached}%`);
    percent.classList.toggle("number", !inWords);
    ui.showBar(fill, reached, job.status === "running");
    ui.attribute(bar, "aria-valuenow", reached);
    const text = describe.messageText(job, Date.now());
    ui.put(message, text);
    message.hidden = !text || Boolean(job.error);
    ui.put(spoken, spokenText(job));
    this.#showCancel(job);
    cancel.hidden = describe.finished(job);
  }

  /** Draw the texts that change with time alone. */
  #tick() {
    const job = this.#job;
    const now = Date.now();
    ui.facts(this.#parts.figures, describe.figures(job, this.#seenAt, now));
    ui.facts(this.#parts.timing, describe.timing(job, now));
    ui.facts(this.#parts.facts, describe.details(job));
    if (job.stalled) ui.put(this.#parts.message, describe.messageText(job, now));
  }

  #showFailure(job) {
    const { failure, reason, code, detail } = this.#parts;
    failure.hidden = !job.error;
    if (!job.error) return;
    ui.put(reason, job.error.message || "The job failed without a message.");
    ui.put(code, job.error.code ?? "");
    code.hidden = !job.error.code;
    ui.put(detail, job.error.detail === null ? "" : valueText(job.error.detail, 2));
    detail.hidden = job.error.detail === null;
  }

  #showQuestion(waiting) {
    const { question } = this.#parts;
    question.hidden = !waiting;
    question.replaceChildren(...(waiting ? [answerForm(this.#id, waiting)] : []));
  }

  #showBlock(name, value) {
    this.#parts[`${name}-section`].hidden = value === null;
    ui.put(this.#parts[name], value === null ? "" : valueText(value, 2));
  }

  #showFacts(name, pairs) {
    this.#parts[`${name}-section`].hidden = !ui.facts(this.#parts[name], pairs);
  }

  #showSteps(job) {
    this.#parts["steps-section"].hidden = !job.steps.length;
    const create = () => {
      const step = ui.make("step");
      step.glyph = ui.make("glyph");
      step.prepend(step.glyph);
      return step;
    };
    ui.keyed(this.#parts.steps, job.steps, (step) => step.name, create, updateStep);
  }

  #showFiles(job) {
    const { files, all, "files-section": section, "files-count": count } = this.#parts;
    section.hidden = !job.files.length;
    all.hidden = job.files.length < 2;
    ui.put(count, all.hidden ? "" : number.format(job.files.length));
    carryToken(all, `${jobPath(job.id)}/files.zip`);
    showFiles(files, job);
  }

  #showFamily({ id, project, parent, children }) {
    const { family, "family-section": section } = this.#parts;
    section.hidden = !parent && !children.total;
    family.replaceChildren();
    if (parent) family.append(member("Parent", parent, pageOf(parent)));
    if (!children.total) return;
    const statuses = Object.keys(describe.STATUSES).filter((status) => children[status]);
    const counts = statuses.map((status) => `${children[status]} ${status}`).join(", ");
    family.append(member("Children", counts, listOf({ project, parent: id })));
  }

  #showEntries(kind) {
    const { [kind]: list, [`${kind}_total`]: total } = this.#job;
    this.#parts[`${kind}-section`].hidden = !total;
    ui.put(this.#parts[`${kind}-count`], number.format(total));
    const some = list.slice(-this.#entries[kind]).reverse();
    ui.keyed(this.#parts[kind], some, (entry) => entry.n, makeEntry, () => {});
    this.#parts[`${kind}-more`].hidden = some.length === list.length;
  }

  // Cancelling: the first request goes to the worker; a second one ends the job at once

  #showCancel(job) {
    const { cancel } = this.#parts;
    const label = job.cancel_requested ? "End it now" : "Cancel";
    ui.put(cancel, this.#confirming ? "Really?" : label);
    cancel.classList.toggle("sure", Boolean(this.#confirming));
  }

  async #cancel() {
    const force = this.#job.cancel_requested ? "true" : null;
    clearTimeout(this.#confirming);
    if (!this.#confirming) {
      this.#confirming = setTimeout(() => this.#stopConfirming(), 4000);
      return this.#showCancel(this.#job);
    }
    this.#stopConfirming();
    await cancelJob(this.#id, { force }).catch((error) => this.#showRefusal(error));
  }

  #stopConfirming() {
    this.#confirming = 0;
    if (this.#job) this.#showCancel(this.#job);
  }

  #showRefusal(error) {
    const { refused } = this.#parts;
    ui.put(refused, error.message);
    refused.hidden = false;
    setTimeout(() => (refused.hidden = true), 8000);
  }
}

/** For screen readers, in quarters: each change is read aloud. */
function spokenText(job) {
  const reached = describe.percentOf(job);
  const quarter = reached ? `, ${reached - (reached % 25)} percent` : "";
  return `${describe.STATUSES[job.status]}${quarter}`;
}

function member(label, text, href) {
  const item = ui.element("li", `${label} `);
  item.append(ui.element("a", text, { href }));
  return item;
}

const STEP = { pending: "queued", skipped: "cancelled" }; // drawn like these statuses of a job

function updateStep(node, step) {
  if (node.step === step) return;
  node.step = step;
  const { title, time, fill } = node.parts;
  const status = STEP[step.status] ?? step.status;
  ui.attribute(node, "data-status", status);
  ui.showGlyph(node.glyph, { status, progress: step });
  ui.put(title, step.title || step.name);
  ui.showBar(fill, step.percent, step.status === "running");
  ui.put(time, stepTime(step));
}

function stepTime({ status, percent, started_at, completed_at }) {
  if (status === "running") return percent === null ? "" : `${percent}%`;
  if (status === "skipped") return "Skipped";
  if (!started_at || !completed_at) return "";
  return span(since(started_at, Date.parse(completed_at)));
}

const SHORT = 120; // characters of a value that stay in one line

function makeEntry(entry) {
  const node = ui.make("entry");
  const { n, text, detail, at } = node.parts;
  const words = wordsOf(entry);
  const rest = typeof entry.value === "string" ? null : (entry.value ?? entry.detail ?? null);
  ui.put(n, number.format(entry.n));
  ui.put(text, words);
  ui.put(detail, rest === null ? "" : compact(rest));
  text.hidden = !words;
  detail.hidden = rest === null;
  ui.showTime(at, entry.at, clock.format(new Date(entry.at)));
  return node;
}

function compact(value) {
  const line = valueText(value);
  return line.length <= SHORT ? line : valueText(value, 2);
}

/** An error's message, or a result that is a string. */
function wordsOf({ message, item, value }) {
  if (message !== undefined) return item === null ? message : `${item}: ${message}`;
  if (value === null) return "null";
  return typeof value === "string" ? value : "";
}

start((root, path) => new JobPage(root, decodeURIComponent(path.slice("jobs/".length))));
