/** The steps of a job on one axis of time, from its start to its end, or to its expected end. */

import { finished } from "./describe.js";
import { since, span } from "./format.js";
import * as ui from "./ui.js";

const STEP = { pending: "queued", skipped: "cancelled" }; // drawn like these statuses of a job

export function showSteps(list, job) {
  const create = () => {
    const step = ui.make("step");
    step.glyph = ui.make("glyph");
    step.prepend(step.glyph);
    return step;
  };
  ui.keyed(list, job.steps, (step) => step.name, create, update);
}

function update(node, step) {
  const { title, time } = node.parts;
  const status = STEP[step.status] ?? step.status;
  ui.attribute(node, "data-status", status);
  ui.showGlyph(node.glyph, { status, progress: step });
  ui.put(title, step.title || step.name);
  ui.put(time, timeText(step));
}

function timeText({ status, percent, started_at, completed_at }) {
  if (status === "pending") return "";
  if (status === "skipped") return "Skipped";
  if (status === "running") return percent === null ? "Running" : `${percent}%`;
  const took = started_at && completed_at ? span(since(started_at, Date.parse(completed_at))) : "";
  return status === "failed" ? `Failed ${took && `after ${took}`}` : took;
}

/** Draw when each step ran. `left`: the seconds until the expected end, or null. */
export function showTimes(list, job, left, now) {
  const times = job.steps.map((step) => [step.started_at, step.completed_at].map(Date.parse));
  const known = times.flat().filter((time) => !Number.isNaN(time));
  if (!known.length) return;
  const from = Math.min(...known);
  const to = finished(job) ? Math.max(...known) : Math.max(now, ...known) + (left ?? 0) * 1000;
  const place = (time) => (to > from ? Math.min(1, (time - from) / (to - from)) : 0);
  [...list.children].forEach((node, n) => {
    const [begun, done] = times[n] ?? [];
    const ran = node.parts.ran;
    ran.hidden = !begun;
    if (!begun) return;
    const start = place(begun);
    const end = place(done || Math.max(now, begun));
    ran.style.setProperty("left", `${(start * 100).toFixed(2)}%`);
    ran.style.setProperty("width", `${((end - start) * 100).toFixed(2)}%`);
  });
}
