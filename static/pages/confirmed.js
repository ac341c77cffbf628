/** A button that asks before it acts. */

import * as ui from "./ui.js";

const CONFIRM = 4_000; // ms for which a button waits for its second click

/** Act on the second click; without one, the button returns to what it was. */
export function confirmed(button, question, act) {
  const text = button.textContent;
  let timer = 0;
  const rest = () => {
    timer = clearTimeout(timer);
    button.classList.remove("sure");
    ui.put(button, text);
  };
  button.onclick = () => {
    if (timer) return rest(), act();
    timer = setTimeout(rest, CONFIRM);
    button.classList.add("sure");
    ui.put(button, question);
  };
}
