// npm `eventsource`: the browser's API in Node. 204 ends it.
import { EventSource } from "eventsource";
import { say } from "./transcript.mjs";

const [url, job] = process.argv.slice(2);
const source = new EventSource(`${url}/v1/jobs/${job}/events?logs=1`);
source.onmessage = ({ data }) => say({ state: JSON.parse(data) });
source.addEventListener("logs", ({ data }) => say({ logs: JSON.parse(data) }));
source.onerror = ({ code }) => {
  if (source.readyState === EventSource.CLOSED) say({ over: code });
};
