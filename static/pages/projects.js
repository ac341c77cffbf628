/** The menu of projects, beside the project's name in the header. */

import { readProjects } from "./api.js";
import { listOf } from "./layout.js";
import * as ui from "./ui.js";

/** Put the menu after the place. A server with one project needs none. */
export async function projectMenu(place, chosen) {
  const names = await readProjects().catch(() => []);
  const others = names.filter((name) => name !== chosen);
  if (!others.length) return;
  const menu = ui.make("projects");
  const { open, list } = menu.parts;
  for (const name of [chosen, ...others]) {
    const link = ui.element("a", name, { href: listOf({ project: name }) });
    if (name === chosen) ui.attribute(link, "aria-current", "page");
    const item = ui.element("li");
    item.append(link);
    list.append(item);
  }
  list.addEventListener("toggle", ({ newState }) => newState === "open" && putBelow(list, place));
  list.addEventListener("keydown", (event) => move(list, event));
  ui.attribute(open, "aria-label", `Project ${chosen}: choose another`);
  place.after(menu);
}

function putBelow(list, place) {
  const { left, bottom } = place.getBoundingClientRect();
  list.style.setProperty("left", `${Math.max(8, Math.min(left - 10, innerWidth - 248))}px`);
  list.style.setProperty("top", `${bottom + 8}px`);
  list.querySelector("a").focus();
}

function move(list, event) {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!step) return;
  event.preventDefault();
  const links = [...list.querySelectorAll("a")];
  links.at((links.indexOf(document.activeElement) + step) % links.length).focus();
}
