// npm `event-source-polyfill`: it sets no header, and adds `lastEventId` to the address.
import polyfill from "event-source-polyfill";
import { say } from "./transcript.mjs";

const [url, job] = process.argv.slice(2);
const source = new polyfill.EventSourcePolyfill(`${url}/v1/jobs/${job}/events?logs=1`);
source.onmessage = ({ data }) => say({ state: JSON.parse(data) });
source.addEventListener("logs", ({ data }) => say({ logs: JSON.parse(data) }));
source.addEventListener("end", () => {
  say({ over: "end" });
  source.close();
});
