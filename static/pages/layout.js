/** What all pages share: links between them, the header, and notices in place of a page. */

import { address, credential } from "./api.js";
import { BASE } from "../livejobs.js";
import { logIn, session } from "./session.js";
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
  expired: ["This link has ended", "Ask for a new link, or log in with a key."],
  forbidden: ["Your key does not allow this", "Log in with a key that may see it."],
  refused: ["This address is not valid", "The server does not accept its parameters."],
  gone: ["This job was deleted", "Its log and its files were deleted with it."],
};

/** Replace the page with a notice. */
export async function showNotice(root, name) {
  const isDenied = name === "denied";
  const [title, text] = NOTICES[isDenied ? await denial() : name];
  const node = make("notice");
  put(node.parts.title, title);
  put(node.parts.text, text);
  node.parts.list.href = BASE;
  node.parts.list.hidden = isDenied;
  node.parts.form.hidden = !isDenied;
  askForKey(node.parts.form, () => location.reload());
  root.replaceChildren(node);
}

/** Why the server shows nothing to this tab. */
async function denial() {
  if (await session().catch(() => null)) return "forbidden";
  return credential.token ? "expired" : "denied";
}

/** Log in with the form's key, and then call `done`. */
export function askForKey(form, done) {
  const { key, submit, refused } = partsOf(form);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    refused.hidden = submit.disabled = true;
    const why = await logIn(key.value.trim());
    submit.disabled = false;
    if (!why) return done();
    put(refused, why);
    refused.hidden = false;
    key.select();
  });
}
