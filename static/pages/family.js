/** The children of a job, each with its bar, while somebody looks at them. */

import { credential } from "./api.js";
import { nameOf, percentOf, stateText, timeText } from "./describe.js";
import { age } from "./format.js";
import { listOf, pageOf } from "./layout.js";
import { newestFirst, watch } from "../livejobs.js";
import * as ui from "./ui.js";

const MOST = 100;

export class Children {
  #parts;
  #watch = null;
  #seen = new Map();
  #draw = ui.eachFrame(() => this.#show());

  constructor(parts) {
    this.#parts = parts;
  }

  open({ id, project, children }) {
    const { "all-children": all } = this.#parts;
    all.href = listOf({ project, parent: id });
    ui.put(all, children.total > MOST ? `The newest ${MOST}. Show all` : "Show in the list");
    if (this.#watch) return;
    this.#watch = watch(
      { project, parent: id, limit: MOST },
      {
        ...credential.watching,
        rate: 5,
        onChange: (job) => (this.#seen.set(job.id, Date.now()), this.#draw()),
        onGone: () => this.#draw(),
        onReady: () => this.#draw(),
        onReset: () => this.#draw(),
      },
    );
  }

  close() {
    this.#watch?.stop();
    this.#watch = null;
  }

  tick() {
    if (this.#watch) this.#draw();
  }

  #show() {
    const jobs = [...(this.#watch?.jobs?.values() ?? [])].sort(newestFirst).slice(0, MOST);
    ui.keyed(this.#parts.children, jobs, ({ id }) => id, make, (node, job) => this.#fill(node, job));
  }

  #fill(node, job) {
    const { link, state, bar, fill, time } = node.parts;
    const now = Date.now();
    const isMoving = job.status === "running" && !job.waiting;
    ui.attribute(node, "data-status", job.stalled ? "stalled" : job.status);
    ui.showGlyph(node.glyph, job);
    ui.put(link, nameOf(job));
    ui.put(state, stateText(job));
    bar.hidden = !isMoving;
    ui.showBar(fill, percentOf(job), isMoving);
    ui.put(time, timeText(job, this.#seen.get(job.id) ?? now, now) || age(job.created_at, now));
  }
}

function make({ id }) {
  const node = ui.make("child");
  node.glyph = ui.make("glyph");
  node.prepend(node.glyph);
  node.parts.link.href = pageOf(id);
  return node;
}
