/** One job's page: each section is drawn when a field that it shows has changed. */

import { answerForm } from "./answer.js";
import { cancelJob, credential, jobPath } from "./api.js";
import * as describe from "./describe.js";
import { Children } from "./family.js";
import { carryToken, showFiles } from "./files.js";
import { number, valueText } from "./format.js";
import { History } from "./history.js";
import { listen } from "./keys.js";
import { NOTICES, listOf, pageOf, showConnection, showNotice, showPlace } from "./layout.js";
import { watch } from "../livejobs.js";
import { Log } from "./log.js";
import { Listed, list, table } from "./results.js";
import { session } from "./session.js";
import { shareDialog } from "./share.js";
import { showSnippets } from "./snippets.js";
import { Sparkline } from "./sparkline.js";
import { start } from "./start.js";
import { Notifier, showInTab } from "./tabmark.js";
import { Tabs } from "./tabs.js";
import { showSteps, showTimes } from "./timeline.js";
import * as ui from "./ui.js";

const TAIL = 500; // lines of log that the page begins with
const LONGEST_JSON = 300_000; // characters

class JobPage {
  #id;
  #root;
  #page;
  #parts;
  #job = null;
  #shown = {}; // the job as drawn last
  #seenAt = 0;
  #log;
  #lists; // of results and errors
  #children;
  #history;
  #tabs;
  #spark;
  #notifier;
  #may = null; // what the credential may do, once it is known
  #whole = true; // the whole job is new, its log too
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
    this.#build();
    this.#listen();
    this.#learnRights();
    this.watch = watch(id, {
      ...credential.watching,
      logs: true,
      tail: TAIL,
      background: true, // see start.js
      onChange: (job, delta) => this.#change(job, delta),
      onState: (state) => this.#onState(state),
    });
    setInterval(() => this.#job && this.#tick(), 1000);
  }

  #build() {
    const parts = this.#parts;
    const onError = (error) => this.#showRefusal(error);
    this.#log = new Log(this.#id, parts, { onError, onPick: (picked) => this.#address(picked) });
    const listed = (kind, draw) => {
      const own = { more: parts[`${kind}-more`], cut: parts[`${kind}-cut`] };
      return new Listed(this.#id, kind, own, draw, onError);
    };
    this.#lists = [listed("results", table(parts.results)), listed("errors", list(parts.errors))];
    this.#children = new Children(parts);
    this.#history = new History(this.#id, parts);
    this.#spark = new Sparkline(parts.spark);
    this.#notifier = new Notifier(parts.notify);
    this.#tabs = new Tabs(parts.tabs, () => this.#openTab());
    this.#readAddress();
    const share = shareDialog(this.#id);
    parts.share.onclick = () => share.open();
    parts.cancel.onclick = () => this.#cancel();
    parts["copy-json"].onclick = () => this.#copyJson().catch(onError);
    carryToken(parts.raw, jobPath(this.#id));
  }

  /** Show only what will work. Without an answer everything is shown: the server checks each request. */
  async #learnRights() {
    const by = await session().catch(() => null);
    this.#may = by && new Set(by.may);
    this.#parts.share.hidden = Boolean(credential.token) || !this.#can("token");
    this.#tabs.hide("history", !this.#can("trail"));
    if (!this.#job) return;
    this.#showQuestion(this.#job.waiting);
    this.#showCancel(this.#job);
  }

  #can = (action) => this.#may?.has(action) ?? true;

  #listen() {
    addEventListener("hashchange", () => this.#readAddress());
    const inLog = (act) => () => (this.#tabs.choose("log", { address: null }), act() ?? true);
    const digits = Array.from({ length: 8 }, (_, n) => [String(n + 1), () => (this.#tabs.nth(n), true)]);
    listen({
      "/": inLog(() => this.#log.search()),
      f: inLog(() => this.#log.toggleFollow()),
      Escape: () => this.#log.escape() || document.activeElement?.blur(),
      ...Object.fromEntries(digits),
    });
  }

  async #copyJson() {
    const { json, "copy-json": copy } = this.#parts;
    await navigator.clipboard.writeText(json.lastText ?? "");
    ui.put(copy, "Copied");
    setTimeout(() => ui.put(copy, "Copy"), 1600);
  }

  // The address names the tab, or lines of the log

  #readAddress() {
    const lines = /^#L([1-9]\d{0,14})(?:-L?([1-9]\d{0,14}))?$/.exec(location.hash);
    if (lines) {
      const [from, to] = [Number(lines[1]), Number(lines[2] ?? lines[1])];
      this.#tabs.choose("log", { address: null });
      return this.#log.goTo({ from: Math.min(from, to), to: Math.max(from, to) });
    }
    const name = location.hash.slice(1);
    if (this.#tabs.has(name)) this.#tabs.choose(name, { address: null });
  }

  #address(picked) {
    const { from, to } = picked ?? {};
    const name = !picked ? "log" : from === to ? `L${from}` : `L${from}-${to}`;
    history.replaceState(history.state, "", `#${name}`);
  }

  #openTab() {
    if (!this.#job) return;
    if (this.#tabs.chosen === "log") this.#log.again();
    if (this.#tabs.chosen !== "children") this.#children.close();
    this.#showTab(this.#job, () => true);
  }

  // The job

  #change(job, delta) {
    this.#job = job;
    this.#seenAt = Date.now();
    this.#whole ||= !delta;
    // Not in #show: a hidden tab draws no frames, and its title must follow.
    showInTab(job);
    this.#notifier.take(job);
    this.#draw();
  }

  #onState(state) {
    showConnection(state);
    if (state in NOTICES) this.#leave(state);
  }

  #leave(name) {
    this.#job = null;
    this.watch?.stop();
    this.#children.close();
    document.title = NOTICES[name][0];
    showNotice(this.#root, name);
  }

  // Drawing

  #show() {
    const job = this.#job;
    if (!job) return;
    const changed = (...fields) => this.#whole || fields.some((field) => job[field] !== this.#shown[field]);
    ui.attribute(this.#page, "aria-busy", null);
    if (changed("title", "type", "tags", "project", "attempt", "owner")) this.#showHead(job);
    if (changed("waiting")) this.#showQuestion(job.waiting);
    if (changed("steps")) this.#showSteps(job);
    if (changed("result")) this.#showBlock("result", job.result);
    if (changed("error")) this.#showFailure(job);
    if (changed("counters")) this.#showFacts("counters", describe.counters(job));
    if (changed("meta")) this.#showFacts("meta", describe.values(job.meta));
    if (changed("parent", "children")) this.#showFamily(job);
    this.#showProgress(job);
    this.#showCounts(job);
    if (this.#whole) for (const part of [this.#log, ...this.#lists]) part.clear();
    if (changed("logs", "status")) this.#log.show(job);
    this.#showTab(job, changed);
    this.#tick();
    this.#shown = job;
    this.#whole = false;
  }

  #showHead(job) {
    const { title, labels } = this.#parts;
    showPlace(job.project);
    ui.put(title, describe.nameOf(job));
    const attempt = job.attempt > 1 ? `attempt ${number.format(job.attempt)}` : null;
    const texts = [job.type, ...job.tags.map((tag) => `#${tag}`), attempt, `by ${job.owner}`].filter(Boolean);
    ui.keyed(labels, texts, (text) => text, (text) => ui.element("span", text), () => {});
  }

  #showProgress(job) {
    const { badge, percent, bar, fill, message, spoken, glyph } = this.#parts;
    const mark = describe.markOf(job);
    ui.attribute(this.#page, "data-status", mark);
    if (!badge.firstChild) badge.append(glyph, ui.element("span"));
    ui.attribute(badge, "data-status", mark);
    ui.showGlyph(glyph, job);
    ui.put(badge.lastChild, MARKS[mark] ?? describe.STATUSES[job.status]);
    const reached = describe.percentOf(job);
    const inWords = reached === null || (job.status === "queued" && !reached);
    ui.put(percent, inWords ? describe.stateText(job) : `${reached}%`);
    percent.classList.toggle("number", !inWords);
    ui.showBar(fill, reached, job.status === "running" && !job.waiting);
    ui.attribute(bar, "aria-valuenow", reached);
    this.#showMessage(job);
    ui.put(spoken, spokenText(job));
    this.#showCancel(job);
    const { rate } = job.progress;
    this.#spark.take(job.status === "running" ? rate : null, this.#seenAt);
    message.hidden = !message.lastText;
  }

  /** What went wrong and what is asked have sections of their own. */
  #showMessage(job) {
    const own = job.error && job.status !== "succeeded";
    const text = own || job.waiting ? job.progress.message ?? "" : describe.messageText(job, Date.now());
    ui.put(this.#parts.message, text);
  }

  /** Draw the texts that change with time alone. */
  #tick() {
    const job = this.#job;
    const now = Date.now();
    ui.facts(this.#parts.figures, describe.figures(job, this.#seenAt, now));
    ui.facts(this.#parts.timing, describe.timing(job, now));
    ui.facts(this.#parts.facts, describe.details(job));
    if (job.steps.length) showTimes(this.#parts.steps, job, describe.secondsLeft(job, this.#seenAt, now), now);
    if (job.stalled) this.#showMessage(job);
    this.#children.tick();
    if (this.#tabs.chosen === "json") this.showJson(job);
  }

  #showFailure(job) {
    const { failure, reason, code, detail, trace } = this.#parts;
    failure.hidden = !job.error || job.status === "succeeded";
    if (!job.error) return;
    const [text, traceback] = parted(job.error.detail);
    ui.put(reason, reasonText(job));
    ui.put(code, job.error.code ?? "");
    code.hidden = !job.error.code || job.error.message.startsWith(`${job.error.code}:`); // told once
    ui.put(detail, text);
    detail.hidden = !text;
    ui.put(trace, traceback);
    trace.hidden = !traceback;
  }

  #showQuestion(waiting) {
    const { question } = this.#parts;
    question.hidden = !waiting;
    if (!waiting) return question.replaceChildren();
    const prompt = () => ui.element("p", waiting.prompt, { class: "prompt" });
    question.replaceChildren(ui.make("glyph"), this.#can("cancel") ? answerForm(this.#id, waiting) : prompt());
    ui.attribute(question.firstChild, "data-status", "waiting");
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
    showSteps(this.#parts.steps, job);
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

  // The tabs

  #showCounts(job) {
    const counts = {
      log: job.logs_total,
      results: job.results_total,
      files: job.files.length,
      errors: job.errors_total,
      children: job.children.total,
    };
    for (const [name, n] of Object.entries(counts)) this.#tabs.count(name, n ? number.format(n) : "");
    for (const name of ["results", "errors", "files", "children"]) this.#parts[`no-${name}`].hidden = counts[name] > 0;
    this.#parts["results-frame"].hidden = !counts.results;
    this.#tabs.suggest(counts);
  }

  /** Draw the open tab only. */
  #showTab(job, changed) {
    const draw = TABS[this.#tabs.chosen];
    if (draw && changed(...draw.fields)) this[draw.show](job);
  }

  showResults(job) {
    this.#lists[0].show(job);
  }

  showErrors(job) {
    this.#lists[1].show(job);
  }

  showFiles(job) {
    const { files, all } = this.#parts;
    all.hidden = job.files.length < 2;
    carryToken(all, `${jobPath(job.id)}/files.zip`);
    showFiles(files, job);
  }

  showChildren(job) {
    this.#parts["all-children"].hidden = !job.children.total;
    if (job.children.total) this.#children.open(job);
  }

  showHistory(job) {
    this.#history.show(job);
  }

  showJson({ logs: _, ...job }) {
    const text = JSON.stringify(job, null, 2);
    ui.put(this.#parts.json, text.length > LONGEST_JSON ? `${text.slice(0, LONGEST_JSON)}…` : text);
  }

  showEmbed(job) {
    showSnippets(this.#parts.snippets, job);
  }

  // Cancelling: the first request goes to the worker; a second one ends the job at once

  #showCancel(job) {
    const { cancel } = this.#parts;
    cancel.hidden = describe.finished(job) || !this.#can("cancel");
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

const MARKS = { stalled: "Stalled", waiting: "Waiting" };

/** What each tab shows, and how it is drawn. The log is always drawn. */
const TABS = {
  results: { fields: ["results"], show: "showResults" },
  errors: { fields: ["errors"], show: "showErrors" },
  files: { fields: ["files"], show: "showFiles" },
  children: { fields: ["children"], show: "showChildren" },
  history: { fields: ["status", "attempt", "waiting", "cancel_requested", "files"], show: "showHistory" },
  json: { fields: [], show: "showJson" }, // and each second: it may be long
  embed: { fields: ["title"], show: "showEmbed" },
};

/** For screen readers, in quarters: each change is read aloud. */
function spokenText(job) {
  const reached = describe.percentOf(job);
  const quarter = reached ? `, ${reached - (reached % 25)} percent` : "";
  return `${MARKS[describe.markOf(job)] ?? describe.STATUSES[job.status]}${quarter}`;
}

/** While a job waits for its next attempt, the error is that of the last one. */
function reasonText({ status, attempt, error: { message } }) {
  if (status !== "queued") return message || "The job failed without a message.";
  return [`Attempt ${attempt - 1} failed`, message].filter(Boolean).join(": ");
}

/** An error's detail, as text and as traceback. */
function parted(detail) {
  if (detail === null) return ["", ""];
  if (typeof detail === "string") return detail.includes("Traceback (") ? ["", detail] : [detail, ""];
  const { traceback, ...rest } = Array.isArray(detail) ? {} : Object(detail);
  if (typeof traceback !== "string") return [valueText(detail, 2), ""];
  return [Object.keys(rest).length ? valueText(rest, 2) : "", traceback];
}

function member(label, text, href) {
  const item = ui.element("li", `${label} `);
  item.append(ui.element("a", text, { href }));
  return item;
}

start((root, path) => new JobPage(root, decodeURIComponent(path.slice("jobs/".length))));
