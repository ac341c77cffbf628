/** What the reader filters the list by: tabs with their counts, two menus, and the search. */

import { STATUSES } from "./describe.js";
import { FLAGS } from "./filters.js";
import { number } from "./format.js";
import * as ui from "./ui.js";

const TABS = [
  ["", "", "All"],
  ["queued", "", "Queued"],
  ["running", "", "Running"],
  ...Object.entries(FLAGS).map(([flag, label]) => ["", flag, label]),
  ...Object.entries(STATUSES).slice(2).map(([status, label]) => [status, "", label]),
];
const MENUS = { type: "All types", tag: "All tags" };
const MOST = 200; // names in a menu: workers may invent them without end

export class Tools {
  #parts;
  #filters;
  #named = { type: new Set(), tag: new Set() }; // what there is to filter by

  /** `choose(chosen, how)` takes what the reader chose, as `Filters.choose` does. */
  constructor(parts, filters, choose) {
    this.#parts = parts;
    this.#filters = filters;
    const { statuses, type, tag, q, clear } = parts;
    for (const [status, flag, label] of TABS) {
      const button = ui.element("button", undefined, { type: "button" });
      Object.assign(button, { status, flag, onclick: () => choose({ status, flag }) });
      button.append(ui.element("span", label), ui.element("b", "", { class: "num" }));
      statuses.append(button);
    }
    type.onchange = () => choose({ type: type.value });
    tag.onchange = () => choose({ tag: tag.value });
    q.oninput = () => choose({ q: q.value.trim() }, { typed: true });
    clear.onclick = () => choose({ status: "", flag: "", type: "", tag: "", q: "" });
  }

  show() {
    const { statuses, q } = this.#parts;
    const { chosen } = this.#filters;
    for (const button of statuses.children) {
      const isChosen = button.status === chosen.status && button.flag === chosen.flag;
      ui.attribute(button, "aria-pressed", isChosen);
    }
    if (document.activeElement !== q) q.value = chosen.q;
    for (const field of Object.keys(MENUS)) this.#showNames(field);
  }

  #showNames(field) {
    const select = this.#parts[field];
    const chosen = this.#filters.chosen[field];
    const names = ["", ...new Set([...this.#named[field], chosen].filter(Boolean))].sort();
    const create = (name) => ui.element("option", name || MENUS[field], { value: name });
    ui.keyed(select, names, (name) => name, create, () => {});
    select.value = chosen;
    select.hidden = names.length < 2;
  }

  /** Learn what the jobs can be filtered by. */
  learn(job) {
    for (const [field, names] of [["type", [job.type]], ["tag", job.tags]]) {
      const known = this.#named[field];
      const fresh = names.filter((name) => name && !known.has(name) && known.size < MOST);
      for (const name of fresh) known.add(name);
      if (fresh.length) this.#showNames(field);
    }
  }

  count(counts) {
    for (const button of this.#parts.statuses.children) {
      ui.put(button.lastChild, number.format(counts[button.flag || button.status || "all"] ?? 0));
    }
  }
}
