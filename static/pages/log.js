/** A job's log: it follows the end, and can be filtered, searched, linked to, copied and saved. */

import { logText, readLogs } from "./api.js";
import { dateAndTime, clock, number, removed as removedText } from "./format.js";
import { Lines, Matches } from "./lines.js";
import { pieces } from "./ansi.js";
import { Scroller } from "./scroller.js";
import { attribute, element, put } from "./ui.js";

const TYPING = 250; // ms after the last letter until a search begins
const COPIED = 10_000; // lines
const PAGE = 1000;
const TOLD = new Set(["warning", "error"]); // by their word too, not by colour alone
const SHOWN = { time: "Time", elapsed: "Elapsed", none: "No time" };

export class Log {
  #id;
  #parts;
  #onError;
  #onPick;
  #job = null;
  #lines;
  #matches = null;
  #scroller;
  #picked = null; // { from, to }: numbers of lines
  #wanted = null; // the number of a line to show once it is known
  #last = 0; // number of the last line taken
  #attempt = { of: 1, n: 1 }; // the line where the newest attempt begins
  #words = "";
  #timer = 0;

  /** `onPick(picked)` is called when the reader picks lines, so that the address names them. */
  constructor(id, parts, { onError, onPick }) {
    this.#id = id;
    this.#parts = parts;
    this.#onError = onError;
    this.#onPick = onPick;
    const arrived = () => this.#scroller.renew((row) => row.line === undefined);
    this.#lines = new Lines((query) => readLogs(id, query), arrived, onError);
    this.#scroller = new Scroller(parts.log, (index) => this.#row(index), {
      drawn: (from, to) => this.#source.want(from, to),
      follow: () => this.#showFollowing(),
    });
    this.#build();
  }

  get #source() {
    return this.#matches ?? this.#lines;
  }

  #build() {
    const { find, level, times, follow, save, copy, link, log } = this.#parts;
    find.oninput = () => {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.#filter(), TYPING);
    };
    find.onkeydown = ({ key }) => {
      if (key === "Enter") this.#filter(); // returning false would take the key from the field
    };
    level.onchange = () => this.#filter();
    times.append(...Object.entries(SHOWN).map(([value, text]) => element("option", text, { value })));
    times.onchange = () => this.#scroller.renew();
    follow.onclick = () => this.follow(!this.#scroller.following);
    save.onclick = () => this.#save();
    copy.onclick = () => this.#copy();
    link.onclick = () => this.#copyText(link, location.href, "Copy link");
    log.onclick = (event) => this.#click(event);
  }

  // The job

  /** Drop all lines: the job's log was replaced. */
  clear() {
    this.#lines.clear();
    this.#last = 0;
    this.#attempt = { of: 1, n: 1 };
    this.#unfilter();
  }

  /** Take the job's new lines. */
  show(job) {
    this.#job = job;
    this.#showFollowing();
    this.#showCut(job.trimmed?.logs ?? 0);
    const lines = job.logs.filter((line) => line.n > this.#last);
    this.#parts.empty.hidden = job.logs_total > 0;
    this.#parts.log.style.setProperty("--digits", String(job.logs_total).length);
    if (!lines.length) return;
    this.#last = lines.at(-1).n;
    this.#lines.take(lines);
    this.#matches?.take(lines);
    this.#scroller.grow(this.#source.length);
    this.#goToWanted();
  }

  #showCut(removed) {
    const { cut } = this.#parts;
    this.#lines.cut(removed);
    cut.hidden = !removed;
    if (removed) put(cut, removedText(removed, "line"));
  }

  /** The panel is shown again. */
  again() {
    this.#scroller.again();
  }

  follow(following) {
    if (following) this.#scroller.toEnd();
    else this.#scroller.pause();
    this.#showFollowing();
  }

  toggleFollow() {
    this.follow(!this.#scroller.following);
  }

  #showFollowing() {
    const { follow } = this.#parts;
    follow.hidden = Boolean(this.#job?.completed_at); // nothing more will come
    attribute(follow, "aria-pressed", this.#scroller.following);
    put(follow, this.#scroller.following ? "Following" : "Follow");
  }

  // Rows

  #row(index) {
    const line = this.#source.at(index);
    const row = element("div", undefined, { class: "line" });
    row.line = line;
    if (!line) return row.append(element("span", this.#isRemoved(index) ? "Removed" : "…", { class: "text" })), row;
    if (line.level !== "info") row.dataset.level = line.level;
    row.classList.toggle("picked", this.#isPicked(line.n));
    if (this.#beginsAttempt(line, index)) this.#addAttempt(row);
    row.append(element("a", String(line.n), { class: "n", href: `#L${line.n}`, tabindex: -1 }));
    this.#addTime(row, line);
    if (TOLD.has(line.level)) row.append(element("b", line.level, { class: "level" }));
    if (line.source) row.append(element("span", line.source, { class: "source" }));
    row.append(this.#text(line.message));
    return row;
  }

  #isRemoved(index) {
    return this.#source === this.#lines && this.#lines.isRemoved(index);
  }

  /** Whether it is the first line of the newest attempt. The server keeps no times of those before. */
  #beginsAttempt({ n, at }, index) {
    const { attempt, started_at: begun } = this.#job;
    if (attempt < 2 || !begun || at < begun) return false;
    if (index > 0 && !(this.#source.at(index - 1)?.at < begun)) return false;
    // Workers set the times, and clocks differ: of several such lines, it is the first one known.
    if (this.#attempt.of !== attempt) this.#attempt = { of: attempt, n };
    this.#attempt.n = Math.min(n, this.#attempt.n);
    return n === this.#attempt.n;
  }

  #addAttempt(row) {
    row.classList.add("begins");
    row.append(element("span", `Attempt ${number.format(this.#job.attempt)}`, { class: "attempt" }));
  }

  #addTime(row, { at }) {
    const kind = this.#parts.times.value;
    if (kind === "none") return;
    const begun = this.#job.started_at ?? this.#job.created_at;
    const text = kind === "time" ? clock.format(new Date(at)) : elapsed(Date.parse(at) - Date.parse(begun));
    const time = element("time", text, { datetime: at });
    time.title = dateAndTime.format(new Date(at));
    row.append(time);
  }

  #text(message) {
    const text = element("span", undefined, { class: "text" });
    for (const piece of pieces(message)) {
      const node = piece.look ? looking(piece.look) : text;
      marked(node, piece.text, this.#words);
      if (piece.look) text.append(node);
    }
    return text;
  }

  // Filters

  #filter() {
    const { find, level } = this.#parts;
    clearTimeout(this.#timer);
    const words = find.value.trim();
    const at = this.#source.at(this.#scroller.current)?.n;
    this.#matches?.stop();
    this.#words = words.toLowerCase();
    this.#matches = null;
    put(this.#parts.found, "");
    if (!words && !level.value) return this.#showAll(at);
    const read = (query) => readLogs(this.#id, query);
    const matches = new Matches({ words, level: level.value }, read, () => this.#found(matches));
    const failed = (error) => matches === this.#matches && this.#onError(error);
    this.#matches = matches;
    this.#scroller.reset(0);
    matches.scan(this.#job?.logs_total ?? 0).catch(failed);
  }

  #found(matches) {
    if (matches !== this.#matches) return;
    this.#scroller.grow(matches.length);
    const count = `${number.format(matches.length)} ${matches.length === 1 ? "line" : "lines"}`;
    const read = `${number.format(matches.seen)} of ${number.format(this.#job?.logs_total ?? 0)} read`;
    put(this.#parts.found, matches.full ? `First ${count}` : matches.done ? count : `${count}, ${read}`);
  }

  #showAll(at) {
    this.#scroller.reset(this.#lines.length);
    const shown = this.#picked?.from ?? at;
    if (!this.#scroller.following && shown) this.#scroller.reveal(this.#lines.indexOf(shown));
  }

  #unfilter() {
    this.#parts.find.value = this.#parts.level.value = "";
    this.#filter();
  }

  /** Let go of the filter, else of the picked lines. Return whether there was anything to let go of. */
  escape() {
    if (this.#matches) return this.#unfilter(), true;
    if (!this.#picked) return false;
    this.pick(null);
    this.#onPick(null);
    return true;
  }

  search() {
    this.#parts.find.focus();
    this.#parts.find.select();
  }

  // Picked lines

  #isPicked(n) {
    return Boolean(this.#picked && n >= this.#picked.from && n <= this.#picked.to);
  }

  #click(event) {
    const link = event.target.closest?.("a.n");
    if (!link || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    const n = link.parentElement.line.n;
    const start = event.shiftKey && this.#picked ? this.#picked.start : n;
    this.#scroller.pause();
    this.pick({ start, from: Math.min(start, n), to: Math.max(start, n) });
    this.#onPick(this.#picked);
  }

  pick(picked) {
    this.#picked = picked;
    for (const row of this.#parts.log.querySelectorAll(".line")) {
      row.classList.toggle("picked", Boolean(row.line) && this.#isPicked(row.line.n));
    }
    const { copy, link } = this.#parts;
    copy.hidden = link.hidden = !picked;
    if (picked) put(copy, copyLabel(picked));
  }

  /** Pick lines that the address names, and go there. */
  goTo({ from, to }) {
    this.pick({ start: from, from, to });
    this.#scroller.pause();
    this.#wanted = from;
    this.#goToWanted();
  }

  #goToWanted() {
    if (!this.#wanted || this.#lines.indexOf(this.#wanted) >= this.#lines.length) return;
    const n = this.#wanted;
    this.#wanted = null;
    this.#scroller.reveal(this.#source.indexOf(n));
  }

  async #copy() {
    const { from, to } = this.#picked;
    const label = copyLabel(this.#picked);
    const texts = [];
    const last = Math.min(to, from + COPIED - 1);
    try {
      for (let after = from - 1; after < last; ) {
        const { logs } = await readLogs(this.#id, { after, limit: Math.min(PAGE, last - after) });
        if (!logs.length) break;
        texts.push(...logs.filter(({ n }) => n <= last).map(({ message }) => pieces(message).map(({ text }) => text).join("")));
        after = logs.at(-1).n;
      }
      this.#copyText(this.#parts.copy, texts.join("\n"), label);
    } catch (error) {
      this.#onError(error);
    }
  }

  async #copyText(button, text, label) {
    const said = await navigator.clipboard.writeText(text).then(() => "Copied", () => "The browser forbids it");
    put(button, said);
    setTimeout(() => put(button, label), 1600);
  }

  async #save() {
    const { save } = this.#parts;
    save.disabled = true;
    try {
      const url = URL.createObjectURL(await logText(this.#id));
      element("a", undefined, { href: url, download: `${this.#id}.log` }).click();
      setTimeout(() => URL.revokeObjectURL(url), 60_000);
    } catch (error) {
      this.#onError(error);
    }
    save.disabled = false;
  }
}

function copyLabel({ from, to }) {
  return from === to ? "Copy line" : `Copy ${number.format(Math.min(COPIED, to - from + 1))} lines`;
}

/** Since the job's start: 0:07.3, 12:00.0, 1:02:03.4. */
function elapsed(ms) {
  const sign = ms < 0 ? "−" : "";
  const tenths = Math.floor(Math.abs(ms) / 100);
  const two = (n) => String(Math.floor(n)).padStart(2, "0");
  const [hours, minutes] = [Math.floor(tenths / 36_000), Math.floor(tenths / 600) % 60];
  const whole = hours ? `${hours}:${two(minutes)}` : minutes;
  return `${sign}${whole}:${two((tenths / 10) % 60)}.${tenths % 10}`;
}

function looking({ flags, fg, bg }) {
  const names = ["look", ...flags, fg && "fg", bg && "bg"].filter(Boolean);
  const node = element("span", undefined, { class: names.join(" ") });
  if (fg) node.style.setProperty("--fg", fg);
  if (bg) node.style.setProperty("--bg", bg);
  return node;
}

/** Append the text, with the words of the search marked. */
function marked(node, text, words) {
  const lower = words && text.toLowerCase();
  if (!words || lower.length !== text.length) return node.append(text);
  let at = 0;
  for (let found; (found = lower.indexOf(words, at)) >= 0; at = found + words.length) {
    node.append(text.slice(at, found), element("mark", text.slice(found, found + words.length)));
  }
  node.append(text.slice(at));
}
