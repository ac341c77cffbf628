/** How far a job is: its badge, its percent, its bar, its message, and the same for screen readers. */

import * as describe from "./describe.js";
import { Sparkline } from "./sparkline.js";
import * as ui from "./ui.js";

const MARKS = { stalled: "Stalled", waiting: "Waiting" };

export class Progress {
  #page;
  #glyph = ui.make("glyph");
  #spark;

  constructor(page) {
    this.#page = page;
    this.#spark = new Sparkline(page.parts.spark);
  }

  show(job, seenAt) {
    const { percent, bar, fill, message, spoken } = this.#page.parts;
    this.#showBadge(job);
    const reached = describe.percentOf(job);
    const inWords = reached === null || (job.status === "queued" && !reached);
    ui.put(percent, inWords ? describe.stateText(job) : `${reached}%`);
    percent.classList.toggle("number", !inWords);
    ui.showBar(fill, reached, job.status === "running" && !job.waiting);
    ui.attribute(bar, "aria-valuenow", reached);
    this.showMessage(job);
    ui.put(spoken, spokenText(job));
    this.#spark.take(job.status === "running" ? job.progress.rate : null, seenAt);
    message.hidden = !message.lastText;
  }

  #showBadge(job) {
    const { badge } = this.#page.parts;
    const mark = describe.markOf(job);
    ui.attribute(this.#page, "data-status", mark);
    if (!badge.firstChild) badge.append(this.#glyph, ui.element("span"));
    ui.attribute(badge, "data-status", mark);
    ui.showGlyph(this.#glyph, job);
    ui.put(badge.lastChild, MARKS[mark] ?? describe.STATUSES[job.status]);
  }

  /** What went wrong and what is asked have sections of their own. */
  showMessage(job) {
    const own = job.error && job.status !== "succeeded";
    const text = own || job.waiting ? job.progress.message ?? "" : describe.messageText(job, Date.now());
    ui.put(this.#page.parts.message, text);
  }
}

/** For screen readers, in quarters: each change is read aloud. */
function spokenText(job) {
  const reached = describe.percentOf(job);
  const quarter = reached ? `, ${reached - (reached % 25)} percent` : "";
  return `${MARKS[describe.markOf(job)] ?? describe.STATUSES[job.status]}${quarter}`;
}
