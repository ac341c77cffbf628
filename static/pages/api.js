/** What the pages ask the server besides watching: addresses, the credential, lists and actions. */

import { BASE } from "../livejobs.js";

/** The address of a path on the server. Empty query values are left out. */
export function address(path, query = {}) {
  const url = new URL(path, BASE);
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== null && value !== "") url.searchParams.set(name, value);
  }
  return url;
}

export const jobPath = (id) => `v1/jobs/${encodeURIComponent(id)}`;

/**
 * What this tab sends to the server. The token of a link stays in the tab. Without one, the browser
 * sends the cookie of its login, which no script can read. With an open server there is neither.
 */
export const credential = {
  get token() {
    return sessionStorage.getItem("livejobs_token");
  },

  drop() {
    sessionStorage.removeItem("livejobs_token");
  },

  /** Move `?token=` from the page's address into the tab: people copy and share addresses. */
  fromAddress() {
    const url = new URL(location.href);
    const token = url.searchParams.get("token");
    if (!token) return;
    sessionStorage.setItem("livejobs_token", token);
    url.searchParams.delete("token");
    history.replaceState(history.state, "", url);
  },

  get headers() {
    return this.token ? { authorization: `Bearer ${this.token}` } : {};
  },

  /** The options with which `watch` uses this credential. */
  get watching() {
    return { token: this.token ?? "", renew: () => this.renew() };
  },

  /** Renew the login. Return whether there is one: the token of a link can't be renewed. */
  async renew() {
    return !this.token && (await fetch(address("v1/session"), { method: "POST" })).ok;
  },
};

/** The server's JSON, or an Error with the detail of its problem. */
export async function ask(url, options = {}) {
  const headers = { ...credential.headers, ...options.headers };
  const answer = await fetch(url, { ...options, headers });
  const body = await answer.json().catch(() => ({}));
  if (answer.ok) return body;
  const error = new Error(body.detail ?? `The server answered ${answer.status}.`);
  throw Object.assign(error, { errors: body.errors ?? [] });
}

export const listJobs = (query) => ask(address("v1/jobs", query));
export const readLogs = (id, query) => ask(address(`${jobPath(id)}/logs`, query));
export const readEntries = (id, kind, query) => ask(address(`${jobPath(id)}/${kind}`, query));
export const readAudit = (id, query) => ask(address(`${jobPath(id)}/audit`, query));
/** A token that shows this job, and nothing else. */
export const shareJob = (id, seconds) =>
  ask(address("v1/tokens"), {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ jobs: [id], scopes: ["view"], ttl_seconds: seconds }),
  });
/** The whole log as text. */
export async function logText(id) {
  const headers = { ...credential.headers, accept: "text/plain" };
  const answer = await fetch(address(`${jobPath(id)}/logs`), { headers });
  if (!answer.ok) throw new Error(`The server answered ${answer.status}.`);
  return answer.blob();
}
export const cancelJob = (id, query = {}) =>
  ask(address(`${jobPath(id)}/cancel`, query), { method: "POST" });
/** Answer question `n`, which the job waits for. */
export const answerJob = (id, n, value) =>
  ask(address(`${jobPath(id)}/answer`), {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ n, value }),
  });
export const readJob = (id) => ask(address(jobPath(id)));
export const readStats = (query) => ask(address("v1/stats", query));
export const readProjects = () => ask(address("v1/projects")).then(({ projects }) => projects);

const AT_ONCE = 1000; // jobs to cancel with one request

/** Cancel jobs: the server's result for each. */
export async function cancelJobs(ids) {
  const results = [];
  for (let at = 0; at < ids.length; at += AT_ONCE) {
    const answer = await ask(address("v1/cancel"), {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ jobs: ids.slice(at, at + AT_ONCE) }),
    });
    results.push(...answer.results);
  }
  return results;
}
