/** The start: which page this address is, and when its watch rests. */

import { credential } from "./api.js";
import { ListPage } from "./dashboard.js";
import { JobPage } from "./job.js";
import { BASE } from "./livejobs.js";

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

function start(root) {
  document.querySelector(".brand").href = BASE;
  credential.fromAddress();
  const path = location.pathname.slice(BASE.pathname.length);
  const page = path.startsWith("jobs/")
    ? new JobPage(root, decodeURIComponent(path.slice("jobs/".length)))
    : new ListPage(root, new URLSearchParams(location.search));
  restWhenHidden(page.watch);
}

start(document.getElementById("main"));
