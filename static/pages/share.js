/** A link to this job for somebody who has no key. It ends by itself. */

import { shareJob } from "./api.js";
import { dateAndTime } from "./format.js";
import { pageOf } from "./layout.js";
import { session } from "./session.js";
import * as ui from "./ui.js";

export function shareDialog(id) {
  const dialog = ui.make("share");
  const { form, until, address, made, note, refused } = dialog.parts;
  const show = (url, text) => {
    address.value = url;
    ui.put(note, text);
    made.hidden = refused.hidden = false;
    refused.hidden = true;
    address.select();
  };
  form.onsubmit = async (event) => {
    event.preventDefault();
    try {
      const { token, expires_at } = await shareJob(id, Number(until.value));
      const url = pageOf(id);
      url.searchParams.set("token", token);
      const end = dateAndTime.format(new Date(expires_at));
      show(url.href, `Whoever has this link sees this job, and no other, until ${end}.`);
    } catch (error) {
      ui.put(refused, error.message);
      refused.hidden = false;
    }
  };
  dialog.parts.copy.onclick = () => {
    address.select();
    navigator.clipboard.writeText(address.value).then(() => ui.put(dialog.parts.copy, "Copied"), () => {});
  };
  dialog.parts.close.onclick = () => dialog.close();
  dialog.onclick = ({ target }) => {
    if (target === dialog) dialog.close();
  };
  dialog.onclose = () => dialog.remove();
  return {
    async open() {
      document.body.append(dialog);
      made.hidden = refused.hidden = true;
      ui.put(dialog.parts.copy, "Copy");
      dialog.showModal();
      const by = await session().catch(() => null);
      form.hidden = Boolean(by?.open);
      if (by?.open) show(pageOf(id).href, "This server runs open: everyone who can reach it sees this job.");
    },
  };
}
