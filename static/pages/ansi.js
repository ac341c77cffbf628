/**
 * A terminal's text in pieces, each with its look. Colours become custom properties, whose contrast
 * the styles keep (see .look in job.css). Everything else that a terminal obeys is left out.
 */

import { harmless, lastWritten } from "./text.js";

// eslint-disable-next-line no-control-regex
const SGR = /(?:\x1b\[|\x9b)([\d;:]*)m/;
const MOST = 300; // pieces of a text; the rest has no look
const FLAGS = { 1: "bold", 2: "dim", 3: "italic", 4: "underline", 7: "inverse", 9: "strike" };
const OFF = { 22: ["bold", "dim"], 23: ["italic"], 24: ["underline"], 27: ["inverse"], 29: ["strike"] };
const SIXTEEN = [
  "000000", "cd3131", "0dbc79", "e5e510", "2472c8", "bc3fbc", "11a8cd", "e5e5e5",
  "666666", "f14c4c", "23d18b", "f5f543", "3b8eea", "d670d6", "29b8db", "ffffff",
]; // prettier-ignore
const CUBE = [0, 95, 135, 175, 215, 255];

/** Pieces of the text, as `{ text, look }`. A look is null, or `{ flags, fg, bg }`. */
export function pieces(raw) {
  const text = String(raw);
  // eslint-disable-next-line no-control-regex
  if (!/[\x1b\x9b]/.test(text)) return [{ text: harmless(text), look: null }];
  const found = [];
  let [rest, look] = [lastWritten(text), null];
  for (let code; found.length < MOST && (code = SGR.exec(rest)); ) {
    add(found, rest.slice(0, code.index), look);
    look = obey(look, code[1]);
    rest = rest.slice(code.index + code[0].length);
  }
  add(found, rest, found.length < MOST ? look : null);
  return found;
}

function add(found, raw, look) {
  const text = harmless(raw);
  if (text) found.push({ text, look });
}

/** The look after a code: `1;31`, `38;5;208`, `38:2::255:0:0` and the like. */
function obey(look, code) {
  const next = { flags: new Set(look?.flags), fg: look?.fg ?? null, bg: look?.bg ?? null };
  const parts = code.split(";");
  while (parts.length) {
    const [n, ...more] = parts.shift().split(":").map(Number);
    if (n === 38 || n === 48) next[n === 38 ? "fg" : "bg"] = more.length ? colon(more) : semicolon(parts);
    else change(next, n);
  }
  return next.flags.size || next.fg || next.bg ? next : null;
}

function change(look, n) {
  if (n === 0) Object.assign(look, { flags: new Set(), fg: null, bg: null });
  else if (n in FLAGS) look.flags.add(FLAGS[n]);
  else if (n in OFF) for (const flag of OFF[n]) look.flags.delete(flag);
  else if (n === 39) look.fg = null;
  else if (n === 49) look.bg = null;
  else if (n >= 30 && n <= 37) look.fg = indexed(n - 30);
  else if (n >= 90 && n <= 97) look.fg = indexed(n - 82);
  else if (n >= 40 && n <= 47) look.bg = indexed(n - 40);
  else if (n >= 100 && n <= 107) look.bg = indexed(n - 92);
}

const colon = ([kind, ...more]) => (kind === 5 ? indexed(more[0]) : kind === 2 ? rgb(more.slice(-3)) : null);

function semicolon(parts) {
  const kind = Number(parts.shift());
  if (kind === 5) return indexed(Number(parts.shift()));
  return kind === 2 ? rgb(parts.splice(0, 3).map(Number)) : null;
}

/** One of the 256 colours. */
function indexed(n) {
  if (!(n >= 0 && n < 256)) return null;
  if (n < 16) return `#${SIXTEEN[n]}`;
  if (n >= 232) return rgb(Array(3).fill(8 + (n - 232) * 10));
  const at = n - 16;
  return rgb([CUBE[Math.floor(at / 36)], CUBE[Math.floor(at / 6) % 6], CUBE[at % 6]]);
}

function rgb(values) {
  if (values.length !== 3 || !values.every((value) => value >= 0 && value < 256)) return null;
  return `#${values.map((value) => Math.floor(value).toString(16).padStart(2, "0")).join("")}`;
}
