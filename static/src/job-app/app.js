/**
 * One job, live, beside a chat: the page `ui://livejobs/job` of MCP Apps. It draws what `<live-job>`
 * draws. The host tells which job a tool was called for; then the page asks for that job itself.
 */

import { finished } from "../live-job/facts.js";
import { speechOf } from "../live-job/speech.js";
import { View } from "../live-job/view.js";
import { Host } from "./host.js";
import { Poll } from "./poll.js";
import { dress, style } from "./theme.js";

const { base = "", open, readonly } = document.documentElement.dataset;
const place = document.getElementById("job");
const root = place.attachShadow({ mode: "open" });

let id = null;
let job = null;
let seenAt = 0;
let state = "connecting";
let detail = "";
let wasOpen = false; // the job had not ended when it was seen first
let view = null;
let context = {};

const host = new Host({
  "ui/notifications/tool-input": ({ arguments: said }) => follow(said?.id),
  "ui/notifications/tool-result": (result) => receive(result),
  "ui/notifications/tool-cancelled": () => id ?? become("none"),
  "ui/notifications/host-context-changed": (changed) => adapt({ ...context, ...changed }),
  "ui/resource-teardown": () => poll.stop(),
});
const poll = new Poll(() => host.call("get_job", { id }), take, fail);

// What the host tells

/** Watch the job of this id. */
function follow(named) {
  if (typeof named !== "string" || named === id) return;
  id = named;
  job = null;
  wasOpen = false;
  become("connecting");
  if (mayCall()) poll.start();
}

function receive({ structuredContent: found, isError, content }) {
  if (isError && !job) return become("refused", content?.[0]?.text);
  if (!found?.progress) return;
  follow(found.id);
  // The page may know a newer state by now: the call took until the job had moved or ended.
  if (!job || Date.parse(found.updated_at) >= Date.parse(job.updated_at)) take(found);
}

const mayCall = () => Boolean(host.capabilities.serverTools);

function adapt(next) {
  context = next;
  dress(place, context);
  speak();
}

// The job

function take(next) {
  wasOpen ||= !finished(next);
  job = kept(job, next);
  seenAt = Date.now();
  become(finished(job) ? "ended" : "live");
  if (!finished(job)) return;
  poll.stop();
  if (wasOpen) report();
}

/** The next job with the parts that are still the same: a new question would be a new form, and what
 * a person has typed would be lost. */
function kept(before, next) {
  const same = (name) => JSON.stringify(before?.[name]) === JSON.stringify(next[name]);
  const parts = Object.keys(next).map((name) => [name, (same(name) ? before : next)?.[name]]);
  return Object.fromEntries(parts);
}

function fail(error) {
  if (!error.refused) return become("reconnecting");
  job = null;
  become("refused", error.message);
}

function become(next, reason = "") {
  state = next;
  detail = reason;
  draw();
}

/** Let the model know the end with its next turn, so that it need not ask. */
function report() {
  wasOpen = false;
  if (!host.capabilities.updateModelContext) return;
  const reason = job.error ? `: ${job.error.message}` : "";
  const text = `Job ${job.id} has ${job.status === "cancelled" ? "been " : ""}${job.status}${reason}`;
  host.ask("ui/update-model-context", { content: [{ type: "text", text }] }).catch(() => {});
}

// Drawing

function speak() {
  const speech = speechOf(context.locale);
  if (view?.speech === speech) return;
  document.documentElement.lang = speech.lang;
  view = new View(speech, {
    cancel: (force) => act("cancel_job", force ? { id, force } : { id }),
    answer: (value, n) => act("answer", { id, n, value }),
    open: carry,
  });
  view.speech = speech;
  root.replaceChildren(view.root);
  draw();
}

function draw() {
  if (!view) return;
  const mayAct = mayCall() && readonly === undefined;
  view.show(job, { state, detail, compact: false, mayAct, hasText: false, whole: true, seenAt });
}

setInterval(() => job && view && !finished(job) && view.tick(job, seenAt), 1000);

// What a person does

async function act(tool, args) {
  try {
    await host.call(tool, args);
  } finally {
    poll.soon();
  }
}

/** The frame may open nothing itself. Where a key is needed, the job's page asks for it. */
function carry(link, path) {
  const url = base + (open === undefined ? `jobs/${encodeURIComponent(id)}` : path);
  if (!base) return;
  link.href = url;
  link.removeAttribute("download");
  link.onclick = (event) => {
    if (!host.capabilities.openLinks) return;
    event.preventDefault();
    host.ask("ui/open-link", { url }).catch(() => {});
  };
}

/** A sandbox without `allow-forms` drops the submission, and with it the event. */
root.addEventListener("click", (event) => {
  const button = event.target.closest("form button:not([type=button])");
  if (!button) return;
  event.preventDefault();
  if (button.form.reportValidity()) button.form.dispatchEvent(new Event("submit"));
});

// The frame

new IntersectionObserver(([entry]) => (poll.seen = entry.isIntersecting)).observe(place);

async function begin() {
  style(root);
  adapt({});
  adapt(await host.connect("livejobs"));
  new ResizeObserver(() => {
    const { width, height } = document.documentElement.getBoundingClientRect();
    host.tell("ui/notifications/size-changed", {
      width: Math.ceil(width),
      height: Math.ceil(height),
    });
  }).observe(document.documentElement);
  draw();
  if (id && !(job && finished(job)) && mayCall()) poll.start();
}

begin();
