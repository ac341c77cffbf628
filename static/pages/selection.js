/** Jobs chosen in the list, and the bar that cancels them together. */

import { cancelJobs } from "./api.js";
import { finished } from "./describe.js";
import { number } from "./format.js";
import * as ui from "./ui.js";

const plural = (n, word) => `${number.format(n)} ${word}${n === 1 ? "" : "s"}`;

/** What became of the jobs: a running one ends when its worker notices. */
function resultText(results) {
  const cancelled = results.filter(({ status }) => status === "cancelled").length;
  const asked = results.filter(({ ok, status }) => ok && status !== "cancelled").length;
  const refused = results.filter(({ ok }) => !ok);
  const parts = [
    cancelled && `${plural(cancelled, "job")} cancelled`,
    asked && `${plural(asked, "job")} asked to stop`,
    refused.length && `${number.format(refused.length)} not: ${refused[0].detail}`,
  ];
  return parts.filter(Boolean).join(", ");
}

export class Selection {
  ids = new Set();
  #list;
  #bar;
  #last = null; // where a range begins
  #sure = false;

  /** `list`: `jobOf(id)`, `unfinished()` reads the ids of all that could be cancelled, `changed()`. */
  constructor(root, list) {
    this.#list = list;
    this.#bar = ui.make("selection");
    root.append(this.#bar);
    const { all, cancel, clear } = this.#bar.parts;
    all.onclick = () => this.#selectAll();
    cancel.onclick = () => this.#cancel();
    clear.onclick = () => this.clear();
  }

  has(id) {
    return this.ids.has(id);
  }

  toggle(id, on = !this.has(id)) {
    this.ids[on ? "add" : "delete"](id);
    this.#last = id;
    this.#changed();
  }

  /** Select from the last chosen row to this one. `order` holds the ids of the list. */
  extend(id, order) {
    const [from, to] = [order.indexOf(this.#last), order.indexOf(id)].sort((a, b) => a - b);
    if (from < 0) return this.toggle(id, true);
    for (const each of order.slice(from, to + 1)) this.ids.add(each);
    this.#last = id;
    this.#changed();
  }

  async #selectAll() {
    const { all } = this.#bar.parts;
    all.disabled = true;
    const ids = await this.#list.unfinished().catch(() => []);
    all.disabled = false;
    for (const id of ids) this.ids.add(id);
    this.#changed();
  }

  clear() {
    this.ids.clear();
    this.#last = null;
    this.#changed();
  }

  #changed() {
    this.#sure = false;
    this.#say("");
    this.show();
    this.#list.changed();
  }

  get #open() {
    return [...this.ids].filter((id) => {
      const job = this.#list.jobOf(id);
      return !job || !finished(job);
    });
  }

  /** Follow the selection and the state of its jobs. */
  show() {
    const { text, all, cancel, clear, told } = this.#bar.parts;
    this.#bar.hidden = this.ids.size === 0 && !told.lastText;
    if (this.#bar.hidden) return;
    const open = this.#open.length;
    ui.put(text, this.#sure ? `Cancel ${plural(open, "job")}?` : `${number.format(this.ids.size)} selected`);
    text.hidden = cancel.hidden = this.ids.size === 0;
    all.hidden = this.#sure || this.ids.size === 0;
    cancel.disabled = open === 0;
    ui.put(cancel, this.#sure ? `Cancel ${plural(open, "job")}` : "Cancel jobs");
    cancel.classList.toggle("sure", this.#sure);
    ui.put(clear, this.#sure ? "Keep them" : this.ids.size ? "Clear" : "Close");
  }

  #say(text) {
    ui.put(this.#bar.parts.told, text);
  }

  async #cancel() {
    if (!this.#sure) {
      this.#sure = true;
      return this.show();
    }
    const ids = this.#open;
    this.#sure = false;
    this.#bar.parts.cancel.disabled = true;
    const told = await cancelJobs(ids).then(resultText, (error) => error.message);
    this.clear();
    this.#say(told);
    this.show();
  }
}
