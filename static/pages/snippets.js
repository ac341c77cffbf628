/** Lines to copy that show this job elsewhere. */

import { BASE } from "../livejobs.js";
import { nameOf } from "./describe.js";
import { pageOf } from "./layout.js";
import { isClosed } from "./session.js";
import * as ui from "./ui.js";

const escaped = (text) => text.replace(/[&<>"]/g, (char) => `&#${char.charCodeAt(0)};`);
const markdown = (text) => text.replace(/[\\[\]`*_<>\n]/g, (char) => (char === "\n" ? " " : `\\${char}`));

function snippets(job) {
  const [id, page] = [encodeURIComponent(job.id), pageOf(job.id)];
  const closed = isClosed();
  const key = closed ? ' \\\n  -H "x-api-key: $LIVEJOBS_KEY"' : "";
  const api = new URL(`v1/jobs/${id}`, BASE);
  const token = closed ? "?token=…" : "";
  const root = BASE.href.replace(/\/$/, "");
  return [
    ["In any page", element(job.id, closed)],
    ["As a badge (README, wiki)", `[![${markdown(nameOf(job))}](${page}/badge.svg${token})](${page})`],
    ["In a frame", `<iframe src="${page}/embed${token}" title="${escaped(nameOf(job))}"></iframe>`],
    ["Read the state", `curl '${api}'${key}`],
    ["Stream the changes", `curl -N '${api}/events'${key}`],
    ["Wait for the end in Python", python(job.id, root)],
    ["Watch in a terminal", `livejobs watch ${job.id} --url ${root}`],
  ];
}

function element(id, closed) {
  const script = new URL("static/live-job.js", BASE);
  const token = closed ? ' token="…"' : "";
  return `<script type="module" src="${script}"></script>\n<live-job job="${escaped(id)}"${token}></live-job>`;
}

const python = (id, root) => `import livejobs

with livejobs.Client(${JSON.stringify(root)}) as client:
    job = client.wait(${JSON.stringify(id)})
    print(job["status"], job["result"])`;

export function showSnippets(list, job) {
  list.replaceChildren(
    ...snippets(job).map(([task, code]) => {
      const node = ui.make("snippet");
      ui.put(node.parts.task, task);
      ui.put(node.parts.code, code);
      ui.attribute(node.parts.copy, "aria-label", `Copy: ${task}`);
      node.parts.copy.onclick = () => ui.copy(node.parts.copy, code);
      return node;
    }),
  );
}
