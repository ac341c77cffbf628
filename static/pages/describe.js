/** What the pages say about a job: its state, message, times and facts as text. */

import { age, amount, duration, moment, since, span, valueText } from "./format.js";

export const STATUSES = {
  queued: "Queued",
  running: "Running",
  succeeded: "Succeeded",
  failed: "Failed",
  cancelled: "Cancelled",
};

export const nameOf = (job) => job.title || job.id;
export const finished = (job) => job.completed_at !== null;
export const percentOf = (job) => job.progress.percent;

/** What a glyph and a colour show of the job: its status, unless it waits for a person or is stalled. */
export const markOf = (job) => (job.waiting ? "waiting" : job.stalled ? "stalled" : job.status);

/** The job's state in one to four words: "42%", "2 of 5 in line", "Failed at 30%". */
export function stateText(job) {
  if (job.status === "queued") return job.queue ? placeText(job.queue) : "Queued";
  if (job.status !== "running") {
    const reached = job.status === "failed" && percentOf(job);
    return reached ? `Failed at ${reached}%` : STATUSES[job.status];
  }
  if (job.cancel_requested) return "Cancelling";
  if (job.waiting) return "Waiting for an answer";
  return percentOf(job) === null ? "Running" : `${percentOf(job)}%`;
}

const placeText = ({ position, length }) =>
  position === 1 ? "Next in line" : `${amount(position)} of ${amount(length)} in line`;

/** The job's message: its error, a note that it is stalled, its own message or its running step. */
export function messageText(job, now) {
  if (job.error && job.status !== "succeeded") return job.error.message;
  if (job.waiting) return `“${job.waiting.prompt}”`;
  if (job.stalled) return `Stalled: no report for ${passedSince(job.heartbeat_at, now)}`;
  const step = job.steps.find((each) => each.status === "running");
  return (finished(job) ? "" : job.progress.message) || (step ? step.title || step.name : "");
}

const passedSince = (time, now) => span(Math.floor(since(time, now)));

/** Seconds left, counted down since the estimate arrived; null without an estimate. */
export function secondsLeft(job, seenAt, now) {
  const eta = job.status === "queued" ? job.queue?.eta_seconds : job.progress.eta_seconds;
  if (eta === null || eta === undefined || job.stalled || job.waiting || finished(job)) return null;
  return Math.max(0, Math.round(eta - (now - seenAt) / 1000));
}

/** The time column of the list: time left, time until the start, or time taken. */
export function timeText(job, seenAt, now) {
  const { run_seconds: took } = job.timing;
  if (finished(job)) return took === null ? "" : `took ${span(took)}`;
  const seconds = secondsLeft(job, seenAt, now);
  if (job.status === "queued") return seconds ? `in ${span(seconds)}` : "";
  if (seconds) return `${span(seconds)} left`;
  const passed = Math.floor(since(job.started_at, now));
  return passed ? `for ${span(passed)}` : "";
}

/** The children in a few words: "8 children, 3 running, 1 failed". */
export function childrenText({ children }) {
  const { total, running, failed } = children;
  if (!total) return "";
  const count = `${amount(total)} ${total === 1 ? "child" : "children"}`;
  const some = Object.entries({ running, failed }).filter(([, n]) => n);
  return [count, ...some.map(([name, n]) => `${amount(n)} ${name}`)].join(", ");
}

/** The job's state as the first word of the tab's title. */
export function tabMark(job) {
  if (job.status === "running") return percentOf(job) === null ? "…" : `${percentOf(job)}%`;
  return { queued: "○", succeeded: "✓", failed: "✕", cancelled: "–" }[job.status];
}

// Facts: pairs of name and text. A pair without a text is left out.

export function figures(job, seenAt, now) {
  const { current, total, unit, rate } = job.progress;
  const seconds = secondsLeft(job, seenAt, now);
  const moving = job.status === "running" && !job.stalled && !job.waiting && rate !== null;
  const of = total === null ? "" : ` of ${amount(total)}`;
  return [
    ["Done", current === null ? null : `${amount(current)}${of}${unit ? ` ${unit}` : ""}`],
    ["Rate", moving ? `${amount(rate)}${unit ? ` ${unit}` : ""}/s` : null],
    [job.status === "queued" ? "Starts in" : "Time left", seconds ? span(seconds) : null],
    [finished(job) ? "Took" : "Running for", runTime(job, now)],
  ];
}

function runTime(job, now) {
  if (finished(job)) return duration(job.timing.run_seconds);
  return job.status === "running" ? passedSince(job.started_at, now) : null;
}

export function timing(job, now) {
  return [
    ["Created", moment(job.created_at)],
    ["Started", moment(job.started_at)],
    ["Finished", moment(job.completed_at)],
    ["Waited", duration(job.timing.queue_seconds)],
    ["Total", duration(job.timing.total_seconds)],
    ["Last report", !finished(job) && job.heartbeat_at ? age(job.heartbeat_at, now) : null],
    ["Kept until", moment(job.expires_at)],
  ];
}

export function details(job) {
  return [
    ["Id", job.id],
    ["Project", job.project],
    ["Owner", job.owner],
    ["Attempt", job.attempt > 1 ? amount(job.attempt) : null],
    ...values(job.worker ?? {}).map(([name, text]) => [`Worker ${name}`, text]),
  ];
}

export const counters = (job) => Object.entries(job.counters).map(([name, n]) => [name, amount(n)]);
export const values = (object) =>
  Object.entries(object).map(([name, value]) => [name, valueText(value)]);
