/** What all pages share: links between them, the header, and notices in place of a page. */

import { address, credential } from "./api.js";
import { BASE } from "../livejobs.js";
import { logIn, sessionNow } from "./session.js";
import { make, put } from "./ui.js";

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
  refused: ["This address is not valid", "The server does not accept the parameters in the address."],
  gone: ["This job was deleted", "Its log and its files were deleted with it."],
};
const EXPIRED = ["This link has ended", "Ask for a new link, or log in with a key."];
const FORBIDDEN = ["Your key does not allow this", "Log in with a key that allows it."];

/** Replace the page with a notice. */
export async function showNotice(root, name) {
  if (name === "denied") return showLogin(root, await denial(), () => location.reload());
  const node = make("notice");
  put(node.parts.title, NOTICES[name][0]);
  put(node.parts.text, NOTICES[name][1]);
  node.parts.list.href = BASE;
  root.replaceChildren(node);
}

/** Why the server shows nothing to this tab. */
async function denial() {
  if (await sessionNow().catch(() => null)) return FORBIDDEN;
  document.querySelector("[data-part=user]").replaceChildren();
  return credential.token ? EXPIRED : NOTICES.denied;
}

/** Replace the page with the form that asks for a key. With a good key, call `done`. */
export function showLogin(root, [title, text], done) {
  const page = make("login");
  const { parts } = page;
  put(parts.title, title);
  put(parts.lead, text);
  root.replaceChildren(page);
  parts.form.addEventListener("submit", async (event) => {
    event.preventDefault();
    parts.refused.hidden = parts.submit.disabled = true;
    const why = await logIn(parts.key.value.trim());
    parts.submit.disabled = false;
    if (!why) return done();
    put(parts.refused, why);
    parts.refused.hidden = false;
    parts.key.select();
  });
  return parts;
}
