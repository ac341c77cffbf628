// Reads {job, deltas} by the line; answers what the browser's reducer makes of each, by the line.
import { createInterface } from "node:readline";

import { apply } from "../../static/livejobs.js";

for await (const line of createInterface({ input: process.stdin })) {
  const { job, deltas } = JSON.parse(line);
  const before = JSON.stringify(job);
  const after = deltas.reduce(apply, job);
  if (JSON.stringify(job) !== before) throw new Error("the job given was changed");
  console.log(JSON.stringify(after));
}
