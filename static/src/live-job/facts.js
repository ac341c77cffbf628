/** What the element says about a job, in a language. */

export const finished = (job) => job.completed_at !== null;

/** The status, or what matters more: stalled, cancelling, waiting for an answer. */
export function kindOf(job) {
  if (job.status !== "running") return job.status;
  if (job.stalled) return "stalled";
  if (job.cancel_requested) return "cancelling";
  return job.waiting ? "waiting" : "running";
}

/** The state in a few words: 42%, 2 of 5 in line, Failed at 30%. */
export function stateText(job, speech, compact) {
  const { percent } = job.progress;
  const kind = kindOf(job);
  if (kind === "waiting" && compact) return speech.say("question");
  if (kind === "queued" && job.queue) return placeText(job.queue, speech);
  if (kind === "failed" && percent) return speech.say("failedAt", speech.percent(percent));
  return kind === "running" && percent !== null ? speech.percent(percent) : speech.say(kind);
}

const placeText = ({ position, length }, speech) =>
  position === 1
    ? speech.say("next")
    : speech.say("place", speech.number(position), speech.number(length));

/** The job's error, silence, own message, or running step; its question, if it is to be a line. */
export function messageText(job, now, speech, isLine) {
  if (job.error && job.status !== "succeeded") return job.error.message;
  if (job.waiting && isLine) return job.waiting.prompt;
  const silence = Math.floor(since(job.heartbeat_at, now));
  if (job.stalled) return speech.say("silent", speech.span(silence));
  const step = job.steps.find((each) => each.status === "running");
  return (finished(job) ? "" : job.progress.message) || (step ? step.title || step.name : "");
}

export const since = (time, now) => Math.max(0, (now - Date.parse(time)) / 1000);

/** Time left, time until the start, or time taken. */
export function timeText(job, seenAt, now, speech) {
  const { run_seconds: took } = job.timing;
  if (finished(job)) return took === null ? "" : speech.say("took", speech.span(took));
  const seconds = secondsLeft(job, seenAt, now);
  if (!seconds) return "";
  return speech.say(job.status === "queued" ? "starts" : "left", speech.span(seconds));
}

/** Seconds left, counted down since the estimate arrived; null without an estimate. */
function secondsLeft(job, seenAt, now) {
  const eta = job.status === "queued" ? job.queue?.eta_seconds : job.progress.eta_seconds;
  if (eta === null || eta === undefined || job.stalled || job.waiting) return null;
  return Math.max(0, Math.round(eta - (now - seenAt) / 1000));
}

/** How much is done: 420 of 1,000 frames. */
export function amountText({ progress: { current, total, unit } }, speech) {
  if (current === null) return "";
  const done = speech.number(current);
  const text = total === null ? done : speech.say("of", done, speech.number(total));
  return unit ? `${text} ${unit}` : text;
}

export function rateText(job, speech) {
  const { rate, unit } = job.progress;
  if (rate === null || job.status !== "running" || job.stalled || job.waiting) return "";
  return speech.say("rate", unit ? `${speech.number(rate)} ${unit}` : speech.number(rate));
}

/** For screen readers, in quarters: they read each change aloud. */
export function spokenText(job, speech) {
  const kind = kindOf(job);
  const { percent } = job.progress;
  const quarter = percent && kind === "running" ? speech.percent(percent - (percent % 25)) : "";
  const question = kind === "waiting" ? job.waiting.prompt : "";
  return [speech.say(kind), quarter, question].filter(Boolean).join(", ");
}
