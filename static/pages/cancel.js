/** The button that cancels a job. The first request goes to the worker; a second one ends the job
 * at once. */

import { cancelJob } from "./api.js";
import { finished } from "./describe.js";
import { put } from "./ui.js";

const PATIENCE = 4000; // ms for which the button asks for confirmation

export class Cancel {
  #id;
  #button;
  #onError;
  #job = null;
  #allowed = true;
  #confirming = 0; // timer, while the button asks

  constructor(id, button, onError) {
    this.#id = id;
    this.#button = button;
    this.#onError = onError;
    button.onclick = () => this.#press();
  }

  show(job, allowed) {
    this.#job = job;
    this.#allowed = allowed;
    this.#draw();
  }

  #draw() {
    const job = this.#job;
    this.#button.hidden = finished(job) || !this.#allowed;
    const label = job.cancel_requested ? "End it now" : "Cancel";
    put(this.#button, this.#confirming ? "Really?" : label);
    this.#button.classList.toggle("sure", Boolean(this.#confirming));
  }

  async #press() {
    const force = this.#job.cancel_requested ? "true" : null;
    clearTimeout(this.#confirming);
    if (!this.#confirming) {
      this.#confirming = setTimeout(() => this.#stopConfirming(), PATIENCE);
      return this.#draw();
    }
    this.#stopConfirming();
    await cancelJob(this.#id, { force }).catch(this.#onError);
  }

  #stopConfirming() {
    this.#confirming = 0;
    this.#draw();
  }
}
