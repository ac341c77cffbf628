/** What happened to a job, and who did what. */

import { readAudit } from "./api.js";
import { bytes, clock, dateAndTime, duration } from "./format.js";
import * as ui from "./ui.js";

const day = (time) => dateAndTime.format(new Date(time));
const DONE = {
  create: () => "created the job",
  cancel: ({ force }) => (force ? "ended the job at once" : "asked the job to end"),
  answer: ({ n }) => `answered question ${n}`,
  share: ({ scope, expires_at }) => `made a link (${scope}) that works until ${day(expires_at)}`,
  upload: ({ file }) => `uploaded ${file}`,
  download: ({ file, bytes: size }) => `downloaded ${file} (${bytes(size)})`,
};
const ENDS = { succeeded: "The job succeeded", failed: "The job failed", cancelled: "The job was cancelled" };

export class History {
  #id;
  #parts;
  #job = null;
  #acts = [];
  #next = null;
  #refused = "";
  #asked = 0;

  constructor(id, parts) {
    this.#id = id;
    this.#parts = parts;
    parts["history-more"].onclick = () => this.#read(this.#next);
  }

  /** Show the job's history, and ask for what is new in it. */
  show(job) {
    this.#job = job;
    this.#show();
    this.#read();
  }

  async #read(before) {
    const asked = ++this.#asked;
    try {
      const { acts, next } = await readAudit(this.#id, { before });
      if (asked !== this.#asked) return;
      this.#acts = before ? [...this.#acts, ...acts] : acts;
      this.#next = next;
      this.#refused = "";
    } catch (error) {
      this.#refused = error.message;
    }
    this.#show();
  }

  #show() {
    const { history, "history-more": more, "history-refused": refused } = this.#parts;
    const events = [...this.#acts.map(actEvent), ...ownEvents(this.#job, this.#acts)];
    events.sort((a, b) => (a.at === b.at ? b.order - a.order : a.at < b.at ? 1 : -1));
    ui.keyed(history, events, ({ key }) => key, make, () => {});
    more.hidden = this.#next === null;
    ui.put(refused, this.#refused && `Who did what is not shown: ${this.#refused}`);
    refused.hidden = !this.#refused;
  }
}

const actEvent = ({ n, at, by, action, detail }) => ({
  key: `act ${n}`,
  at,
  order: action === "create" ? 0 : 2,
  by,
  text: DONE[action]?.(detail) ?? action,
});

/** What the job itself tells. */
function ownEvents(job, acts) {
  const worker = job.worker?.host ? ` on ${job.worker.host}` : "";
  const attempt = job.attempt > 1 ? `Attempt ${job.attempt} started` : "A worker started the job";
  const { queue_seconds: waited } = job.timing;
  const before = new Date(Date.parse(job.started_at) - waited * 1000); // of the start
  const events = [
    !acts.some(({ action }) => action === "create") && [job.created_at, 0, "The job was created"],
    job.attempt > 1 && job.started_at && [before.toISOString(), 0, `Attempt ${job.attempt - 1} ended`],
    job.started_at && [job.started_at, 1, `${attempt}${worker}`],
    job.waiting && [job.waiting.at, 2, `Question ${job.waiting.n}: “${job.waiting.prompt}”`],
    job.completed_at && [job.completed_at, 3, endText(job)],
  ];
  const shown = events.filter(Boolean);
  return shown.map(([at, order, text]) => ({ key: `${at} ${text}`, at, order, by: null, text }));
}

function endText(job) {
  const took = duration(job.timing.run_seconds);
  const why = job.status === "failed" && job.error?.message ? `: ${job.error.message}` : "";
  return `${ENDS[job.status]}${took ? ` after ${took}` : ""}${why}`;
}

function make({ at, by, text }) {
  const node = ui.make("event");
  ui.put(node.parts.by, by ?? "");
  ui.put(node.parts.text, text);
  ui.showTime(node.parts.at, at, clock.format(new Date(at)));
  return node;
}
