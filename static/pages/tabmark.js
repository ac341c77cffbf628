/** What the browser shows of a job outside the page: title, icon, and a notification at its end. */

import { finished, markOf, messageText, nameOf, percentOf, stateText, tabMark } from "./describe.js";
import { harmless } from "./text.js";
import { attribute, put } from "./ui.js";

const COLOURS = {
  queued: "#8c8f99",
  running: "#5b5bd6",
  stalled: "#e3a32b",
  waiting: "#e3a32b",
  succeeded: "#1a7f4b",
  failed: "#c42b32",
  cancelled: "#8c8f99",
};
const MARKS = {
  succeeded: "M10 16.5l4 4 8-9",
  failed: "M11 11l10 10m0-10-10 10",
  cancelled: "M10.5 16h11",
  waiting: "M16 9.5v8m0 4.4v.1",
};
const STEP = 5; // percent: the icon is drawn again that seldom

/** The icon: a ring that fills, or a disc with a mark. */
function iconOf(mark, percent) {
  const colour = COLOURS[mark];
  const circle = `<circle cx='16' cy='16' r='12' fill='none' stroke='${colour}' stroke-width='5'`;
  const arc = `pathLength='100' stroke-dasharray='${percent} 100' transform='rotate(-90 16 16)'`;
  const ring = `${circle} stroke-opacity='.28'/>${circle} ${arc}/>`;
  const line = "fill='none' stroke='#fff' stroke-width='3.5' stroke-linecap='round'";
  const disc = `<circle cx='16' cy='16' r='15' fill='${colour}'/><path d='${MARKS[mark]}' ${line}/>`;
  const svg = `<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 32 32'>${MARKS[mark] ? disc : ring}</svg>`;
  return `data:image/svg+xml,${encodeURIComponent(svg)}`;
}

export function showInTab(job) {
  const percent = percentOf(job) ?? 25;
  const icon = document.querySelector("link[rel=icon]");
  const key = `${markOf(job)} ${percent - (percent % STEP)}`;
  document.title = harmless(`${tabMark(job)} ${nameOf(job)}`);
  if (icon.key === key) return;
  icon.key = key;
  icon.href = iconOf(markOf(job), percent);
}

/** The button that asks for a notification at the job's end, or when it waits for an answer. */
export class Notifier {
  #button;
  #wanted = false;
  #before = null;

  constructor(button) {
    this.#button = button;
    button.onclick = () => this.#toggle();
  }

  async #toggle() {
    const allowed = !this.#wanted && (await Notification.requestPermission()) === "granted";
    if (!this.#wanted && !allowed) return put(this.#button, "The browser forbids it");
    this.#wanted = allowed;
    attribute(this.#button, "aria-pressed", this.#wanted);
    put(this.#button, this.#wanted ? "Will notify" : "Notify me");
  }

  take(job) {
    this.#button.hidden = finished(job) || !("Notification" in globalThis);
    const mark = markOf(job);
    const isNew = this.#before !== null && mark !== this.#before;
    this.#before = mark;
    if (!this.#wanted || !isNew || !(finished(job) || mark === "waiting")) return;
    const body = [stateText(job), messageText(job, Date.now())].filter(Boolean).join(": ");
    const note = new Notification(harmless(nameOf(job)), { body: harmless(body), tag: job.id });
    note.onclick = () => (focus(), note.close());
  }
}
