/** The login, for those who come here by themselves; other pages ask for a key in their own place. */

import { askForKey } from "./layout.js";
import { session, target } from "./session.js";
import { start } from "./start.js";
import { make, put } from "./ui.js";

start((root) => {
  const page = make("login");
  const goOn = () => location.replace(target(new URLSearchParams(location.search).get("to")));
  document.title = "Log in · livejobs";
  askForKey(page.parts.form, goOn);
  root.replaceChildren(page);
  page.parts.key.focus();
  session().then((by) => {
    if (by?.open) goOn(); // there is nothing to log in to
    else if (by) put(page.parts.lead, `You are logged in as ${by.name.replace(/^key:/, "")}. Use another key to change.`);
  }, () => {});
});
