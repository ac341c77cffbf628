/** How an element reaches the server besides watching: its token, links and actions. */

const EARLY = 5; // seconds before its end in which a token is renewed before it is used
const asked = new Map(); // addresses of tokens: elements that ask at the same time share the answer

/** A token from an address of the page's own server: the text, or `token` of the JSON. */
function tokenFrom(url) {
  if (!asked.has(url)) asked.set(url, fetched(url).finally(() => asked.delete(url)));
  return asked.get(url);
}

async function fetched(url) {
  const answer = await fetch(url, { cache: "no-store" });
  if (!answer.ok) throw new Error(`${url} answered ${answer.status}`);
  const isJson = /json/.test(answer.headers.get("content-type"));
  return isJson ? (await answer.json()).token : (await answer.text()).trim();
}

function claimsOf(token) {
  try {
    return JSON.parse(atob(token.split(".")[1].replace(/-/g, "+").replace(/_/g, "/"))) ?? {};
  } catch {
    return {};
  }
}

export class Access {
  #renew;

  /** `renew` is a function that returns a token, or the address of one. */
  constructor(base, token, renew) {
    this.base = base;
    this.token = token || null;
    this.#renew = typeof renew === "string" ? () => tokenFrom(renew) : renew;
  }

  /** The options with which `watch` uses this access. */
  get watching() {
    const renew = this.#renew && (() => this.renew());
    return { url: this.base, token: this.token, ...(renew && { renew }) };
  }

  async renew() {
    const token = await this.#renew();
    if (token) this.token = token;
    return token;
  }

  /** Whether the token allows more than to look. The server decides; this hides useless buttons. */
  get mayAct() {
    const { scope, livejobs } = claimsOf(this.token);
    const scopes = Array.isArray(livejobs?.scopes) ? livejobs.scopes : [scope ?? "cancel"];
    return scopes.some((one) => one !== "view");
  }

  get isOld() {
    return Boolean(this.#renew) && claimsOf(this.token).exp - EARLY < Date.now() / 1000;
  }

  /** An address that carries the token, for a link: no header goes with it. */
  link(path) {
    const url = new URL(path, this.base);
    if (this.token) url.searchParams.set("token", this.token);
    return url.href;
  }

  /** POST a value. Throw an error with the server's reason, or the text for its status. */
  async post(path, value, speech) {
    if (this.isOld) await this.renew().catch(() => {});
    let answer = await this.#send(path, value, speech);
    if (answer.status === 401 && this.#renew && (await this.renew().catch(() => null)))
      answer = await this.#send(path, value, speech);
    const body = await answer.json().catch(() => ({}));
    if (answer.ok) return body;
    const { detail = speech.say("status", answer.status), errors = [], code } = body;
    throw Object.assign(new Error(detail), { errors, code, status: answer.status });
  }

  #send(path, value, speech) {
    const headers = { "content-type": "application/json" };
    if (this.token) headers.authorization = `Bearer ${this.token}`;
    const options = { method: "POST", headers, body: JSON.stringify(value) };
    return fetch(new URL(path, this.base), options).catch(() => {
      throw Object.assign(new Error(speech.say("unreachable")), { errors: [] });
    });
  }
}

export const jobPath = (id) => `v1/jobs/${encodeURIComponent(id)}`;
