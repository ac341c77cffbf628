/** One row of the list: a job, or a place that is still empty. */

import { childrenText, markOf, messageText, nameOf, percentOf, stateText, timeText } from "./describe.js";
import { age, since } from "./format.js";
import { listOf, pageOf } from "./layout.js";
import * as ui from "./ui.js";

const NEW = 10; // seconds for which a job arrives with motion

export function makeRow(job, isLive) {
  const row = ui.make("row");
  row.glyph = ui.make("glyph");
  row.parts.mark.append(row.glyph);
  row.classList.toggle("arriving", isLive && since(job.created_at, Date.now()) < NEW);
  nameRow(row, job);
  return row;
}

function nameRow(row, { id }) {
  row.parts.title.href = pageOf(id);
  row.dataset.id = id;
}

/** Make another row of a row, or a gap of a gap. Return whether it could. */
export function reuseRow(row, job) {
  if (!job || !row.parts) return !job && !row.parts;
  row.classList.remove("arriving");
  nameRow(row, job);
  return true;
}

export const makeGap = () => ui.element("li", undefined, { class: "gap", "aria-hidden": "true" });

/** Fill the row. `look`: what the list knows of it beside the job. */
export function fillRow(row, entry, look) {
  showPlace(row, entry, look);
  const { job } = entry;
  if (!job || row.job === job) return;
  row.job = job;
  const { title, type, fill, word, check, open } = row.parts;
  ui.attribute(row, "data-status", markOf(job));
  ui.showGlyph(row.glyph, job);
  ui.put(title, nameOf(job));
  ui.put(type, job.type ?? "");
  ui.attribute(check, "aria-label", `Select ${nameOf(job).slice(0, 80)}`);
  const state = stateText(job);
  ui.put(word, state);
  word.classList.toggle("number", state.endsWith("%") && job.status === "running");
  ui.showBar(fill, percentOf(job), job.status === "running");
  open.hidden = !job.children.total;
  ui.put(row.parts.children, childrenText(job));
  row.parts.children.href = listOf({ project: job.project, parent: job.id });
  row.said = "";
  fillTimes(row, entry, Date.now());
}

function showPlace(row, { depth, leaving }, { selected, expanded, index, length }) {
  const { check, open } = row.parts;
  check.checked = selected;
  row.classList.toggle("selected", selected);
  row.classList.toggle("leaving", leaving);
  ui.attribute(open, "aria-expanded", expanded);
  ui.attribute(row, "data-depth", Math.min(depth, 4) || null);
  ui.attribute(row, "aria-posinset", index + 1);
  ui.attribute(row, "aria-setsize", length);
}

/** What changes with time alone. */
export function fillTimes(row, entry, now) {
  const { job } = row;
  if (!job) return;
  ui.put(row.parts.time, timeText(job, entry.seen || now, now));
  ui.showTime(row.parts.age, job.created_at, age(job.created_at, now));
  if (job.stalled || !row.said) ui.put(row.parts.message, messageText(job, now));
  row.said = "yes";
}
