/** The keyboard of the list, and the list of its keys. */

import * as ui from "./ui.js";

const KEYS = [
  ["/", "Find a job"],
  ["j / k", "Next, previous job"],
  ["Enter", "Open the job"],
  ["→ / ←", "Show, hide its children"],
  ["x", "Select the job"],
  ["Shift x", "Select up to the job"],
  ["g", "Back to the first job"],
  ["Esc", "Clear the selection, then the search"],
  ["?", "Show these keys"],
];

export function help() {
  const dialog = ui.make("help");
  for (const [key, does] of KEYS) {
    const [name, text] = [ui.element("dt"), ui.element("dd", does)];
    name.append(...key.split(" ").map((word) => ui.element(word === "/" && key !== "/" ? "span" : "kbd", word)));
    dialog.parts.keys.append(name, text);
  }
  dialog.onclick = (event) => {
    if (event.target === dialog) dialog.close(); // without a value: false would cancel the click
  };
  document.body.append(dialog);
  return dialog;
}

const isTyping = (node) => node.matches?.("input:not([type=checkbox], [type=range]), select, textarea");

/** Call the action of a key, unless somebody types or another key is held with it. */
export function listen(actions) {
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    if (event.target.matches?.("[type=range]") && event.key.startsWith("Arrow")) return;
    if (isTyping(event.target) && event.key !== "Escape") return;
    const action = actions[event.shiftKey && event.key === "X" ? "X" : event.key];
    if (action?.(event) !== undefined) event.preventDefault();
  });
}
