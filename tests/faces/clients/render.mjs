// Polls a render until it has ended, prints what it was told, and takes the file. URL JOB TOKEN OUT
import { createWriteStream } from "node:fs";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { setTimeout as sleep } from "node:timers/promises";

const [url, id, token, out] = process.argv.slice(2);
const headers = { authorization: `Bearer ${token}` };
let job;
do {
  const response = await fetch(`${url}/api/jobs/${id}`, { headers });
  if (!response.ok) throw new Error(`${response.status} ${(await response.json()).error}`);
  job = await response.json();
  console.log(JSON.stringify(job));
  await sleep(50);
} while (!["completed", "failed", "cancelled"].includes(job.status));

if (job.downloadUrl) {
  const file = await fetch(new URL(job.downloadUrl, url), { headers });
  console.log(JSON.stringify(Object.fromEntries(file.headers)));
  await pipeline(Readable.fromWeb(file.body), createWriteStream(out));
}
