/** The login of this browser: what it may do, its beginning, and its end. */

import { BASE } from "../livejobs.js";
import { address, credential } from "./api.js";

const RENEW_EVERY = 10 * 60_000; // ms between looks at the cookie's end
const HALF_DAY = 12 * 3_600_000; // ms; the cookie lasts a day
const tabs = new BroadcastChannel(`livejobs login ${BASE}`);
let asked = null;
let closed = false;

/** Whether others need a key to ask this server, as far as it is known by now. */
export const isClosed = () => closed;

/** What the credential may do, as the server says; null if there is none. */
export const session = () =>
  (asked ??= read().catch((error) => {
    asked = null;
    throw error;
  }));

/** The same, asked again: the login may have ended since. */
export function sessionNow() {
  asked = null;
  return session();
}

async function read() {
  const answer = await fetch(address("v1/session"), { headers: credential.headers });
  const by = answer.ok ? await answer.json() : null;
  closed = !by?.open;
  if (by || answer.status === 401) return by;
  throw new Error(`The server answered ${answer.status}.`);
}

/** Exchange the key for a cookie. Return why the server refused, or null. */
export async function logIn(key) {
  if (!/^[!-~]+$/.test(key)) return "The server does not accept this key."; // no header carries it
  try {
    const headers = { authorization: `Bearer ${key}` };
    const answer = await fetch(address("v1/session"), { method: "POST", headers });
    if (!answer.ok) return await reasonOf(answer);
  } catch {
    return "The server does not answer. Try again.";
  }
  changed();
  return null;
}

async function reasonOf(answer) {
  const { detail } = await answer.json().catch(() => ({}));
  if (answer.status !== 401) return detail ?? `The server answered ${answer.status}.`;
  return "The server does not accept this key.";
}

export async function logOut() {
  await fetch(address("v1/session"), { method: "DELETE" });
  changed();
}

/** The other tabs share the cookie, so they must not show what the last login could see. */
function changed() {
  credential.drop();
  tabs.postMessage("changed");
}

/** Keep the login while the page is open, and follow the other tabs. */
export function keepSession() {
  tabs.onmessage = () => credential.token || location.reload();
  setInterval(() => renewOld().catch(() => {}), RENEW_EVERY);
}

async function renewOld() {
  const by = await session();
  const canLast = by?.session_until && by.session_until > by.expires_at;
  if (!canLast || Date.parse(by.expires_at) - Date.now() > HALF_DAY) return;
  if (await credential.renew()) asked = null;
}

/** Where to go after the login: an address of this server that is below its root. */
export function target(wanted) {
  const url = new URL(wanted || "./", BASE);
  const isOurs = url.origin === BASE.origin && url.pathname.startsWith(BASE.pathname);
  return isOurs && url.pathname !== loginPage().pathname ? url : BASE;
}

export const loginPage = () => address("login");
