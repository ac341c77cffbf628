/** What the dashboard asks the server besides the list: counts over time, projects, and cancelling. */

import { address, credential } from "../livejobs.js";

const AT_ONCE = 1000; // jobs to cancel with one request

async function ask(path, query, options = {}) {
  const headers = { ...credential.headers, ...(options.body && { "content-type": "application/json" }) };
  const answer = await fetch(address(path, query), { ...options, headers });
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(body.detail ?? `The server answered ${answer.status}.`);
  return body;
}

export const readJob = (path) => ask(path);
export const readStats = (query) => ask("v1/stats", query);
export const readProjects = () => ask("v1/projects").then(({ projects }) => projects);
export const readSession = () => ask("v1/session");

/** Cancel jobs: the server's result for each. */
export async function cancelJobs(ids) {
  const results = [];
  for (let at = 0; at < ids.length; at += AT_ONCE) {
    const body = JSON.stringify({ jobs: ids.slice(at, at + AT_ONCE) });
    results.push(...(await ask("v1/jobs/cancel", {}, { method: "POST", body })).results);
  }
  return results;
}
