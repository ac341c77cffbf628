/**
 * The program that shows this page beside a chat: JSON-RPC with the frame around us, as MCP Apps
 * (2026-01-26) has it. The host passes tool calls on to our server with its own credential.
 */

const VERSION = "2026-01-26";
const UNKNOWN = { code: -32601, message: "Method not found" };

export class Host {
  /** What the host can do. Empty until `connect` is done. */
  capabilities = {};
  #open = new Map(); // requests without an answer yet
  #last = 0;
  #heard;

  /** `heard` has a function for each notification or request that the page follows, by method. */
  constructor(heard) {
    this.#heard = heard;
    addEventListener("message", ({ source, data }) => {
      if (source === parent && data?.jsonrpc === "2.0") this.#take(data);
    });
  }

  /** Say hello. Returns what the host tells about itself: theme, language, sizes. */
  async connect(name) {
    const found = await this.ask("ui/initialize", {
      protocolVersion: VERSION,
      appInfo: { name, version: "1" },
      appCapabilities: { availableDisplayModes: ["inline"] },
    });
    this.capabilities = found.hostCapabilities ?? {};
    this.tell("ui/notifications/initialized", {});
    return found.hostContext ?? {};
  }

  ask(method, params) {
    const id = (this.#last += 1);
    return new Promise((done, failed) => {
      this.#open.set(id, { done, failed });
      this.#send({ id, method, params });
    });
  }

  tell(method, params) {
    this.#send({ method, params });
  }

  /** Call a tool of our server. A refusal of the tool is an error with the server's sentence. */
  async call(name, args) {
    const result = await this.ask("tools/call", { name, arguments: args });
    if (!result.isError) return result.structuredContent;
    const text = (result.content ?? []).map((part) => part.text ?? "").join(" ");
    throw Object.assign(new Error(text || name), { refused: true });
  }

  #send(message) {
    parent.postMessage({ jsonrpc: "2.0", ...message }, "*"); // a sandbox does not tell its origin
  }

  #take({ id, method, params, result, error }) {
    if (method) return this.#follow(id, method, params ?? {});
    const waiting = this.#open.get(id);
    this.#open.delete(id);
    if (error) waiting?.failed(new Error(error.message));
    else waiting?.done(result ?? {});
  }

  #follow(id, method, params) {
    const follow = this.#heard[method];
    follow?.(params);
    if (id === undefined) return;
    this.#send(follow || method === "ping" ? { id, result: {} } : { id, error: UNKNOWN });
  }
}
