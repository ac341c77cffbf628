// An agent with an SDK of others: lists the tools, waits for a job and tells of its progress, cancels
// another job and reads it as a resource. Prints one line of JSON for each step.
// node mcp.mjs SDK URL KEY MOVING OTHER
const [sdk, url, key, moving, other] = process.argv.slice(2);
const say = (fact) => console.log(JSON.stringify(fact));

async function client() {
  const info = { name: "test", version: "1" };
  if (sdk === "sdk") {
    const { Client } = await import("@modelcontextprotocol/sdk/client/index.js");
    const { StreamableHTTPClientTransport } = await import(
      "@modelcontextprotocol/sdk/client/streamableHttp.js"
    );
    return [new Client(info), StreamableHTTPClientTransport];
  }
  const { Client, StreamableHTTPClientTransport } = await import("@modelcontextprotocol/client");
  return [new Client(info, { versionNegotiation: { mode: sdk } }), StreamableHTTPClientTransport];
}

const [mcp, Transport] = await client();
const headers = { Authorization: `Bearer ${key}` };
const transport = new Transport(new URL(url), { requestInit: { headers } });
await mcp.connect(transport);
say({ version: mcp.getNegotiatedProtocolVersion?.() ?? transport.protocolVersion });

const call = (params, options) =>
  sdk === "sdk" ? mcp.callTool(params, undefined, options) : mcp.callTool(params, options);

const { tools } = await mcp.listTools();
say({ tools: tools.map((tool) => tool.name) });

const waited = await call(
  { name: "wait_for_job", arguments: { id: moving } },
  { onprogress: ({ progress, total, message }) => say({ progress, total, message }) },
);
say({ waited: waited.structuredContent });

// The client gives up; the server ends the wait.
const stop = new AbortController();
const cut = call(
  { name: "wait_for_job", arguments: { id: other } },
  { signal: stop.signal, onprogress: () => stop.abort("enough") },
).then(() => "ended", () => "cut");
say({ cut: await cut });

const cancelled = await call({ name: "cancel_job", arguments: { id: other } });
say({ cancelled: cancelled.structuredContent });
const { contents } = await mcp.readResource({ uri: `livejob://${other}` });
say({ read: JSON.parse(contents[0].text) });
const wrong = await call({ name: "get_job", arguments: { id: "nope" } });
say({ wrong: wrong.content[0].text, isError: wrong.isError });
await mcp.close();
