/** The webhooks of the server, for an admin: what was delivered, test, replay and remove. */

import { BASE } from "../livejobs.js";
import { address, ask } from "./api.js";
import { confirmed } from "./confirmed.js";
import { age } from "./format.js";
import { showNotice } from "./layout.js";
import { isClosed, session } from "./session.js";
import { start } from "./start.js";
import * as ui from "./ui.js";

const PAGE = 6;
const EVERY = 3_000; // ms between two looks at what waits

/** The command that creates a first webhook. */
function creation() {
  const key = isClosed() ? ' \\\n  -H "x-api-key: $LIVEJOBS_KEY"' : "";
  const body = '{"url": "https://example.com/hook", "events": ["finished"]}';
  return `curl ${new URL("v1/webhooks", BASE)}${key} \\\n  --json '${body}'`;
}

class WebhooksPage {
  #root;
  #parts;
  #hooks = new Map(); // by id

  constructor(root) {
    this.#root = root;
    document.title = "Webhooks · livejobs";
    this.#begin().catch((error) => this.#refuse(error));
  }

  async #begin() {
    const by = await session();
    if (!by?.may.includes("webhooks")) return showNotice(this.#root, "denied");
    const page = ui.make("webhooks");
    this.#parts = page.parts;
    this.#root.replaceChildren(page);
    this.#showExample();
    await this.#load();
    setInterval(() => document.hidden || this.#look(), EVERY);
  }

  #showExample() {
    const { example, copy } = this.#parts;
    ui.put(example, creation());
    copy.onclick = () => ui.copy(copy, creation());
  }

  async #load() {
    const { webhooks } = await ask(address("v1/webhooks?project=*"));
    ui.keyed(this.#parts.hooks, webhooks, (hook) => hook.id, (hook) => this.#make(hook), showHook);
    this.#parts.none.hidden = webhooks.length > 0;
    await this.#look();
  }

  #make(hook) {
    const card = new Card(hook, (error) => this.#refuse(error), () => this.#remove(hook));
    this.#hooks.set(hook.id, card);
    return card.node;
  }

  async #remove({ id }) {
    await ask(address(`v1/webhooks/${id}`), { method: "DELETE" });
    this.#hooks.delete(id);
    await this.#load();
  }

  /** Read the newest deliveries again. */
  async #look() {
    await Promise.all([...this.#hooks.values()].map((card) => card.look().catch(() => {})));
  }

  #refuse(error) {
    if (!this.#parts) return showNotice(this.#root, "refused");
    ui.put(this.#parts.refused, error.message);
    this.#parts.refused.hidden = false;
  }
}

/** One webhook, and its deliveries. */
class Card {
  node = ui.make("hook");
  #path;
  #limit = PAGE;

  constructor(hook, refuse, remove) {
    const { test, remove: out, more } = this.node.parts;
    this.#path = `v1/webhooks/${hook.id}`;
    test.onclick = () => this.#test().catch(refuse);
    confirmed(out, "Really?", () => remove().catch(refuse));
    more.onclick = () => {
      this.#limit += 5 * PAGE;
      this.look().catch(refuse);
    };
    this.replay = (n) => this.#replay(n).catch(refuse);
  }

  async look() {
    const { rows, frame, quiet, more } = this.node.parts;
    const { deliveries, next } = await ask(address(`${this.#path}/deliveries?limit=${this.#limit}`));
    frame.hidden = deliveries.length === 0;
    quiet.hidden = deliveries.length > 0;
    more.hidden = next === null;
    ui.keyed(rows, deliveries, (it) => it.n, (it) => this.#row(it), showDelivery);
  }

  #row({ n, event }) {
    const row = ui.make("delivery");
    ui.attribute(row.parts.replay, "aria-label", `Replay ${event}, delivery ${n}`);
    row.parts.replay.onclick = () => this.replay(n);
    return row;
  }

  async #test() {
    const { test, tested } = this.node.parts;
    test.disabled = true;
    try {
      const said = await ask(address(`${this.#path}/test`), { method: "POST" });
      ui.put(tested, said.delivered ? `The receiver took the test in ${said.ms} ms.` : said.error);
      tested.classList.toggle("bad", !said.delivered);
      tested.hidden = false;
    } finally {
      test.disabled = false;
    }
  }

  async #replay(n) {
    await ask(address(`${this.#path}/deliveries/${n}/replay`), { method: "POST" });
    await this.look();
  }
}

function showHook({ parts }, hook) {
  ui.put(parts.url, hook.url);
  ui.put(parts.format, hook.format);
  ui.put(parts.events, hook.events.join(", "));
  ui.put(parts.place, `Project ${hook.project}`);
  ui.put(parts.ended, `Ended: ${hook.ended}`);
  parts.ended.hidden = hook.ended === null;
}

function showDelivery({ parts }, it) {
  const tries = it.attempts > 1 ? ` · ${it.attempts} attempts` : "";
  ui.put(parts.state, it.state);
  ui.attribute(parts.state, "data-state", it.state);
  ui.put(parts.event, it.replay ? `${it.event} (replay)` : it.event);
  ui.put(parts.job, it.job);
  parts.job.href = address(`jobs/${encodeURIComponent(it.job)}`);
  const when = it.ended_at ?? it.at;
  ui.showTime(parts.when, when, age(when, Date.now()));
  ui.put(parts.answer, it.error ? it.error + tries : answerOf(it) + tries);
  parts.replay.hidden = it.state === "waiting";
}

const answerOf = ({ code, ms }) => (code === null ? "" : `${code} in ${ms} ms`);

start((root) => new WebhooksPage(root));
