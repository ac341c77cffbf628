/** The form that makes a key, and shows it once. */

import { address, ask } from "./api.js";
import { logIn } from "./session.js";
import * as ui from "./ui.js";

const SCOPES = [
  ["view", "See jobs, logs and files"],
  ["cancel", "Also cancel jobs, and answer their questions"],
  ["report", "Also create jobs and report on them: for workers"],
  ["admin", "Also delete jobs, and make and revoke keys"],
];
const ENDS = [
  ["Never", 0],
  ["In 7 days", 7],
  ["In 30 days", 30],
  ["In 90 days", 90],
  ["In a year", 365],
];
const DAY = 86_400_000; // ms

/** Open the form. `done` is called when there is a new key. */
export function newKey(by, done) {
  const dialog = ui.make("new-key");
  const { parts } = dialog;
  for (const one of SCOPES) parts.scopes.append(choice(...one));
  for (const [text, days] of ENDS) parts.ends.append(ui.element("option", text, { value: days }));
  if (by.open) askForFirst(parts);
  parts.proof.hidden = by.open;
  parts.key.required = !by.open;
  const close = () => dialog.close();
  parts.close.onclick = parts.done.onclick = close;
  dialog.onclose = () => (by.open && parts.form.hidden ? location.reload() : dialog.remove());
  parts.form.onsubmit = (event) => {
    event.preventDefault();
    create(parts, by, done);
  };
  document.body.append(dialog);
  dialog.showModal();
}

function choice(scope, does) {
  const label = ui.make("scope");
  label.parts.radio.value = scope;
  label.parts.radio.checked = scope === "report";
  ui.put(label.parts.scope, scope);
  ui.put(label.parts.does, does);
  return label;
}

/** Without a key of an admin for all projects, nobody could make another one. */
function askForFirst(parts) {
  parts.scopes.querySelector("[value=admin]").checked = true;
  parts.scopes.hidden = parts.place.hidden = parts.end.hidden = true;
  ui.put(parts.note, "The first key is an admin's. From then on, this server asks everyone for a key.");
  parts.note.hidden = false;
}

async function create(parts, by, done) {
  const { refused, submit, key } = parts;
  refused.hidden = submit.disabled = true;
  try {
    const made = await ask(address("v1/keys"), request(parts, by));
    show(parts, made);
    if (by.open) await logIn(made.key); // else this page would lock its own user out
    done();
  } catch (error) {
    ui.put(refused, error instanceof TypeError ? "The server does not accept this key." : error.message);
    refused.hidden = false;
  }
  key.value = "";
  submit.disabled = false;
}

function request({ name, scopes, projects, ends, key }, by) {
  const scope = scopes.querySelector(":checked").value;
  const named = projects.value.split(/[\s,]+/).filter(Boolean);
  const until = Number(ends.value) && new Date(Date.now() + Number(ends.value) * DAY).toISOString();
  const body = { name: name.value.trim(), scopes: [scope], ...(named.length && { projects: named }), ...(until && { expires_at: until }) };
  const headers = { "content-type": "application/json", ...(!by.open && { authorization: `Bearer ${key.value.trim()}` }) };
  return { method: "POST", headers, body: JSON.stringify(body) };
}

function show({ form, made, title, secret, copy }, { name, key }) {
  form.hidden = true;
  made.hidden = false;
  ui.put(title, `Key ${name}`);
  ui.put(secret, key);
  copy.onclick = () => ui.copy(copy, key);
  title.focus();
}
