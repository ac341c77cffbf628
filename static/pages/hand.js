/** The reader's hand on the list: the pointer, clicks, keys, and the row that the keyboard is at. */

import { help, listen } from "./keys.js";

export class Hand {
  #page;
  #list;
  #on;
  #pointed = false; // the mouse is over the list
  #current = null; // id of the row that the keyboard is at
  #help = null;

  /** `list`: its `entries`, `rows` and `selection`. `on.moved()`: the hand came or went;
   * `on.expand(id, open)`. */
  constructor(page, list, on) {
    this.#page = page;
    this.#list = list;
    this.#on = on;
    this.#listenToPointer();
    this.#listenToKeys();
  }

  /** Somebody may be about to click a row. */
  get isThere() {
    return this.#pointed || this.#isInRows;
  }

  get #isInRows() {
    return this.#page.parts.rows.contains(document.activeElement);
  }

  /** The index of the row that has the focus, or -1. */
  get focused() {
    return this.#isInRows ? this.#at : -1;
  }

  get #at() {
    return this.#list.entries.indexOf(this.#current);
  }

  #listenToPointer() {
    const { listed, rows } = this.#page.parts;
    const point = (over) => (event) => {
      if (event.pointerType !== "mouse") return;
      this.#pointed = over;
      this.#on.moved();
    };
    listed.addEventListener("pointerenter", point(true));
    listed.addEventListener("pointerleave", point(false));
    rows.addEventListener("focusin", ({ target }) => this.#come(target.closest(".row")?.dataset.id));
    rows.addEventListener("focusout", () => setTimeout(() => this.#on.moved()));
    rows.addEventListener("click", (event) => this.#click(event));
  }

  #listenToKeys() {
    const { q } = this.#page.parts;
    listen({
      "/": () => (q.focus(), q.select(), true),
      "?": () => ((this.#help ??= help()).showModal(), true),
      j: () => this.#step(1),
      k: () => this.#step(-1),
      g: () => this.#goTo(0),
      x: () => this.#select(false),
      X: () => this.#select(true),
      ArrowRight: ({ target }) => this.#open(target, true),
      ArrowLeft: ({ target }) => this.#open(target, false),
      Escape: () => this.#escape(),
    });
  }

  #come(id) {
    this.#current = id ?? this.#current;
    this.#on.moved();
  }

  #click({ target, shiftKey }) {
    const id = target.closest(".row")?.dataset.id;
    if (target.matches("input")) this.#mark(id, shiftKey);
    if (target.matches("[data-part=open]")) this.#on.expand(id);
  }

  #mark(id, extended) {
    if (this.#page.classList.contains("watching-only")) return;
    const { entries, selection } = this.#list;
    if (extended) selection.extend(id, entries.order.map((entry) => entry.id));
    else selection.toggle(id);
  }

  #step(step) {
    const at = this.#at;
    return this.#goTo(at < 0 ? this.#list.rows.first : at + step);
  }

  #goTo(index) {
    const { entries, rows } = this.#list;
    const entry = entries.order[index];
    if (!entry) return true;
    this.#current = entry.id;
    rows.reveal(index);
    this.#page.parts.rows.nodes.get(entry.id)?.parts?.title.focus({ preventScroll: true });
    return true;
  }

  #select(extended) {
    if (this.#at < 0) return undefined;
    this.#mark(this.#current, extended);
    return true;
  }

  #open(target, open) {
    const { entries } = this.#list;
    const id = target.closest?.(".row")?.dataset.id;
    const entry = id && entries.get(id);
    if (!entry) return undefined;
    if (!open && !entries.expanded.has(id)) return this.#goTo(entries.indexOf(entry.parent));
    if (entry.job?.children.total) this.#on.expand(id, open);
    return true;
  }

  #escape() {
    const { selection } = this.#list;
    if (selection.ids.size) selection.clear();
    else document.activeElement.blur();
    return undefined;
  }
}
