/** Numbers, times and values as text. */

export const number = new Intl.NumberFormat(undefined, { maximumFractionDigits: 1 });

const digits = { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" };
export const clock = new Intl.DateTimeFormat(undefined, digits); // of one width, for columns
export const minute = new Intl.DateTimeFormat(undefined, { ...digits, second: undefined });
const medium = { dateStyle: "medium", timeStyle: "medium" };
export const dateAndTime = new Intl.DateTimeFormat(undefined, medium);
const day = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });

const UNITS = [
  [86_400, "d"],
  [3_600, "h"],
  [60, "m"],
  [1, "s"],
];

/** 4.2s, 42s, 4m 12s, 2h 5m: the two largest units. */
export function span(seconds) {
  if (seconds > 0.05 && seconds < 9.95 && seconds % 1) return `${seconds.toFixed(1)}s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole}s`;
  const at = UNITS.findIndex(([size]) => whole >= size);
  const [[size, name], [smallerSize, smallerName]] = UNITS.slice(at, at + 2);
  const rest = Math.floor((whole % size) / smallerSize);
  return `${Math.floor(whole / size)}${name}${rest ? ` ${rest}${smallerName}` : ""}`;
}

/** Seconds from a timestamp to `now`. */
export const since = (time, now) => Math.max(0, (now - Date.parse(time)) / 1000);

export function age(time, now) {
  const seconds = since(time, now);
  if (seconds < 5) return "just now";
  if (seconds > 30 * 86_400) return day.format(new Date(time));
  const [size, name] = UNITS.find(([unit]) => seconds >= unit);
  return `${Math.floor(seconds / size)}${name} ago`;
}

export function bytes(size) {
  const at = size < 1000 ? 0 : Math.min(4, Math.floor(Math.log10(size) / 3));
  return `${number.format(size / 1000 ** at)} ${["B", "kB", "MB", "GB", "TB"][at]}`;
}

const LONGEST_VALUE = 20_000; // characters shown of a value

/** A string as it is, anything else as JSON. */
export function valueText(value, indent) {
  const text = typeof value === "string" ? value : JSON.stringify(value, null, indent);
  return text.length > LONGEST_VALUE ? `${text.slice(0, LONGEST_VALUE)}…` : text;
}

// Null stays null: a fact without a value is left out.
/** That so many of the oldest were removed: `removed(2, "line")`. */
export const removed = (count, one) =>
  count === 1 ? `1 earlier ${one} was removed` : `${number.format(count)} earlier ${one}s were removed`;

export const amount = (value) => (value === null ? null : number.format(value));
export const moment = (time) => time && dateAndTime.format(new Date(time));
export const duration = (seconds) => (seconds === null ? null : span(seconds));
