/** The charts of a project, over the range that the reader chooses. */

import { readStats } from "./api.js";
import { Charts, RANGES } from "./charts.js";

export class Trends {
  #filters;
  #charts;

  constructor({ cards, ranges }, filters) {
    this.#filters = filters;
    this.#charts = new Charts(cards, ranges, (range) => this.#choose(range));
  }

  get #range() {
    return Object.hasOwn(RANGES, this.#filters.range) ? this.#filters.range : "hour";
  }

  #choose(range) {
    this.#filters.chooseRange(range === "hour" ? "" : range);
    this.read();
  }

  async read() {
    const range = this.#range;
    this.#charts.choose(range);
    const { project } = this.#filters.scope;
    const stats = await readStats({ project, range }).catch(() => null);
    if (stats && range === this.#range) this.#charts.show(stats);
  }
}
