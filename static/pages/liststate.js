/** What stands beside the rows of the list, or in place of them. */

import { number } from "./format.js";
import { listOf, pageOf } from "./layout.js";
import * as ui from "./ui.js";

const NONE = {
  waiting: "No job waits for an answer.",
  stalled: "No job is stalled.",
  queued: "No job is in the queue.",
  running: "No job is running.",
  failed: "No job has failed.",
};

/** The parent whose children the list shows, if it has one. */
export function showScope({ scope }, { project, parent }) {
  scope.hidden = !parent;
  if (!parent) return;
  const link = (text, href) => ui.element("a", text, { href });
  scope.append("Children of ", link(parent, pageOf(parent)), link("Show all jobs", listOf({ project })));
}

/** `settled`: the first jobs are there. `last`: the last row in the window. */
export function showState(parts, { entries, filters, settled, last }) {
  const { rows, loading, nothing, empty, why } = parts;
  const { chosen, any, scope } = filters;
  const none = entries.length === 0 && entries.held.size === 0;
  loading.hidden = !none || settled;
  rows.hidden = none;
  ui.attribute(rows, "aria-busy", !settled);
  empty.hidden = !settled || !none || any || Boolean(scope.parent);
  nothing.hidden = !settled || !none || !empty.hidden;
  const only = !chosen.type && !chosen.tag && !chosen.q;
  ui.put(why, (only && NONE[chosen.flag || chosen.status]) || "No job matches.");
  showNews(parts, entries.held.size);
  showReading(parts, entries, last);
  document.body.classList.toggle("bare", !empty.hidden);
}

function showNews({ news }, n) {
  news.hidden = !n;
  ui.put(news, `${number.format(n)} new ${n === 1 ? "job" : "jobs"}`);
}

/** After a jump far ahead: how far the list is read. */
function showReading({ reading }, { order, read, total, next }, last) {
  reading.hidden = !next || last < order.length + 20;
  if (!reading.hidden) ui.put(reading, `Reading ${number.format(read)} of ${number.format(total)}`);
}
