/** The keys of the server, for an admin: see, make and revoke them. */

import { address, ask } from "./api.js";
import { confirmed } from "./confirmed.js";
import { age, moment } from "./format.js";
import { showNotice } from "./layout.js";
import { newKey } from "./newkey.js";
import { session } from "./session.js";
import { start } from "./start.js";
import * as ui from "./ui.js";

class KeysPage {
  #root;
  #parts;
  #by = null;

  constructor(root) {
    this.#root = root;
    document.title = "Keys · livejobs";
    this.#begin().catch((error) => this.#refuse(error));
  }

  async #begin() {
    this.#by = await session();
    const may = this.#by?.may.includes("keys");
    if (!may) return showNotice(this.#root, "denied");
    const page = ui.make("access");
    this.#parts = page.parts;
    this.#parts.make.onclick = () => newKey(this.#by, () => this.#load());
    if (this.#by.open) ui.put(this.#parts.lead, "This server is open: everyone is an admin. The first key ends that.");
    this.#root.replaceChildren(page);
    await this.#load();
  }

  async #load() {
    const { keys } = await ask(address("v1/keys"));
    const { rows, frame, none } = this.#parts;
    keys.sort((a, b) => (a.created_at < b.created_at ? 1 : -1));
    frame.hidden = keys.length === 0;
    none.hidden = keys.length > 0;
    ui.keyed(rows, keys, (key) => key.id, (key) => this.#makeRow(key), showKey);
  }

  #makeRow(key) {
    const row = ui.make("key-row");
    const { revoke } = row.parts;
    const isOwn = this.#by.name === `key:${key.name}`;
    ui.attribute(revoke, "aria-label", `Revoke ${key.name}`);
    const sure = isOwn ? "Revoke, and log out?" : "Really?";
    confirmed(revoke, sure, () => this.#revoke(key).catch((error) => this.#refuse(error)));
    return row;
  }

  async #revoke({ id }) {
    this.#parts.refused.hidden = true;
    await ask(address(`v1/keys/${encodeURIComponent(id)}`), { method: "DELETE" });
    await this.#load().catch(() => location.reload()); // it may have been the key of this login
  }

  #refuse(error) {
    if (!this.#parts) return showNotice(this.#root, "refused");
    ui.put(this.#parts.refused, error.message);
    this.#parts.refused.hidden = false;
  }
}

function showKey({ parts }, key) {
  ui.put(parts.name, key.name);
  ui.put(parts.id, key.id);
  ui.put(parts.scope, key.scopes.join(", "));
  ui.put(parts.projects, key.projects?.join(", ") ?? "all");
  showAge(parts.created, key.created_at);
  showAge(parts.used, key.last_used_at);
  ui.put(parts.ends, moment(key.expires_at) ?? "never");
  parts.ends.classList.toggle("over", Date.parse(key.expires_at) < Date.now());
}

function showAge(node, time) {
  if (time) ui.showTime(node, time, age(time, Date.now()));
  else ui.put(node, "never");
}

start((root) => new KeysPage(root));
