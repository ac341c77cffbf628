/** What the dashboard asks the server besides the list: counts over time, rights, and cancelling. */

import { address, cancelJob, credential } from "../livejobs.js";

const AT_ONCE = 4; // requests to cancel

async function ask(path, query) {
  const answer = await fetch(address(path, query), { headers: credential.headers });
  if (!answer.ok) throw new Error(`The server answered ${answer.status}.`);
  return answer.json();
}

export const readJob = (path) => ask(path);
export const readStats = (query) => ask("v1/stats", query);
export const readProjects = () => ask("v1/projects").then(({ projects }) => projects);

/** Cancel jobs. Return what became of it, in a sentence. */
export async function cancelJobs(ids) {
  const left = [...ids];
  const refusals = [];
  const work = async () => {
    for (let id; (id = left.pop()); ) {
      await cancelJob(id).catch((error) => refusals.push(error.message));
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  const done = ids.length - refusals.length;
  const said = `${done} of ${ids.length} asked to end.`;
  return refusals.length ? `${said} ${refusals[0]}` : said;
}
