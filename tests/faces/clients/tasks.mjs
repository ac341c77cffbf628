// Polls a speech task until it has ended, and prints what it was told. URL TASK
import { setTimeout as sleep } from "node:timers/promises";

const [url, taskId] = process.argv.slice(2);

async function getTaskStatus() {
  const response = await fetch(`${url}/api/tasks/${taskId}/status/`);
  const body = await response.json();
  if (response.status === 404) throw new Error(body.error);
  return body;
}

let status;
do {
  status = await getTaskStatus();
  console.log(JSON.stringify(status));
  await sleep(50);
} while (status.status === "PENDING" || status.status === "PROCESSING");
