// npm `@durable-streams/client`: reads a stream from an offset on, and prints each batch.
import { stream } from "@durable-streams/client";
import { say } from "./transcript.mjs";

const [url, offset, live] = process.argv.slice(2);
const response = await stream({
  url,
  offset,
  live: { false: false, true: true }[live] ?? live,
  json: true,
  backoffOptions: { initialDelay: 50, maxDelay: 200, multiplier: 1.5 },
  sseResilience: { maxShortConnections: 1000, backoffBaseDelay: 50, backoffMaxDelay: 200 },
});
if (live === "false") {
  say({ items: await response.json(), offset: response.offset });
} else {
  response.subscribeJson(({ items, offset }) => say({ items, offset }));
  await response.closed;
}
say({ over: response.streamClosed, offset: response.offset });
