/** The beginning of a file as text, table or JSON; or a PDF in the browser's own viewer. */

import { address, credential } from "./api.js";
import { bytes, valueText } from "./format.js";
import { harmless } from "./text.js";
import { element } from "./ui.js";

const MOST = 128 * 1024; // bytes that are read
const ROWS = 200;
const CELLS = 40;
const TEXT = /^(text\/|application\/(x-ndjson|(x-)?yaml|toml|xml|javascript|sql)\b|\S+\+xml)/;
const NAMED = /\.(txt|md|log|csv|tsv|json|jsonl|ndjson|ya?ml|toml|ini|xml|srt|vtt|py|js|ts|sh|sql)$/i;

const isPdf = ({ media_type: type }) => type.startsWith("application/pdf");
const isTable = ({ name, media_type: type }) =>
  /^text\/(csv|tab-separated-values)/.test(type) || /\.[ct]sv$/i.test(name);
const isJson = ({ name, media_type: type }) =>
  /^application\/(\S+\+)?json\b/.test(type) || /\.json$/i.test(name);

/** Whether there is a preview to ask for. A file elsewhere can't be read from here: it has no digest. */
export function isReadable(file) {
  if (file.sha256 === null) return false;
  return isPdf(file) || isJson(file) || TEXT.test(file.media_type) || NAMED.test(file.name);
}

export async function readable(path, file) {
  if (isPdf(file)) return pdf(path, file);
  try {
    const { text, isWhole } = await beginning(path, file);
    const node = (isWhole && isJson(file) && json(text)) || (isTable(file) && table(text, file)) || plain(text);
    if (isWhole) return node;
    const both = element("div");
    both.append(node, element("p", `The first ${bytes(MOST)} of ${bytes(file.size)}`, { class: "note" }));
    return both;
  } catch (error) {
    return element("p", error.message, { class: "note" });
  }
}

function pdf(path, file) {
  const src = address(path, { inline: 1, v: file.sha256.slice(0, 16), token: credential.token });
  if (navigator.pdfViewerEnabled === false) return unseen(src, file);
  return element("iframe", undefined, { src, title: harmless(file.name), class: "pdf" });
}

/** A frame would stay empty, as on most phones. */
function unseen(src, file) {
  const note = element("p", "This browser can't show a PDF in a page. ", { class: "note" });
  note.append(element("a", `Open ${harmless(file.name)}`, { href: src, target: "_blank", rel: "noopener" }));
  return note;
}

/** An answer to a range may be the whole file: read no more than is shown. */
async function beginning(path, file) {
  const headers = { ...credential.headers, range: `bytes=0-${MOST - 1}` };
  const url = address(path, { inline: 1, v: file.sha256.slice(0, 16) });
  const answer = file.size ? await fetch(url, { headers }) : new Response("");
  if (!answer.ok) throw new Error(`The server answered ${answer.status}.`);
  const text = new TextDecoder().decode((await answer.arrayBuffer()).slice(0, MOST), { stream: true });
  return { text, isWhole: file.size <= MOST };
}

const plain = (text) => element("pre", text, { tabindex: 0 });

function json(text) {
  try {
    return plain(valueText(JSON.parse(text), 2));
  } catch {
    return null; // it only says that it is JSON
  }
}

function table(text, { name, media_type: type }) {
  const separator = /tab/.test(type) || /\.tsv$/i.test(name) ? "\t" : guess(text);
  const rows = records(text, separator).slice(0, ROWS);
  if (rows.length < 2) return null;
  const [head, ...body] = rows.map((row) => row.slice(0, CELLS));
  const node = element("table", undefined, { class: "results" });
  node.createTHead().insertRow().append(...head.map((cell) => element("th", cell, { scope: "col" })));
  const filled = node.createTBody();
  for (const row of body) filled.insertRow().append(...row.map(newCell));
  const attributes = { class: "scrolling", tabindex: 0, role: "region", "aria-label": harmless(name) };
  const frame = element("div", undefined, attributes);
  frame.append(node);
  return frame;
}

function newCell(text) {
  const isNumber = text.trim() && !Number.isNaN(Number(text));
  const cell = element("td", undefined, { class: isNumber ? "num" : "words" });
  cell.append(element("span", text));
  return cell;
}

const guess = (text) => {
  const first = text.slice(0, Math.max(0, text.indexOf("\n")) || text.length);
  return first.split(";").length > first.split(",").length ? ";" : ",";
};

/** The records of a CSV (RFC 4180), the last one only if it is complete or the text ends with it. */
function records(text, separator) {
  const found = [];
  let [row, cell, isQuoted] = [[], "", false];
  for (let at = 0; at < text.length && found.length < ROWS; at++) {
    const char = text[at];
    if (isQuoted) {
      if (char !== '"') cell += char;
      else if (text[at + 1] === '"') (cell += '"'), at++;
      else isQuoted = false;
    } else if (char === '"' && cell === "") isQuoted = true;
    else if (char === separator) row.push(cell), (cell = "");
    else if (char === "\n") found.push([...row, cell]), (row = []), (cell = "");
    else if (char !== "\r") cell += char;
  }
  if (row.length || cell) found.push([...row, cell]);
  return found;
}
