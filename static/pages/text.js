/** Text of workers, safe to show. */

// What a terminal obeys: CSI, OSC and the like, and two-character sequences.
const ANSI =
  // eslint-disable-next-line no-control-regex
  /(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[PX^_][^\x1b]*(?:\x1b\\)?|\x1b[ -/]*[0-~]/g;
// Control characters, and those that reorder the text around them. Tabs and line breaks are text.
const UNSEEN = /[\0-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]/g;

/** A worker's text without terminal colours, and with nothing that can disguise other text. */
export function harmless(text) {
  let plain = String(text).replace(ANSI, "");
  if (plain.includes("\r")) plain = plain.split("\n").map(overwritten).join("\n");
  return plain.replace(UNSEEN, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/** What a line shows after its writer returned to the beginning: the part written last. */
const overwritten = (line) => line.split("\r").findLast(Boolean) ?? "";

/** The same, with the colours still in it. */
export const lastWritten = (text) =>
  text.includes("\r") ? text.split("\n").map(shown).join("\n") : text;

const shown = (line) => line.split("\r").findLast((part) => part.replace(ANSI, "")) ?? "";
