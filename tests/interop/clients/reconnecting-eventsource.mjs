// npm `reconnecting-eventsource` over `eventsource`: when that gives up it opens another, and adds
// `lastEventId` to the address.
import { EventSource } from "eventsource";
import { default as ReconnectingEventSource } from "reconnecting-eventsource";
import { say } from "./transcript.mjs";

const [url, job] = process.argv.slice(2);
const source = new ReconnectingEventSource(`${url}/v1/jobs/${job}/events?logs=1`, {
  eventSourceClass: EventSource,
});
source.onmessage = ({ data }) => say({ state: JSON.parse(data) });
source.addEventListener("logs", ({ data }) => say({ logs: JSON.parse(data) }));
source.addEventListener("end", () => {
  say({ over: "end" });
  source.close();
});
