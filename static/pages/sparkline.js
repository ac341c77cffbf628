/** The rate of a job over the time that this page is open, as a small line. */

import { attribute } from "./ui.js";

const MOST = 120; // samples; then every second one goes, and they are taken half as often
const [WIDTH, HEIGHT] = [120, 24];

export class Sparkline {
  #svg;
  #path;
  #samples = [];
  #every = 1000; // ms
  #next = 0;

  constructor(svg) {
    this.#svg = svg;
    this.#path = svg.querySelector("path");
  }

  take(rate, now) {
    if (rate === null || now < this.#next) return;
    this.#next = now + this.#every;
    this.#samples.push(rate);
    if (this.#samples.length > MOST) {
      this.#samples = this.#samples.filter((_, n) => n % 2);
      this.#every *= 2;
    }
    this.#show();
  }

  #show() {
    const samples = this.#samples;
    this.#svg.parentElement.hidden = samples.length < 4;
    const most = Math.max(...samples) || 1;
    const at = (rate, n) => {
      const x = (n / Math.max(1, samples.length - 1)) * WIDTH;
      return `${x.toFixed(1)} ${(HEIGHT - 2 - (rate / most) * (HEIGHT - 4)).toFixed(1)}`;
    };
    attribute(this.#path, "d", `M${samples.map(at).join("L")}`);
  }
}
