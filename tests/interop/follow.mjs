// The official clients follow a task to its end: `node follow.mjs URL JOB`. Prints one JSON a line:
// each question, which it answers with yes, then the result.
import { argv } from "node:process";

import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import {
  createTaskSessionFromClient,
  resultFromTaskOutcome,
} from "@modelcontextprotocol/ext-tasks/client";

const [url, job] = argv.slice(2);
const VERSION = "2026-07-28";
const capabilities = { elicitation: {} };
const info = { name: "follow", version: "1" };
const print = (value) => console.log(JSON.stringify(value));
let last = 0;

/** The SDK has no tasks: what it does not know is sent by hand. */
async function rawDispatch(request) {
  const { name, taskId } = request.params ?? {};
  const headers = {
    "content-type": "application/json",
    accept: "application/json, text/event-stream",
    "mcp-protocol-version": VERSION,
    "mcp-method": request.method,
    "mcp-name": taskId ?? name,
  };
  const body = JSON.stringify({ jsonrpc: "2.0", id: `raw-${(last += 1)}`, ...request });
  const answer = await (await fetch(url, { method: "POST", headers, body })).json();
  if (answer.error) return { kind: "error", error: answer.error };
  return { kind: "result", result: answer.result };
}

const client = new Client(info, { capabilities, versionNegotiation: { mode: "auto" } });
await client.connect(new StreamableHTTPClientTransport(new URL(url)));
const session = createTaskSessionFromClient(client, {
  endpointId: "livejobs",
  rawDispatch,
  v2RequestFraming: { protocolVersion: VERSION, clientInfo: info, clientCapabilities: capabilities },
  onInputRequest: async (request) => {
    print({ question: request.params.message });
    return { action: "accept", content: { answer: true } };
  },
});
const execution = await session.callTool("wait_for_job", { id: job });
const { outcome } = await execution.settle();
print({ result: resultFromTaskOutcome(outcome) });
await session.close();
await client.close();
