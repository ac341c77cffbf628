// Reads {job, deltas}, one a line, and prints the job that the browser's reducer returns for each.
import { createInterface } from "node:readline";

import { apply } from "../../static/livejobs.js";

for await (const line of createInterface({ input: process.stdin })) {
  const { job, deltas } = JSON.parse(line);
  const before = JSON.stringify(job);
  const after = deltas.reduce(apply, job);
  if (JSON.stringify(job) !== before) throw new Error("the job given was changed");
  console.log(JSON.stringify(after));
}
