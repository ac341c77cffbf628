/**
 * `<live-job job="ID">`: a job that moves, in any page. See docs/browser.md.
 *
 *   <script type="module" src="https://jobs.example/static/live-job.js"></script>
 *   <live-job job="teaser"></live-job>
 *
 * All elements of a page share the connection of livejobs.js. A compact element, and one that is out
 * of sight, watches only the job's head. So a page can hold thousands.
 */

import { BASE, watch } from "../../livejobs.js";
import { eachFrame } from "../../pages/ui.js";
import { Access, jobPath } from "./access.js";
import { finished } from "./facts.js";
import { speechOf } from "./speech.js";
import { adopt } from "./style.js";
import { View } from "./view.js";
import { WORDS } from "./words.js";

const TAIL = 100; // log lines to begin with
const ENDED = "ended";
const FAILED = new Set(["missing", "gone", "denied", "refused"]);

const ATTRIBUTES = ["src", "job", "token", "renew", "theme", "view", "compact", "readonly", "lang"];
const TEXTS = ["src", "token", "theme", "view"];
const FLAGS = ["compact", "readonly"];
const OWN = ["job", "renew", ...TEXTS, ...FLAGS];

// One frame draws the elements that changed, as many as fit; one timer moves all that count down.
const BUDGET = 8; // ms of a frame
const changed = new Set();
const drawAll = eachFrame(() => {
  const end = performance.now() + BUDGET;
  for (const draw of changed) {
    changed.delete(draw);
    draw();
    if (performance.now() > end) return drawAll();
  }
});
const counting = new Set();
let timer = 0;

function count(tick, counts) {
  counting[counts ? "add" : "delete"](tick);
  if (counting.size && !timer) timer = setInterval(() => counting.forEach((each) => each()), 1000);
  if (counting.size) return;
  clearInterval(timer);
  timer = 0;
}

let sight = null; // one observer for all elements
const seen = new WeakMap(); // what to call

function observe(element, see) {
  sight ??= new IntersectionObserver(
    (entries) => entries.forEach((entry) => seen.get(entry.target)(entry.isIntersecting)),
    { rootMargin: "200px" },
  );
  seen.set(element, see);
  sight.observe(element);
}

/** The nearest language tag, also outside of shadow roots. */
function langOf(node) {
  for (let at = node; at; at = at.parentNode ?? at.host) if (at.lang) return at.lang;
  return "";
}

/** A server has `src` as its root, and its paths are below it. */
function rootOf(src, element) {
  const url = new URL(src, element.baseURI);
  if (!/^https?:$/.test(url.protocol)) throw new TypeError("not an address of a server");
  if (!url.pathname.endsWith("/")) url.pathname += "/";
  return url.href;
}

// A server that renders pages imports this as well, and has no elements.
class LiveJob extends (globalThis.HTMLElement ?? Object) {
  static observedAttributes = ATTRIBUTES;
  /** Texts by language. A page may add a language, or change a text. */
  static words = WORDS;

  #root = this.attachShadow({ mode: "open" });
  #view = null;
  #speech = null;
  #access = null;
  #watch = null;
  #run = null; // this watch, not an earlier one
  #key = "";
  #target = "";
  #detailed = false; // the watch has more than the head
  #near = null; // in sight; null: not known yet
  #job = null;
  #state = "none";
  #detail = "";
  #whole = true;
  #ended = false;
  #seenAt = 0;
  #renew = null;
  #waiting = false;
  #draw = () => this.#show();
  #tick = () => this.#job && this.#view.tick(this.#job, this.#seenAt);

  // The page's side

  /** The newest state of the job, or null. Set the id of another job. */
  get job() {
    return this.#job;
  }

  set job(id) {
    this.#set("job", id);
  }

  /** `none` without a job, else a state of the watch. */
  get state() {
    return this.#state;
  }

  /** A function that returns a token, or the address of one. */
  get renew() {
    return this.#renew ?? this.getAttribute("renew");
  }

  set renew(value) {
    this.#renew = typeof value === "function" ? value : null;
    if (!this.#renew) this.#set("renew", value);
    this.#update();
  }

  /** Ask the job to stop. `force` ends it at once. */
  cancel(force = false) {
    return this.#act(`cancel${force ? "?force=true" : ""}`, {});
  }

  /** Answer the job's question. */
  answer(value, n = this.#job?.waiting?.n) {
    return this.#act("answer", { n, value });
  }

  #set(name, value) {
    if (value === null || value === undefined || value === false) this.removeAttribute(name);
    else this.setAttribute(name, value === true ? "" : value);
  }

  static {
    const define = (name, read) =>
      Object.defineProperty(this.prototype, name, {
        get() {
          return read(this);
        },
        set(value) {
          this.#set(name, value);
        },
        configurable: true,
        enumerable: true,
      });
    for (const name of TEXTS) define(name, (element) => element.getAttribute(name) ?? "");
    for (const name of FLAGS) define(name, (element) => element.hasAttribute(name));
  }

  // The browser's side

  connectedCallback() {
    for (const name of OWN) this.#adopt(name);
    adopt(this.#root);
    observe(this, (near) => this.#see(near));
    this.#update();
  }

  disconnectedCallback() {
    sight.unobserve(this);
    this.#update();
  }

  attributeChangedCallback() {
    this.#update();
  }

  /** A property that was set before this class was known. */
  #adopt(name) {
    if (!Object.hasOwn(this, name)) return;
    const value = this[name];
    delete this[name];
    this[name] = value;
  }

  #see(near) {
    if (this.#near === near) return;
    this.#near = near;
    this.#update();
  }

  /** Soon, and once for all changes of the same moment: also for a move to another place. */
  #update() {
    if (this.#waiting) return;
    this.#waiting = true;
    queueMicrotask(() => {
      this.#waiting = false;
      if (this.isConnected) this.#follow();
      else this.#stop();
    });
  }

  #follow() {
    const speech = speechOf(langOf(this));
    if (speech !== this.#speech) this.#speak(speech);
    this.#connect();
    this.#change();
  }

  #speak(speech) {
    this.#speech = speech;
    this.#view = new View(speech, {
      cancel: (force) => this.cancel(force),
      answer: (value, n) => this.answer(value, n),
      open: (link, path) => this.#carry(link, path),
    });
    this.#whole = true;
    this.#root.replaceChildren(this.#view.root);
  }

  // Watching

  get #isCompact() {
    return this.compact || this.view === "compact";
  }

  #connect() {
    const id = this.getAttribute("job");
    if (!id) return this.#leave("none");
    let base;
    let renewing;
    try {
      base = this.src ? rootOf(this.src, this) : BASE.href;
      renewing = this.#renewing;
    } catch (error) {
      return this.#leave("refused", error.message);
    }
    if (this.#near === null) return; // until it is known whether it is in sight
    const stays = this.#detailed && this.#ended; // what has ended is not asked for again
    const detailed = !this.#isCompact && (this.#near || stays);
    const target = JSON.stringify([base, id]);
    const key = JSON.stringify([target, this.token, renewing, detailed]);
    if (key === this.#key) return;
    if (target !== this.#target) this.#leave("connecting");
    this.#key = key;
    this.#target = target;
    this.#begin(id, base, renewing, detailed);
  }

  /** Where tokens come from: an address, `true` for a function, or undefined. */
  get #renewing() {
    if (this.#renew) return true;
    const address = this.getAttribute("renew");
    return address ? new URL(address, this.baseURI).href : undefined;
  }

  #begin(id, base, renewing, detailed) {
    const run = (this.#run = {});
    const isCurrent = () => run === this.#run;
    const before = this.#watch;
    this.#detailed = detailed;
    // Another function is no reason to begin again: a framework sets a new one at each render.
    const renew = this.#renew ? () => this.#renew() : renewing;
    this.#access = new Access(base, this.token, renew);
    this.#watch = watch(id, {
      ...this.#access.watching,
      ...(detailed ? { logs: true, tail: TAIL } : { view: "head" }),
      onChange: (job, delta) => isCurrent() && this.#take(job, delta),
      onState: (state, detail) => isCurrent() && this.#become(state, detail),
      onReset: () => isCurrent() && (this.#whole = true),
    });
    before?.stop(); // only now, so that the connection stays
  }

  /** Watch nothing, and show nothing of a job. */
  #leave(state, detail = "") {
    this.#stop();
    this.#target = "";
    this.#job = null;
    this.#ended = false;
    this.#access = null;
    this.#state = state;
    this.#detail = detail;
    this.#show(); // at once: a click must not reach a button of the job before
  }

  #stop() {
    this.#run = null;
    this.#watch?.stop();
    this.#watch = null;
    this.#key = "";
    count(this.#tick, false);
  }

  #take(job, delta) {
    this.#job = job;
    this.#seenAt = Date.now();
    this.#whole ||= !delta;
    this.#tell("change", { job, delta });
    this.#change();
  }

  #become(state, detail) {
    this.#state = state;
    this.#detail = detail;
    if (FAILED.has(state)) this.#tell("error", { state, detail });
    if (state === ENDED && !this.#ended) {
      this.#ended = true;
      this.#tell("end", { job: this.#job });
    }
    this.#change();
  }

  /** Events do not bubble: a page may listen for `change` and `error` of other things. */
  #tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }

  // Drawing

  #change() {
    // No frame either: with a thousand elements, there is always a change.
    if (this.#isUnseen) return;
    changed.add(this.#draw);
    drawAll();
  }

  /** Whether nobody sees a change. */
  get #isUnseen() {
    return this.#near === false && this.#job && this.#view?.root === this.#view?.body;
  }

  #show() {
    if (!this.isConnected || this.#isUnseen) return;
    const compact = this.#isCompact;
    this.#view.show(this.#job, {
      state: this.#state,
      detail: this.#detail,
      compact,
      mayAct: !this.readonly && Boolean(this.#access?.mayAct),
      hasText: [...this.childNodes].some((node) => !node.slot && node.textContent.trim()),
      whole: this.#whole,
      seenAt: this.#seenAt,
    });
    this.#whole = false;
    count(this.#tick, Boolean(this.#job) && !finished(this.#job) && this.#near);
  }

  // Acting

  async #act(path, value) {
    if (!this.#access) throw new Error(speechOf(langOf(this)).say("none"));
    const address = `${jobPath(this.getAttribute("job"))}/${path}`;
    try {
      return await this.#access.post(address, value, this.#speech);
    } catch (error) {
      this.#tell("error", { state: this.#state, detail: error.message });
      throw error;
    }
  }

  /** Let a link carry the newest token. */
  #carry(link, path) {
    const refresh = () => (link.href = this.#access.link(path));
    refresh();
    link.onpointerdown = refresh;
    let again = false; // this click is ours
    link.onclick = async (event) => {
      refresh();
      if (again || !this.#access.isOld) return;
      event.preventDefault();
      await this.#access.renew().catch(() => null);
      again = true;
      link.click();
      again = false;
    };
  }
}

// Two servers' scripts may meet in a page: the first one counts.
const elements = globalThis.customElements;
if (elements && !elements.get("live-job")) elements.define("live-job", LiveJob);

export { LiveJob };
