/** One job's page: each section is drawn when a field that it shows has changed. */

import { answerForm } from "./answer.js";
import { credential, jobPath } from "./api.js";
import { Cancel } from "./cancel.js";
import { Contents, showCounts } from "./contents.js";
import * as describe from "./describe.js";
import { showFailure } from "./failure.js";
import { carryToken } from "./files.js";
import { number, valueText } from "./format.js";
import { listen } from "./keys.js";
import { NOTICES, listOf, pageOf, showConnection, showNotice, showPlace } from "./layout.js";
import { watch } from "../livejobs.js";
import { Log } from "./log.js";
import { Progress } from "./progress.js";
import { session } from "./session.js";
import { shareDialog } from "./share.js";
import { start } from "./start.js";
import { Notifier, showInTab } from "./tabmark.js";
import { Tabs } from "./tabs.js";
import { showSteps, showTimes } from "./timeline.js";
import * as ui from "./ui.js";

const TAIL = 500; // lines of log that the page begins with

class JobPage {
  #id;
  #root;
  #page;
  #parts;
  #job = null;
  #shown = {}; // the job as drawn last
  #seenAt = 0;
  #log;
  #contents; // of the other tabs
  #tabs;
  #progress;
  #cancel;
  #notifier;
  #may = null; // what the credential may do, once it is known
  #whole = true; // the whole job is new, its log too
  #draw = ui.eachFrame(() => this.#show());

  constructor(root, id) {
    this.#id = id;
    this.#root = root;
    const page = (this.#page = ui.make("job-page"));
    this.#parts = page.parts;
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
    this.#contents = new Contents(this.#id, parts, onError);
    this.#progress = new Progress(this.#page);
    this.#cancel = new Cancel(this.#id, parts.cancel, onError);
    this.#notifier = new Notifier(parts.notify);
    this.#tabs = new Tabs(parts.tabs, () => this.#openTab());
    this.#readAddress();
    const share = shareDialog(this.#id);
    parts.share.onclick = () => share.open();
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
    this.#cancel.show(this.#job, this.#can("cancel"));
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
    this.#contents.open(this.#tabs.chosen, this.#job);
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
    this.#contents.close();
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
    if (changed("error")) showFailure(this.#parts, job);
    if (changed("counters")) this.#showFacts("counters", describe.counters(job));
    if (changed("meta")) this.#showFacts("meta", describe.values(job.meta));
    if (changed("parent", "children")) this.#showFamily(job);
    this.#progress.show(job, this.#seenAt);
    this.#cancel.show(job, this.#can("cancel"));
    showCounts(this.#tabs, this.#parts, job);
    if (this.#whole) for (const part of [this.#log, this.#contents]) part.clear();
    if (changed("logs", "status")) this.#log.show(job);
    this.#contents.show(this.#tabs.chosen, job, changed);
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

  /** Draw the texts that change with time alone. */
  #tick() {
    const job = this.#job;
    const now = Date.now();
    ui.facts(this.#parts.figures, describe.figures(job, this.#seenAt, now));
    ui.facts(this.#parts.timing, describe.timing(job, now));
    ui.facts(this.#parts.facts, describe.details(job));
    if (job.steps.length) showTimes(this.#parts.steps, job, describe.secondsLeft(job, this.#seenAt, now), now);
    if (job.stalled) this.#progress.showMessage(job);
    this.#contents.tick(this.#tabs.chosen, job);
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

  #showRefusal(error) {
    const { refused } = this.#parts;
    ui.put(refused, error.message);
    refused.hidden = false;
    setTimeout(() => (refused.hidden = true), 8000);
  }
}

function member(label, text, href) {
  const item = ui.element("li", `${label} `);
  item.append(ui.element("a", text, { href }));
  return item;
}

start((root, path) => new JobPage(root, decodeURIComponent(path.slice("jobs/".length))));
