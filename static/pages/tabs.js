/** The tabs of a page. The address names the chosen one, and what is picked in it. */

import { attribute, put } from "./ui.js";

const MARGIN = 24; // px beside the chosen tab

export class Tabs {
  chosen;
  #tabs; // by name
  #byReader = false; // until then, a tab that has something is chosen
  #onChoose;
  #list;

  /** `list` holds the tabs, each with `data-tab` and `aria-controls`. */
  constructor(list, onChoose) {
    this.#list = list;
    this.#onChoose = onChoose;
    this.#tabs = new Map([...list.children].map((tab) => [tab.dataset.tab, tab]));
    this.chosen = this.#tabs.keys().next().value;
    for (const [name, tab] of this.#tabs) tab.onclick = () => this.choose(name);
    list.onkeydown = (event) => this.#key(event);
    this.#show();
  }

  #key(event) {
    const names = this.#shown;
    const at = names.indexOf(this.chosen);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: -1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    this.choose(names.at(to % names.length));
    this.#tabs.get(this.chosen).focus();
  }

  get #shown() {
    return [...this.#tabs].filter(([, tab]) => !tab.hidden).map(([name]) => name);
  }

  nth(n) {
    const name = this.#shown[n];
    if (name) this.choose(name);
  }

  has(name) {
    return this.#tabs.has(name);
  }

  choose(name, { address = `#${name}` } = {}) {
    this.#byReader = true;
    if (address) history.replaceState(history.state, "", address);
    this.#open(name);
  }

  #open(name) {
    if (name === this.chosen) return;
    this.chosen = name;
    this.#show();
    this.#onChoose(name);
  }

  /** Choose the first of these that has something, until the reader chooses. */
  suggest(counts) {
    if (this.#byReader || counts[this.chosen]) return;
    const [name] = Object.entries(counts).find(([, n]) => n) ?? [];
    if (name) this.#open(name);
  }

  count(name, text) {
    const node = this.#tabs.get(name).lastElementChild;
    if (node.lastText === text) return;
    put(node, text);
    this.#reveal();
  }

  /** On a phone the tabs scroll sideways. `scrollIntoView` would move the page too. */
  #reveal() {
    const tab = this.#tabs.get(this.chosen).getBoundingClientRect();
    const row = this.#list.getBoundingClientRect();
    if (tab.right > row.right) this.#list.scrollLeft += tab.right - row.right + MARGIN;
    else if (tab.left < row.left) this.#list.scrollLeft -= row.left - tab.left + MARGIN;
  }

  hide(name, hidden) {
    this.#tabs.get(name).hidden = hidden;
  }

  #show() {
    for (const [name, tab] of this.#tabs) {
      const isChosen = name === this.chosen;
      attribute(tab, "aria-selected", isChosen);
      tab.tabIndex = isChosen ? 0 : -1;
      document.getElementById(tab.getAttribute("aria-controls")).hidden = !isChosen;
    }
    this.#reveal();
  }
}
