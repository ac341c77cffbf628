// npm `reconnecting-websocket` over `ws`: it reopens, we subscribe again from our cursor.
import ReconnectingWebSocket from "reconnecting-websocket";
import WebSocket from "ws";
import { reducer, say } from "./transcript.mjs";

const [url, job] = process.argv.slice(2);
const reduce = reducer();
let since = null;

const socket = new ReconnectingWebSocket(url.replace(/^http/, "ws") + "/v1/ws", "livejobs.v1", {
  WebSocket,
  maxReconnectionDelay: 2000,
});
socket.onopen = () => socket.send(JSON.stringify({ op: "subscribe", id: 1, job, since, logs: true }));
socket.onmessage = ({ data }) => {
  const message = JSON.parse(data);
  if (message.op === "snapshot") since = message.job.cursor;
  if (message.op === "snapshot") reduce.snapshot(message.job);
  if (message.op === "delta") since = message.cursor;
  if (message.op === "delta") reduce.delta(message);
  if (message.op === "error") throw new Error(data);
  if (message.op === "end") {
    say({ over: "end" });
    socket.close();
  }
};
