/** What an element draws: its parts, and how they follow the job. Text of workers is only text. */

import { formOf } from "../../pages/form.js";
import { attribute, element, keyed, put } from "../../pages/ui.js";
import { jobPath } from "./access.js";
import * as facts from "./facts.js";
import { makeArrow, makeGlyph, showGlyph } from "./glyph.js";

const LINES = 200; // of the log
const ERRORS = 3; // the last of the items that failed
const FEW = 12; // steps that need no scrolling
const SURE = 4000; // ms in which the second press of Cancel counts
const SHOWN = 8000; // ms for which a refusal stays
/** Which slot replaces the notice of a state. */
const SLOTS = { none: "empty", missing: "empty", gone: "empty", connecting: "" };

/** An element with a class, which is also its part, and with children. */
function make(tag, name, attributes = {}, ...children) {
  const names = name ? { class: name, part: name } : {};
  const node = element(tag, undefined, { ...names, ...attributes });
  node.append(...children);
  return node;
}

/** Text of a worker: its direction must not change that of what stands around it. */
const free = (tag, name) => make(tag, name, { dir: "auto" });

export class View {
  #speech;
  #actions;
  #job = null;
  #drawn = {}; // fields as drawn last, where drawing costs
  #last = 0; // number of the last line drawn
  #confirming = 0; // timer, while the button asks for confirmation
  #answered = false; // here, and not elsewhere
  #clock;
  #spoken = null;

  /** `actions` has `cancel(force)`, `answer(value)`, and `open(link, path)` for files. */
  constructor(speech, actions) {
    this.#speech = speech;
    this.#actions = actions;
    const digits = { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" };
    this.#clock = new Intl.DateTimeFormat(speech.lang, digits);
    this.root = this.#build();
  }

  // Building

  #build() {
    const said = (name) => this.#speech.say(name);
    this.glyph = makeGlyph();
    this.title = free("span", "name");
    this.state = make("span", "state");
    this.button = make("button", "button cancel", { type: "button" });
    this.button.onclick = () => this.#cancel();
    const title = make("div", "title", {}, make("slot", "", { name: "title" }, this.title));
    this.fill = make("i", "fill");
    const range = { role: "progressbar", "aria-valuemin": 0, "aria-valuemax": 100 };
    this.bar = make("div", "bar", range, this.fill);
    this.refused = make("p", "refused", { role: "alert", hidden: "" });
    this.question = make("div", "question", { role: "group", "aria-label": said("question") });
    this.steps = make("ol", "steps", { role: "list", "aria-label": said("steps") });
    this.body = make(
      "div", "card", { tabindex: -1 },
      make("div", "head", {}, this.glyph, title, this.state, this.button),
      this.bar, this.#buildMeta(), this.refused, this.question, this.steps,
      ...this.#buildLists(), make("slot", "", { name: "footer" }),
    );
    this.spoken = make("p", "sr", { role: "status" });
    this.body.append(this.spoken);
    this.notice = make("div", "notice");
    this.frame = make("div", "card", {}, this.notice, make("slot", "", { name: "footer" }));
    return this.frame;
  }

  #buildMeta() {
    this.message = free("span", "message");
    this.amount = make("span", "amount");
    this.rate = make("span", "rate");
    this.time = make("span", "time");
    this.connection = make("span", "connection", { role: "status", hidden: "" });
    const figures = make("span", "figures", {}, this.amount, this.rate, this.time);
    return make("div", "meta", {}, this.message, figures, this.connection);
  }

  #buildLists() {
    this.log = make("div", "log", { role: "log", "aria-live": "off", tabindex: 0 });
    this.errors = make("ul", "errors", { role: "list" });
    this.files = make("ul", "files", { role: "list" });
    this.sections = {
      errors: this.#section("errors", this.errors),
      log: this.#section("log", this.log),
      files: this.#section("files", this.files),
    };
    return Object.values(this.sections);
  }

  #section(name, list) {
    const count = make("span", "count");
    attribute(list, "aria-label", this.#speech.say(name));
    const heading = make("p", "heading", {}, this.#speech.say(name), count);
    const section = make("section", `${name}-section`, { hidden: "" }, heading, list);
    section.count = count;
    return section;
  }

  // Drawing

  /** Draw the job, or what there is instead. `whole`: the job is new, its log too. */
  show(job, { state, detail, compact, mayAct, hasText, whole, seenAt }) {
    if (!job) return this.#showNotice(state, detail, compact, hasText);
    if (this.root !== this.body) this.#swap(this.body);
    this.body.classList.toggle("compact", compact);
    if (job.id !== this.#job?.id) this.#stopConfirming();
    this.#job = job;
    this.#showProgress(job, compact);
    this.#showConnection(state);
    this.#showCancel(mayAct);
    this.#say(job);
    const asks = mayAct && !compact;
    this.asks = asks;
    if (this.#differs("waiting", asks ? job.waiting : null)) this.#showQuestion();
    this.tick(job, seenAt);
    this.steps.hidden = compact || !job.steps.length;
    if (!compact) this.#showLists(job, whole);
    else for (const section of Object.values(this.sections)) section.hidden = true;
  }

  #showLists(job, whole) {
    if (this.#differs("steps", job.steps)) this.#showSteps(job.steps);
    // Of a job that comes into sight, only the head is known yet.
    if (job.errors) this.#showErrors(job);
    if (this.#differs("files", job.files)) this.#showFiles(job);
    this.sections.files.hidden = !job.files.length;
    if (job.logs) this.#showLog(job, whole); // the last: it scrolls, and the others take its place
  }

  #differs(name, value) {
    if (this.#drawn[name] === value) return false;
    this.#drawn[name] = value;
    return true;
  }

  #swap(root) {
    this.root.replaceWith(root);
    this.root = root;
  }

  #showNotice(now, detail, compact, hasText) {
    const state = now in this.#speech.words ? now : "connecting";
    if (this.root !== this.frame) this.#swap(this.frame);
    this.#job = null;
    this.frame.classList.toggle("compact", compact);
    const name = SLOTS[state] ?? "error";
    // The page's own text stays until the job is known; white space is none.
    const slot = name || hasText ? make("slot", "", { name }) : element("span");
    put(slot, (state === "refused" && detail) || this.#speech.say(state));
    const shown = this.notice.firstChild;
    if (shown?.name === slot.name && shown?.textContent === slot.textContent) return;
    const loud = state === "connecting" || state === "none" ? null : "status";
    attribute(this.notice, "role", loud);
    this.notice.replaceChildren(slot);
  }

  #showProgress(job, compact) {
    const { percent } = job.progress;
    const kind = facts.kindOf(job);
    const words = facts.stateText(job, this.#speech, compact);
    attribute(this.body, "data-kind", kind);
    showGlyph(this.glyph, kind, percent, this.#speech.say(kind));
    put(this.title, job.title || job.type || job.id);
    attribute(this.title, "title", this.title.textContent);
    put(this.state, words);
    const unknown = percent === null && ["running", "cancelling"].includes(kind);
    attribute(this.fill, "class", unknown ? "fill unknown" : "fill");
    this.fill.style.setProperty("transform", `scaleX(${(percent ?? 0) / 100})`);
    attribute(this.bar, "aria-valuenow", percent);
    attribute(this.bar, "aria-valuetext", words);
    attribute(this.bar, "aria-label", this.title.textContent);
  }

  /** Draw what changes with time alone. */
  tick(job, seenAt) {
    const now = Date.now();
    const speech = this.#speech;
    put(this.message, facts.messageText(job, now, speech, !this.asks));
    put(this.amount, facts.amountText(job, speech));
    put(this.rate, facts.rateText(job, speech));
    put(this.time, facts.timeText(job, seenAt, now, speech));
  }

  #showConnection(state) {
    const bad = !["live", "ended", "connecting", "paused", "closed"].includes(state);
    put(this.connection, bad ? this.#speech.say(state) : "");
    this.connection.hidden = !bad;
  }

  /** Nothing is said about the job as it was found. */
  #say(job) {
    const text = facts.spokenText(job, this.#speech);
    if (this.#spoken !== null && this.#spoken !== text) put(this.spoken, text);
    this.#spoken = text;
  }

  // The question

  #showQuestion() {
    const { waiting } = this.#drawn;
    if (!waiting) this.#keepFocus(this.question);
    this.question.hidden = !waiting;
    if (!waiting) return this.question.replaceChildren();
    const send = (value) => {
      this.#answered = true;
      return this.#actions.answer(value, waiting.n);
    };
    const form = formOf(waiting, send, this.#speech.form);
    form.onkeydown = (event) => event.stopPropagation(); // a page's own keys must not act on text
    this.question.replaceChildren(form);
  }

  // Lists

  #showSteps(steps) {
    attribute(this.steps, "tabindex", steps.length > FEW ? 0 : null); // to scroll by keyboard
    const fill = (node, step) => this.#showStep(node, step);
    keyed(this.steps, steps, (step) => step.name, makeStep, fill);
  }

  #showStep(node, step) {
    if (node.step === step) return;
    node.step = step;
    const kind = { pending: "queued", skipped: "cancelled" }[step.status] ?? step.status;
    attribute(node, "data-kind", kind);
    showGlyph(node.firstChild, kind, step.percent, this.#speech.say(step.status));
    put(node.children[1], step.title || step.name);
    put(node.children[2], this.#stepTime(step));
  }

  #stepTime({ status, percent, started_at: begun, completed_at: ended }) {
    if (status === "running") return percent === null ? "" : this.#speech.percent(percent);
    if (status === "skipped") return this.#speech.say("skipped");
    return begun && ended ? this.#speech.span(facts.since(begun, Date.parse(ended))) : "";
  }

  #showErrors({ errors = [], errors_total: total }) {
    const section = this.sections.errors;
    section.hidden = !errors.length;
    put(section.count, this.#speech.number(total));
    const create = () => free("li", "error");
    const fill = (node, { item, message }) => put(node, itemText(item) + message);
    keyed(this.errors, errors.slice(-ERRORS).reverse(), (entry) => entry.n, create, fill);
  }

  #showLog({ logs, logs_total: total }, whole) {
    const section = this.sections.log;
    if (whole) {
      this.log.replaceChildren();
      this.#last = 0;
    }
    const fresh = (logs ?? []).filter((line) => line.n > this.#last).slice(-LINES);
    section.hidden = !this.log.firstChild && !fresh.length;
    if (!fresh.length) return;
    const { scrollHeight, scrollTop, clientHeight } = this.log;
    const follows = scrollHeight - scrollTop - clientHeight < 24;
    put(section.count, this.#speech.number(total));
    this.log.append(...fresh.map((line) => this.#makeLine(line)));
    while (this.log.children.length > LINES) this.log.firstChild.remove();
    this.#last = fresh.at(-1).n;
    if (follows) this.log.scrollTop = this.log.scrollHeight;
  }

  #makeLine({ at, level, message }) {
    const time = element("time", this.#clock.format(new Date(at)), { datetime: at });
    return make("p", "line", { "data-level": level }, time, element("span", message));
  }

  #showFiles(job) {
    put(this.sections.files.count, this.#speech.number(job.files.length));
    const folder = `${jobPath(job.id)}/files/`;
    const create = (file) => this.#makeFile(folder + encodeURIComponent(file.name), file);
    keyed(this.files, job.files, ({ name, size }) => `${name} ${size}`, create, () => {});
  }

  #makeFile(path, file) {
    // A new tab only for what the server sends elsewhere: an attachment opens none.
    const link = element("a", undefined, { target: "_blank", rel: "noopener noreferrer" });
    link.download = "";
    link.append(makeArrow(), free("span", "file-name"));
    put(link.lastChild, file.name);
    this.#actions.open(link, path);
    const size = make("span", "size");
    put(size, file.size === null ? "" : this.#speech.bytes(file.size));
    return make("li", "file", {}, link, size);
  }

  // Cancelling: the first request goes to the worker; a second one ends the job at once

  #showCancel(mayAct) {
    const job = this.#job;
    const hidden = !mayAct || facts.finished(job);
    if (hidden) this.#keepFocus(this.button);
    this.button.hidden = hidden;
    const asks = job.cancel_requested ? "force" : "cancel";
    put(this.button, this.#speech.say(this.#confirming ? "sure" : asks));
    this.button.classList.toggle("sure", Boolean(this.#confirming));
  }

  async #cancel() {
    if (!this.#confirming) {
      this.#confirming = setTimeout(() => this.#stopConfirming(), SURE);
      this.#showCancel(true);
      return put(this.spoken, this.#speech.say("sure"));
    }
    this.#stopConfirming();
    await this.#actions.cancel(this.#job.cancel_requested).catch((error) => this.#refuse(error));
  }

  #stopConfirming() {
    clearTimeout(this.#confirming);
    this.#confirming = 0;
    if (this.#job) this.#showCancel(!this.button.hidden);
  }

  /** A part goes, and people at the keyboard stay where they are. */
  #keepFocus(part) {
    const { activeElement: page } = part.ownerDocument;
    const inside = part.contains(this.body.getRootNode().activeElement);
    // A form that was sent is disabled, and so its control has lost the focus already.
    const lost = this.#answered && part === this.question && page === part.ownerDocument.body;
    if (inside || lost) this.body.focus();
    if (part === this.question) this.#answered = false;
  }

  #refuse(error) {
    put(this.refused, error.message);
    this.refused.hidden = false;
    setTimeout(() => (this.refused.hidden = true), SHOWN);
  }
}

const itemText = (item) => (item === null ? "" : `${item}: `);
const makeStep = () =>
  make("li", "step", {}, makeGlyph(), free("span", "name"), make("span", "time"));
