// npm `eventsource-parser` over fetch: the caller must reconnect.
import { setTimeout as pause } from "node:timers/promises";
import { createParser } from "eventsource-parser";
import { reducer, say } from "./transcript.mjs";

const [url, job] = process.argv.slice(2);
const reduce = reducer();
const headers = { accept: "text/event-stream" };
let retry = 1000;

const onRetry = (milliseconds) => (retry = milliseconds);
const onEvent = ({ event, data, id }) => {
  if (id) headers["last-event-id"] = id;
  reduce[event]?.(JSON.parse(data));
};

async function follow() {
  const response = await fetch(`${url}/v1/jobs/${job}/events?view=delta&logs=1`, { headers });
  if (response.status === 204) return true;
  const parser = createParser({ onEvent, onRetry });
  const decoder = new TextDecoder();
  for await (const chunk of response.body) parser.feed(decoder.decode(chunk, { stream: true }));
  return false;
}

const failed = (error) => {
  if (!(error instanceof TypeError)) throw error; // what fetch throws when the server is away
};
while (!(await follow().catch(failed))) await pause(retry);
say({ over: 204 });
