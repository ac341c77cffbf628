/** The start of each page: its address, its credential, and when its watch rests. */

import { BASE } from "../livejobs.js";
import { credential } from "./api.js";
import { keepSession } from "./session.js";
import { showUser } from "./user.js";

const HIDDEN_FOR = 15_000; // ms before a hidden tab closes its connection
const REST = 30_000; // ms until it connects again, so that its title stays recent
const LOOK = 2_000; // ms for which it then stays connected

/** Pause the watch of a hidden tab. */
function restWhenHidden(watch) {
  let timer = 0;
  const rest = () => {
    watch.pause();
    timer = setTimeout(look, REST);
  };
  const look = () => {
    watch.resume();
    timer = setTimeout(rest, LOOK);
  };
  const onVisibility = () => {
    clearTimeout(timer);
    if (document.hidden) timer = setTimeout(rest, HIDDEN_FOR);
    else watch.resume();
  };
  onVisibility();
  document.addEventListener("visibilitychange", onVisibility);
}

/** Make the page in its root. `make(root, path)`: the path is below the server's root address. */
export function start(make) {
  document.querySelector(".brand").href = BASE;
  credential.fromAddress();
  const { watch } = make(document.getElementById("main"), location.pathname.slice(BASE.pathname.length)) ?? {};
  if (watch) restWhenHidden(watch);
  keepSession();
  showUser();
}
