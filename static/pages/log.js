/** A job's log: the newest lines, older ones on request, and a view that follows the end. */

import { readLogs } from "./api.js";
import { clock, number } from "./format.js";
import { KEPT } from "../livejobs.js";
import { make, put, showTime } from "./ui.js";

export const EARLIER = 500; // lines of the first view, and of each step back

export class Log {
  #id;
  #parts;
  #onError;
  #last = 0; // number of the last line drawn
  #following = true;

  constructor(id, parts, onError) {
    this.#id = id;
    this.#parts = parts;
    this.#onError = onError;
    const { log, latest, earlier } = parts;
    log.onscroll = () => this.#follow(log.scrollHeight - log.scrollTop - log.clientHeight < 24);
    latest.onclick = () => this.#follow(true);
    earlier.onclick = () => this.#showEarlier();
  }

  /** Drop all lines: the job's log was replaced. */
  clear() {
    this.#parts.log.replaceChildren();
    this.#last = 0;
  }

  /** Append the job's new lines. */
  show(job) {
    const { log, "log-section": section, "log-count": count } = this.#parts;
    section.hidden = !job.logs_total && job.status !== "running";
    put(count, job.logs_total ? number.format(job.logs_total) : "");
    const lines = job.logs.filter((line) => line.n > this.#last);
    if (!lines.length) return;
    log.append(...lines.map(makeLine));
    this.#last = lines.at(-1).n;
    while (log.children.length > KEPT.logs) log.firstChild.remove();
    this.#follow(this.#following);
    this.#offerEarlier();
  }

  #follow(following) {
    const { log, latest } = this.#parts;
    this.#following = following;
    latest.hidden = following;
    if (following) log.scrollTop = log.scrollHeight;
  }

  #offerEarlier() {
    const { log, earlier } = this.#parts;
    const full = log.children.length + EARLIER > KEPT.logs;
    earlier.hidden = !log.firstChild || log.firstChild.n === 1 || full;
  }

  async #showEarlier() {
    const { log, earlier } = this.#parts;
    const first = log.firstChild;
    const after = Math.max(0, first.n - 1 - EARLIER);
    earlier.disabled = true;
    try {
      const page = await readLogs(this.#id, { after, limit: first.n - 1 - after });
      const fromEnd = log.scrollHeight - log.scrollTop;
      first.before(...page.logs.map(makeLine));
      log.scrollTop = log.scrollHeight - fromEnd; // the lines in view stay in place
    } catch (error) {
      this.#onError(error);
    }
    earlier.disabled = false;
    this.#offerEarlier();
  }
}

function makeLine(line) {
  const node = make("line");
  node.n = line.n;
  node.dataset.level = line.level;
  showTime(node.parts.at, line.at, clock.format(new Date(line.at)));
  put(node.parts.source, line.source ?? "");
  put(node.parts.text, line.message);
  return node;
}
