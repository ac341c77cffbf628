/** The menu in the header: who is logged in, what that key may do, and the way out. */

import { address, credential } from "./api.js";
import { dateAndTime } from "./format.js";
import { logOut, loginPage, session } from "./session.js";
import { attribute, facts, make, put } from "./ui.js";

/** Fill the header's place. Where the page asks for a key, there is no menu. */
export async function showUser() {
  const place = document.querySelector("[data-part=user]");
  const by = await session().catch(() => null);
  if (!by) return;
  const menu = make("user");
  const { open, list, name, keys, webhooks, out } = menu.parts;
  put(open, callOf(by));
  attribute(open, "aria-label", `${callOf(by)}: what you may do`);
  put(name, titleOf(by));
  facts(menu.parts.facts, rightsOf(by));
  keys.hidden = !by.may.includes("keys");
  keys.href = address("keys");
  webhooks.hidden = !by.may.includes("webhooks");
  webhooks.href = address("webhooks");
  out.hidden = by.open;
  put(out, credential.token ? "Leave this link" : "Log out");
  out.onclick = () => leave();
  list.addEventListener("toggle", ({ newState }) => newState === "open" && putBelow(list, open));
  place.replaceChildren(menu);
}

const nameOf = (by) => by.name.replace(/^key:/, "");

/** A short name for the button. */
function callOf(by) {
  if (by.open) return "Open";
  return credential.token ? "Shared link" : nameOf(by);
}

function titleOf(by) {
  if (by.open) return "This server is open: everyone who can connect is an admin.";
  return credential.token ? `A link of ${nameOf(by)}` : nameOf(by);
}

const DOES = { view: "see jobs", cancel: "cancel them", report: "report on them", admin: "manage keys" };

const rightsOf = (by) => [
  ["May", by.open ? "" : by.scopes.map((scope) => DOES[scope] ?? scope).join(", ")],
  ["Projects", by.projects?.join(", ") ?? (by.jobs || by.open ? "" : "all")],
  ["Jobs", by.jobs?.join(", ")],
  ["Until", endOf(by)],
];

/** A login is renewed while it is used, so its own end matters more than that of its token. */
function endOf(by) {
  const end = by.session_until ?? by.expires_at;
  return end && dateAndTime.format(new Date(end));
}

async function leave() {
  if (credential.token) credential.drop();
  else await logOut();
  location.assign(loginPage());
}

function putBelow(list, button) {
  const { right, bottom } = button.getBoundingClientRect();
  list.style.setProperty("left", `${Math.max(8, right + scrollX - list.offsetWidth)}px`);
  list.style.setProperty("top", `${bottom + scrollY + 8}px`);
}
