/** The login, for those who come here by themselves. Other pages ask for a key in their own place. */

import { showLogin } from "./layout.js";
import { session, target } from "./session.js";
import { start } from "./start.js";
import { put } from "./ui.js";

const TEXT = "Use a key of this server. The browser keeps a cookie, and not the key.";

start((root) => {
  const goOn = () => location.replace(target(new URLSearchParams(location.search).get("to")));
  const { key, lead } = showLogin(root, ["Log in", TEXT], goOn);
  document.title = "Log in · livejobs";
  key.focus();
  const show = (by) => {
    if (by?.open) goOn(); // there is nothing to log in to
    else if (by) put(lead, `You are logged in as ${by.name.replace(/^key:/, "")}. You can use another key.`);
  };
  session().then(show, () => {}); // without an answer, the form's own will come
});
