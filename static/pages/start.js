/** The start of each page: its address, its credential, and when its stream rests. */

import { BASE, credential } from "../livejobs.js";

const HIDDEN_FOR = 15_000; // ms before a hidden tab closes its connection
const REST = 30_000; // ms until it connects again, so that its title stays recent
const LOOK = 2_000; // ms for which it then stays connected

/** Close the stream of a hidden tab: all tabs share the browser's few connections to a server. */
function restWhenHidden(stream) {
  let timer = 0;
  const rest = () => {
    stream.pause();
    timer = setTimeout(look, REST);
  };
  const look = () => {
    stream.resume();
    timer = setTimeout(rest, LOOK);
  };
  const onVisibility = () => {
    clearTimeout(timer);
    if (document.hidden) timer = setTimeout(rest, HIDDEN_FOR);
    else stream.resume();
  };
  onVisibility();
  document.addEventListener("visibilitychange", onVisibility);
  addEventListener("online", () => stream.resume());
  addEventListener("pagehide", () => stream.pause());
  addEventListener("pageshow", () => stream.resume());
}

/** Make the page in its root. `make(root, path)`: the path is below the server's root address. */
export function start(make) {
  document.querySelector(".brand").href = BASE;
  credential.fromAddress();
  const page = make(document.getElementById("main"), location.pathname.slice(BASE.pathname.length));
  restWhenHidden(page.stream);
}
