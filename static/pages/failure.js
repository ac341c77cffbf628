/** Why a job failed: its reason, its code, and the detail with the traceback apart. */

import { valueText } from "./format.js";
import { put } from "./ui.js";

export function showFailure({ failure, reason, code, detail, trace }, job) {
  failure.hidden = !job.error || job.status === "succeeded";
  if (!job.error) return;
  const [text, traceback] = parted(job.error.detail);
  put(reason, reasonText(job));
  put(code, job.error.code ?? "");
  code.hidden = !job.error.code || job.error.message.startsWith(`${job.error.code}:`); // told once
  put(detail, text);
  detail.hidden = !text;
  put(trace, traceback);
  trace.hidden = !traceback;
}

/** While a job waits for its next attempt, the error is that of the last one. */
function reasonText({ status, attempt, error: { message } }) {
  if (status !== "queued") return message || "The job failed without a message.";
  return [`Attempt ${attempt - 1} failed`, message].filter(Boolean).join(": ");
}

/** An error's detail, as text and as traceback. */
function parted(detail) {
  if (detail === null) return ["", ""];
  if (typeof detail === "string") return detail.includes("Traceback (") ? ["", detail] : [detail, ""];
  const { traceback, ...rest } = Array.isArray(detail) ? {} : Object(detail);
  if (typeof traceback !== "string") return [valueText(detail, 2), ""];
  return [Object.keys(rest).length ? valueText(rest, 2) : "", traceback];
}
