/** A job's files: links that carry a token, and previews of what the browser can show. */

import { address, credential, jobPath } from "./api.js";
import { bytes } from "./format.js";
import { isReadable, readable } from "./reading.js";
import { harmless } from "./text.js";
import { element, keyed, make, put } from "./ui.js";

const PLAYERS = 3; // each may occupy one of the browser's six connections to a server
const PICTURES = 24;

/** Fill the list of files; the first few that a browser can show get a preview. */
export function showFiles(list, job) {
  const shown = previewed(job.files);
  const create = (file) => makeFile(pathOf(job, file), file);
  const update = (row, file) => shown.has(file) && preview(row, pathOf(job, file), file);
  keyed(list, job.files, (file) => `${file.name} ${file.sha256}`, create, update);
}

const pathOf = (job, file) => `${jobPath(job.id)}/files/${encodeURIComponent(file.name)}`;

/** The token of a shared link goes along. A login needs none: its cookie goes by itself. */
export function carryToken(link, path, query = {}) {
  link.href = address(path, { ...query, token: credential.token });
}

/** The tag that can show a file of this type, or null. */
function tagOf({ media_type: type }) {
  const kind = type.slice(0, type.indexOf("/"));
  if (kind === "image") return "img";
  if (kind !== "video" && kind !== "audio") return null;
  return document.createElement(kind).canPlayType(type) ? kind : null;
}

function previewed(files) {
  const left = { player: PLAYERS, img: PICTURES };
  const fits = (tag) => tag && left[tag === "img" ? "img" : "player"]-- > 0;
  return new Set(files.filter((file) => fits(tagOf(file))));
}

function makeFile(path, file) {
  const row = make("file");
  const { link, name, size } = row.parts;
  put(name, file.name);
  put(size, file.size === null ? "" : bytes(file.size));
  carryToken(link, path);
  if (isReadable(file)) offer(row, path, file);
  return row;
}

/** Offer to show the file below its row. */
function offer(row, path, file) {
  const { look } = row.parts;
  look.hidden = false;
  look.setAttribute("aria-label", `Preview ${harmless(file.name)}`);
  look.onclick = async () => {
    row.shown?.remove();
    const isOpen = look.getAttribute("aria-expanded") === "true";
    look.setAttribute("aria-expanded", !isOpen);
    put(look, isOpen ? "Preview" : "Hide");
    if (isOpen) return;
    const box = (row.shown = element("div", undefined, { class: "preview reading" }));
    row.append(box);
    box.append(await readable(path, file));
  };
}

/** `v` tells a replaced file from the cached one of the same name. */
function preview(row, path, file) {
  if (row.shown) return;
  const tag = tagOf(file);
  const query = { inline: 1, v: file.sha256?.slice(0, 16) };
  const name = harmless(file.name);
  const media = element(tag);
  row.shown = tag === "img" ? picture(media, name, path, query) : player(media, name);
  row.shown.classList.add("preview", tag);
  keepLoading(media, path, query, () => row.shown.remove());
  row.append(row.shown);
}

function picture(media, name, path, query) {
  Object.assign(media, { loading: "lazy", alt: name });
  const attributes = { target: "_blank", rel: "noopener", "aria-label": `View ${name}` };
  const link = element("a", undefined, attributes);
  link.append(media);
  carryToken(link, path, query);
  return link;
}

const player = (media, name) =>
  Object.assign(media, { controls: true, preload: "metadata", ariaLabel: name });

/** On an error, try once with a new token: it may have expired before a seek. Else give up. */
function keepLoading(media, path, query, giveUp) {
  let renewed = false;
  const load = () => (media.src = address(path, { ...query, token: credential.token }));
  media.onloadeddata = () => (renewed = false);
  media.onerror = async () => {
    const { currentTime: at, paused } = media;
    if (renewed || !(await credential.renew().catch(() => false))) return giveUp();
    renewed = true;
    load();
    if (at) media.currentTime = at;
    if (paused === false) media.play();
  };
  load();
}
