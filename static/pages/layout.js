/** What both pages share: links between them, the header, and notices in place of a page. */

import { address, credential } from "./api.js";
import { BASE } from "../livejobs.js";
import { make, partsOf, put } from "./ui.js";

export const pageOf = (id) => new URL(`jobs/${encodeURIComponent(id)}`, BASE);
export const listOf = ({ project, ...rest }) =>
  address("", { ...rest, project: project === "default" ? "" : project });

const CONNECTION = {
  connecting: "Connecting",
  live: "Live",
  reconnecting: "Reconnecting",
  paused: "Paused",
};

export function showPlace(project) {
  const node = document.querySelector("[data-part=place]");
  put(node, project);
  node.href = listOf({ project });
}

export function showConnection(state) {
  const node = document.querySelector("[data-part=connection]");
  node.hidden = !(state in CONNECTION);
  node.dataset.state = state;
  put(node, CONNECTION[state] ?? "");
}

export const NOTICES = {
  missing: ["There is no such job", "It may have been deleted, or its address has a typo."],
  denied: ["A key is needed", "This server shows jobs only to clients with a key."],
  refused: ["This address is not valid", "The server does not accept its parameters."],
  gone: ["This job was deleted", "Its log and its files were deleted with it."],
};

/** Replace the page with a notice. */
export function showNotice(root, name) {
  const node = make("notice");
  put(node.parts.title, NOTICES[name][0]);
  put(node.parts.text, NOTICES[name][1]);
  node.querySelector("a").href = BASE;
  if (name === "denied") {
    node.querySelector("a").remove();
    askForKey(node.parts.form);
  }
  root.replaceChildren(node);
}

/** If the server accepts the key, reload the page with it. */
function askForKey(form) {
  const { key, refused } = partsOf(form);
  form.hidden = false;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    refused.hidden = true;
    if (await credential.renew(key.value.trim()).catch(() => false)) return location.reload();
    put(refused, "The server does not accept this key.");
    refused.hidden = false;
    key.select();
  });
}
