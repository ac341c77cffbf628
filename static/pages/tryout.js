/**
 * A form beside each call of the API page, which sends the call with the login of this browser. The
 * form is made from `/openapi.json` when its reader asks for it, so the page is whole without it.
 */

import { BASE } from "../livejobs.js";
import { address, credential } from "./api.js";
import { element, put } from "./ui.js";

const SHOWN = 100_000; // characters of an answer; more would make the page slow
const JSON_TYPE = "application/json";
const PROSE = /json|^text\/|svg|xml/; // media types that are shown; of others, only the size

let read = null;
const operations = () =>
  (read ??= readOperations().catch((error) => {
    read = null; // so that the next click tries again
    throw error;
  }));

/** The calls of the document, by their id, with method and path. */
async function readOperations() {
  const answer = await fetch(address("openapi.json"));
  if (!answer.ok) throw new Error(`The server answered ${answer.status}.`);
  const { paths } = await answer.json();
  const found = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, it]) => [it.operationId, { ...it, method: method.toUpperCase(), path }]),
  );
  return new Map(found);
}

function offer(article) {
  const box = element("div", undefined, { class: "try" });
  const title = article.querySelector("h3").textContent;
  const open = element("button", undefined, { class: "button", type: "button", "aria-expanded": "false" });
  const label = element("span", "Try it");
  open.append(label, element("span", `: ${title}`, { class: "sr" }));
  const toggle = async () => {
    const form = box.querySelector("form") ?? (await made(article.id, box));
    const shut = open.getAttribute("aria-expanded") === "false";
    open.setAttribute("aria-expanded", String(shut));
    put(label, shut ? "Close" : "Try it");
    form.hidden = !shut;
    if (shut) (form.querySelector(".field") ?? form.querySelector("button")).focus({ preventScroll: true });
  };
  open.addEventListener("click", () => toggle().catch((error) => complain(box, error)));
  box.append(open);
  article.querySelector(".example").after(box);
  article.classList.add("tried");
}

function complain(box, error) {
  const text = box.querySelector(".refused") ?? element("p", "", { class: "refused", role: "alert" });
  put(text, error.message);
  box.append(text);
}

async function made(id, box) {
  const operation = (await operations()).get(id);
  if (box.querySelector("form")) return box.querySelector("form"); // of a second click meanwhile
  box.querySelector(".refused")?.remove();
  const form = formOf(operation);
  box.append(form);
  return form;
}

function formOf(operation) {
  const form = element("form", undefined, { hidden: "" });
  const inputs = operation.parameters.filter((it) => it.name !== "token").map((it) => labelled(it.name, inputOf(it)));
  const body = bodyOf(operation.requestBody);
  const send = element("button", `Send ${operation.method}`, { class: "button main" });
  const stop = element("button", "Stop", { class: "button", type: "button", hidden: "" });
  const buttons = element("p", undefined, { class: "buttons" });
  const answer = element("div", undefined, { class: "answer" });
  buttons.append(send, stop);
  form.append(...inputs, ...body, buttons, answer);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    run({ operation, form, send, stop, answer });
  });
  return form;
}

function labelled(name, input) {
  const label = element("label");
  label.append(element("code", name), input);
  return label;
}

function inputOf({ name, in: where, schema, required }) {
  const names = { name, "data-in": where, class: "field", ...(required ? { required: "" } : {}) };
  if (!schema.enum) {
    const [example] = schema.examples ?? [];
    const [type, step] = schema.type === "integer" ? ["number", "1"] : ["text", null];
    const rest = { type, ...(step ? { step } : {}), ...(example ? { value: example } : {}) };
    return element("input", undefined, { ...names, ...rest, autocomplete: "off", spellcheck: "false" });
  }
  const select = element("select", undefined, names);
  for (const value of ["", ...schema.enum]) select.append(new Option(value, value));
  return select;
}

function bodyOf(body) {
  if (!body) return [];
  const [media] = Object.keys(body.content);
  if (media !== JSON_TYPE) return [labelled(media, element("input", undefined, { type: "file", class: "body" }))];
  const { example } = body.content[media];
  const text = element("textarea", undefined, { class: "field body", rows: "5", spellcheck: "false" });
  text.value = example === undefined ? "" : JSON.stringify(example, null, 2);
  return [labelled("Body", text)];
}

async function run({ operation, form, send, stop, answer }) {
  const ended = new AbortController();
  const abort = () => ended.abort();
  stop.addEventListener("click", abort);
  send.disabled = true;
  stop.hidden = false;
  answer.replaceChildren();
  try {
    const [url, options] = requestOf(operation, form);
    await show(await fetch(url, { ...options, signal: ended.signal }), answer);
  } catch (error) {
    const text = ended.signal.aborted ? "Stopped." : `No answer: ${error.message}`;
    answer.append(element("p", text, { class: "refused", role: "alert" }));
  }
  stop.removeEventListener("click", abort);
  stop.hidden = true;
  send.disabled = false;
}

/** The address and the options of the call. Empty fields are left out. */
function requestOf({ method, path, requestBody }, form) {
  const given = { path: {}, query: {}, header: {} };
  for (const { name, value, dataset } of form.querySelectorAll("[data-in]")) {
    if (value !== "") given[dataset.in][name] = value;
  }
  const place = path.replace(/^\//, "").replace(/\{(\w+)\}/g, (_, name) => encodeURIComponent(given.path[name]));
  const options = { method, headers: { ...credential.headers, ...given.header } };
  const input = form.querySelector(".body");
  const body = input?.files ? input.files[0] : input?.value;
  if (body) {
    [options.headers["content-type"]] = Object.keys(requestBody.content);
    options.body = body;
  }
  return [address(place, given.query), options];
}

async function show(answer, box) {
  const media = answer.headers.get("content-type") ?? "";
  const line = element("p", undefined, { class: "status", role: "status" });
  line.append(element("b", `${answer.status} ${answer.statusText}`.trim(), { class: answer.ok ? "good" : "bad" }));
  line.append(element("small", media));
  if (answer.status === 401) line.append(logIn());
  box.append(line);
  if (!answer.body) return;
  if (!PROSE.test(media)) return void box.append(element("p", `${(await answer.blob()).size} bytes`));
  const text = element("pre", "", { tabindex: "0", "aria-label": "Response" });
  box.append(text);
  await fill(text, answer.body, media);
}

/** Show the text as it arrives, as a stream may not end. */
async function fill(node, body, media) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (let { done, value } = await reader.read(); !done; { done, value } = await reader.read()) {
    text += value;
    put(node, text.slice(0, SHOWN));
    if (text.length > SHOWN) {
      put(node, `${text.slice(0, SHOWN)}\n… and more`);
      return void reader.cancel();
    }
  }
  if (media.includes("json")) put(node, pretty(text));
}

function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text; // lines of JSON
  }
}

function logIn() {
  const url = new URL("login", BASE);
  url.searchParams.set("to", "./docs");
  return element("a", "Log in", { href: url.href });
}

credential.fromAddress();
put(document.querySelector("[data-part=server]"), BASE.href.replace(/\/$/, ""));
for (const article of document.querySelectorAll(".operation:not(.schema)")) offer(article);
