/**
 * The form that answers what a job waits for. It follows a simple schema: buttons for a boolean, a
 * choice for an enum, a field for text and numbers, fields for an object of these. Any other schema
 * gets a field for JSON. The server checks the answer in any case.
 */

import { element, put } from "./ui.js";

const PLAIN = new Set(["boolean", "string", "number", "integer"]);
const MOST = 20; // fields of an object, and buttons of a choice

const ENGLISH = {
  answer: "Answer",
  send: "Send",
  yes: "Yes",
  no: "No",
  notJson: (reason) => `This is not JSON: ${reason}`,
};

/**
 * The form for a job's question. `send` sends the answer to the server; an error that it throws is
 * shown, and the answer can be corrected. Whoever shows the form removes it with its question.
 */
export function formOf({ prompt, schema }, send, words = ENGLISH) {
  const form = element("form", undefined, { class: "answer" });
  const refused = element("p", "", { class: "refused", role: "alert" });
  refused.hidden = true;
  const submit = async (value) => {
    const controls = [...form.elements];
    const focused = form.getRootNode().activeElement;
    for (const control of controls) control.disabled = true;
    try {
      await send(value);
    } catch (error) {
      for (const control of controls) control.disabled = false;
      put(refused, reasonOf(error));
      refused.hidden = false;
      focused?.focus(); // which it lost when it was disabled
    }
  };
  form.append(element("p", prompt, { class: "prompt" }));
  fill(form, schema ?? {}, submit, words);
  form.append(refused);
  return form;
}

function fill(form, schema, send, words) {
  const choices = choicesOf(schema, words);
  if (choices) return form.append(buttons(choices, send));
  const fields = schema.type === "object" ? fieldsOf(schema, words) : null;
  const parts = fields ?? [field(words.answer, schema, true, words)];
  const button = element("button", words.send, { class: "button", part: "button" });
  form.append(...parts.map((part) => part.node), button);
  form.onsubmit = (event) => {
    event.preventDefault();
    const values = parts.map((part) => [part.name, part.read()]);
    if (values.some(([, value]) => value instanceof SyntaxError)) return;
    const given = values.filter(([, value]) => value !== undefined);
    send(fields ? Object.fromEntries(given) : values[0][1]);
  };
}

/** The answers to choose from, as pairs of text and value; null if they are not a few. */
function choicesOf(schema, words = ENGLISH) {
  if (schema.type === "boolean") return [[words.yes, true], [words.no, false]];
  const values = Array.isArray(schema.enum) && schema.enum.length <= MOST ? schema.enum : null;
  return values && values.map((value) => [labelOf(value), value]);
}

const labelOf = (value) => (typeof value === "string" ? value : JSON.stringify(value));

function buttons(choices, send) {
  const group = element("p", undefined, { class: "choices" });
  for (const [text, value] of choices) {
    const button = element("button", text, { type: "button", class: "button", part: "button" });
    button.onclick = () => send(value);
    group.append(button);
  }
  return group;
}

/** The fields of an object whose properties are all simple, else null. */
function fieldsOf({ properties, required }, words) {
  const entries = Object.entries(properties ?? {});
  const simple = ([, schema]) => schema && (PLAIN.has(schema.type) || choicesOf(schema));
  if (!entries.length || entries.length > MOST || !entries.every(simple)) return null;
  const needed = Array.isArray(required) ? required : [];
  return entries.map(([name, schema]) => field(name, schema, needed.includes(name), words));
}

/** A field with its label. `read` returns its value: undefined if it is empty and may be. */
function field(name, schema, needed, words) {
  const control = controlOf(schema);
  control.required = needed && control.type !== "checkbox";
  const node = element("label", typeof schema.title === "string" ? schema.title : name);
  node.append(control);
  if (typeof schema.description === "string") node.append(element("small", schema.description));
  control.addEventListener("input", () => control.setCustomValidity(""));
  return { name, node, read: () => read(control, schema, needed, words) };
}

function controlOf(schema) {
  const choices = schema.type === "boolean" ? null : choicesOf(schema);
  if (choices) {
    const select = element("select");
    select.append(element("option", "", { value: "" }));
    choices.forEach(([text], at) => select.append(element("option", text, { value: at })));
    return select;
  }
  if (schema.type === "boolean") return element("input", undefined, { type: "checkbox" });
  if (schema.type === "string") return element("input", undefined, { type: "text" });
  if (schema.type === "integer" || schema.type === "number") {
    const step = schema.type === "integer" ? "1" : "any";
    return element("input", undefined, { type: "number", step });
  }
  return element("textarea", undefined, { rows: 3, spellcheck: "false", placeholder: "JSON" });
}

function read(control, schema, needed, words) {
  if (control.type === "checkbox") return control.checked;
  if (control.value === "" && !(needed && schema.type === "string")) return undefined;
  if (control.tagName === "SELECT") return schema.enum[Number(control.value)];
  if (control.type === "number") return Number(control.value);
  return schema.type === "string" ? control.value : parsed(control, words);
}

/** JSON; text that is none is shown as wrong. */
function parsed(control, words) {
  try {
    return JSON.parse(control.value);
  } catch (error) {
    control.setCustomValidity(words.notJson(error.message));
    control.reportValidity();
    return error;
  }
}

/** What is wrong, with its place in the answer. */
function reasonOf(error) {
  if (!error.errors?.length) return error.message;
  const places = error.errors.map(({ pointer, detail }) => {
    const place = pointer.replace(/^\/value\/?/, "");
    return place ? `${place}: ${detail}` : detail;
  });
  return places.join(" ");
}
