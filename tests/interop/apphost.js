// A host of MCP Apps, from the official packages, for tests/browser/test_job_app.py. It calls a tool
// as a model would, and shows the tool's page in a sandbox that allows only what the page asks for.
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import {
  AppBridge,
  getToolUiResourceUri,
  PostMessageTransport,
} from "@modelcontextprotocol/ext-apps/app-bridge";

const INFO = { name: "host", version: "1" };
const BARE = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'";
const able = { serverTools: {}, openLinks: {}, updateModelContext: { text: {} } };

/** What the page has asked of the host, as pairs. */
window.asked = [];
/** Requests to the server. */
window.sent = 0;
let bridge = null;

/** Call the tool and show its page. `calls: false`: a host that passes on no calls of the page. */
window.show = async ({ url, key, tool = "get_job", id, context = {}, calls = true }) => {
  const headers = key ? { authorization: `Bearer ${key}` } : {};
  const transport = new StreamableHTTPClientTransport(new URL(url), {
    requestInit: { headers },
    fetch: (...request) => {
      window.sent += 1;
      return fetch(...request);
    },
  });
  const client = new Client(INFO, { versionNegotiation: { mode: "auto" } });
  await client.connect(transport);
  const { tools } = await client.listTools();
  const uri = getToolUiResourceUri(tools.find(({ name }) => name === tool));
  const { contents } = await client.readResource({ uri });
  const { serverTools, ...less } = able;
  bridge = new AppBridge(client, INFO, calls ? able : less, { hostContext: context });
  const frame = document.querySelector("iframe");
  bridge.onsizechange = ({ height }) => (frame.style.height = `${height}px`);
  bridge.onopenlink = async ({ url: link }) => note("open", link);
  bridge.onupdatemodelcontext = async ({ content }) => note("context", content[0].text);
  bridge.oninitialized = async () => {
    await bridge.sendToolInput({ arguments: { id } });
    const result = await client.callTool({ name: tool, arguments: { id } });
    await bridge.sendToolResult(result);
  };
  await bridge.connect(new PostMessageTransport(frame.contentWindow, frame.contentWindow));
  const policy = `<meta http-equiv="Content-Security-Policy" content="${BARE}">`;
  frame.srcdoc = contents[0].text.replace("<meta", `${policy}<meta`);
};

window.change = (context) => bridge.setHostContext(context);
window.close = () => bridge.teardownResource({});

function note(...pair) {
  window.asked.push(pair);
  return {};
}
