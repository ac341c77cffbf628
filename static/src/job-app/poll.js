/** Asks for a job again and again: often while it moves, seldom while it rests or nobody looks. */

const QUICK = 1000; // ms between two answers
const SLOW = 5000;
const RESTS = 30_000; // ms without a change, after which it is asked for seldom
const LATE = 60_000; // the longest pause after failures, and the longest wait for an answer

export class Poll {
  #read;
  #take;
  #fail;
  #timer = 0;
  #run = null;
  #failures = 0;
  #cursor = "";
  #changedAt = 0;
  #seen = true;

  /** `read` gets the job; `take(job)` and `fail(error)` hear of it. */
  constructor(read, take, fail) {
    this.#read = read;
    this.#take = take;
    this.#fail = fail;
    addEventListener("visibilitychange", () => this.soon());
  }

  /** Whether the page is in sight. Out of sight, nothing is asked for. */
  set seen(value) {
    const comes = value && !this.#seen;
    this.#seen = value;
    if (comes) this.soon();
  }

  start() {
    this.stop();
    this.#changedAt = Date.now();
    this.#run = {};
    this.soon();
  }

  stop() {
    clearTimeout(this.#timer);
    this.#run = null;
  }

  /** Ask now, as after an action. */
  soon() {
    if (!this.#run) return;
    clearTimeout(this.#timer);
    if (this.#seen && document.visibilityState === "visible") this.#ask();
  }

  async #ask() {
    const run = (this.#run = {}); // an answer of an earlier turn no longer counts
    this.#timer = setTimeout(() => this.soon(), LATE); // a host may never answer
    try {
      const job = await this.#read();
      if (run !== this.#run) return;
      this.#failures = 0;
      if (job.cursor !== this.#cursor) this.#changedAt = Date.now();
      this.#cursor = job.cursor;
      this.#take(job);
    } catch (error) {
      if (run !== this.#run) return;
      this.#failures += 1;
      this.#fail(error);
    }
    if (run !== this.#run) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.soon(), this.#pause);
  }

  get #pause() {
    const jitter = 0.75 + Math.random() / 2;
    if (this.#failures) return jitter * Math.min(LATE, QUICK * 2 ** this.#failures);
    return jitter * (Date.now() - this.#changedAt > RESTS ? SLOW : QUICK);
  }
}
