/** One language: its texts, and its numbers and times by `Intl`. */

import { WORDS } from "./words.js";

const UNITS = [
  [86_400, "day"],
  [3_600, "hour"],
  [60, "minute"],
  [1, "second"],
];
const SIZES = ["byte", "kilobyte", "megabyte", "gigabyte", "terabyte"];

class Speech {
  #formats = new Map();

  constructor(lang, words) {
    this.lang = lang;
    this.words = words;
    this.form = {
      ...words,
      notJson: (reason) => this.say("notJson", reason),
    };
  }

  say(name, ...values) {
    return this.words[name].replace(/\{(\d)\}/g, (_, at) => values[at]);
  }

  number(value, options = { maximumFractionDigits: 1 }) {
    const key = JSON.stringify(options);
    if (!this.#formats.has(key)) this.#formats.set(key, new Intl.NumberFormat(this.lang, options));
    return this.#formats.get(key).format(value);
  }

  percent(value) {
    return this.number(value / 100, { style: "percent" });
  }

  /** The two largest units: 4m 12s. */
  span(seconds) {
    if (seconds > 0.05 && seconds < 9.95 && seconds % 1) return this.#unit(seconds, "second", 1);
    const whole = Math.round(seconds);
    const at = Math.max(0, UNITS.findIndex(([size]) => whole >= size || size === 1));
    const [[size, name], [smaller, smallerName] = []] = UNITS.slice(at, at + 2);
    const rest = smaller ? Math.floor((whole % size) / smaller) : 0;
    const parts = [this.#unit(Math.floor(whole / size), name)];
    if (rest) parts.push(this.#unit(rest, smallerName));
    return parts.join(/^(ja|zh)/.test(this.lang) ? "" : " ");
  }

  bytes(size) {
    const at = size < 1000 ? 0 : Math.min(4, Math.floor(Math.log10(size) / 3));
    // The short form of byte is "byte" in some languages, for any number.
    return this.#unit(size / 1000 ** at, SIZES[at], at ? 1 : 0, at ? "short" : "long");
  }

  #unit(value, unit, digits = 0, unitDisplay = "narrow") {
    const options = { style: "unit", unit, unitDisplay, maximumFractionDigits: digits };
    return this.number(value, options);
  }
}

const known = new Map();

/** The speech of a language tag; of English for a tag without texts here, or that is none. */
export function speechOf(tag) {
  if (!known.has(tag)) known.set(tag, made(tag));
  return known.get(tag);
}

function made(tag) {
  let lang = "en";
  try {
    [lang = "en"] = Intl.getCanonicalLocales(tag || navigator.language);
  } catch {
    // A page may have any text there, such as en_US.
    lang = String(tag).split(/[^a-z]/i)[0].toLowerCase();
  }
  const own = WORDS[lang] ?? WORDS[lang.split("-")[0]];
  return new Speech(own ? lang : "en", { ...WORDS.en, ...own });
}
