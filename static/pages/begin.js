/** What an empty list teaches: the first job, in three ways. */

import { BASE } from "../livejobs.js";
import * as ui from "./ui.js";

/** JSON in one line, with spaces. A line break inside a string is escaped, so none is lost. */
const spaced = (value) =>
  JSON.stringify(value, null, 1).replace(/\n */g, " ").replace(/([{[]) | ([\]}])/g, "$1$2");

/** The text as one quoted word of a shell. */
const shellWord = (text) => `'${text.replaceAll("'", "'\\''")}'`;

const named = (project) => (project === "default" ? "" : project);

/** Commands that create and finish a first job: pairs of task and command. */
function curl(project, isClosed) {
  const job = { ...(named(project) && { project }), title: "Hello", total: 100 };
  const progress = { type: "progress", current: 42, message: "Warming up" };
  const key = isClosed ? ` \\\n  -H "x-api-key: $LIVEJOBS_KEY"` : "";
  const request = (target, body) => `curl ${target}${key} \\\n  --json ${shellWord(spaced(body))}`;
  const hello = new URL("v1/jobs/hello", BASE);
  return [
    ["Create a job", request(`-X PUT ${hello}`, job)],
    ["Report its progress", request(`${hello}/reports`, progress)],
    ["Finish it", request(`${hello}/reports`, { type: "succeed" })],
  ];
}

const install = ["Install the package", "pip install livejobs"];

function environment(isClosed) {
  const lines = [`export LIVEJOBS_URL=${BASE.href.replace(/\/$/, "")}`];
  if (isClosed) lines.push("export LIVEJOBS_KEY=lj_…");
  return ["Name the server", lines.join("\n")];
}

function sdk(project) {
  const place = named(project) && `, project=${JSON.stringify(project)}`;
  return `import time
import livejobs

with livejobs.job("hello", title="Hello"${place}) as job:
    for n in job.track(range(100)):
        job.log(f"step {n}")
        time.sleep(0.1)`;
}

const RUN = `livejobs run --title "Hello" -- \\
  sh -c 'for n in $(seq 20); do echo "$n/20"; sleep 0.5; done'`;

const WAYS = [
  ["curl", curl],
  ["Python", (project, isClosed) => [install, environment(isClosed), ["Report from your code", sdk(project)]]],
  ["Any command", (_, isClosed) => [install, environment(isClosed), ["Run it as a job", RUN]]],
];

/** Fill the empty list's page. `isClosed`: the server needs a key. */
export function teach({ ways, commands }, project, isClosed) {
  ways.replaceChildren();
  const choose = (chosen) => {
    for (const tab of ways.children) ui.attribute(tab, "aria-selected", tab === chosen);
    for (const tab of ways.children) tab.tabIndex = tab === chosen ? 0 : -1;
    commands.replaceChildren(...chosen.steps(project, isClosed).map(newStep));
  };
  for (const [name, steps] of WAYS) {
    const tab = ui.element("button", name, { type: "button", role: "tab", "aria-controls": "commands" });
    tab.steps = steps;
    tab.onclick = () => choose(tab);
    ways.append(tab);
  }
  ways.onkeydown = ({ key }) => {
    const step = { ArrowRight: "nextElementSibling", ArrowLeft: "previousElementSibling" }[key];
    const next = step && document.activeElement[step];
    if (next) choose(next), next.focus();
  };
  choose(ways.firstElementChild);
}

function newStep([task, code]) {
  const command = ui.make("command");
  ui.put(command.parts.task, task);
  ui.put(command.parts.code, code);
  command.parts.copy.onclick = () => ui.copy(command.parts.copy, code);
  return command;
}
