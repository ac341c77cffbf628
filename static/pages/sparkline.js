/**
 * The rate of a job over the time that this page is open, as a small line. The server keeps the
 * newest rate only, so the line says since when it is.
 */

import { minute } from "./format.js";
import { attribute, put } from "./ui.js";

const MOST = 120; // samples; then every second one goes, and they are taken half as often
const [WIDTH, HEIGHT] = [120, 24];

export class Sparkline {
  #figure;
  #samples = [];
  #every = 1000; // ms
  #next = 0;

  constructor(figure) {
    this.#figure = figure;
  }

  take(rate, now) {
    if (rate === null || now < this.#next) return;
    this.#next = now + this.#every;
    if (!this.#samples.length) put(this.#figure.firstChild, `Rate since ${minute.format(now)}`);
    this.#samples.push(rate);
    if (this.#samples.length > MOST) {
      this.#samples = this.#samples.filter((_, n) => n % 2);
      this.#every *= 2;
    }
    this.#show();
  }

  #show() {
    const samples = this.#samples;
    this.#figure.hidden = samples.length < 4;
    const most = Math.max(...samples) || 1;
    const at = (rate, n) => {
      const x = (n / Math.max(1, samples.length - 1)) * WIDTH;
      return `${x.toFixed(1)} ${(HEIGHT - 2 - (rate / most) * (HEIGHT - 4)).toFixed(1)}`;
    };
    attribute(this.#figure.querySelector("path"), "d", `M${samples.map(at).join("L")}`);
  }
}
