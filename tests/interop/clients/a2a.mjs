// The official A2A client against a server: node a2a.mjs URL KEY RECEIVER. It plays the worker too,
// so that each report follows the event before it. Prints one line of JSON with what it has seen.
import { AgentCard, TaskState } from "@a2a-js/sdk";
import { ClientFactory, ClientFactoryOptions, RestTransportFactory } from "@a2a-js/sdk/client";

const [url, key, receiver] = process.argv.slice(2);
const authorized = (input, init = {}) =>
  fetch(input, { ...init, headers: { ...init.headers, authorization: `Bearer ${key}` } });
const transports = [new RestTransportFactory({ fetchImpl: authorized })];
const factory = new ClientFactory(
  ClientFactoryOptions.createFrom(ClientFactoryOptions.default, { transports }),
);
const client = await factory.createFromUrl(url);

const report = async (id, body) => {
  const answer = await authorized(`${url}/v1/jobs/${id}/reports`, {
    method: "POST",
    body: JSON.stringify(body),
    headers: { "content-type": "application/json" },
  });
  if (!answer.ok) throw new Error(await answer.text());
};
const message = (id, parts, more = {}) => ({
  message: {
    messageId: id,
    role: 1,
    parts,
    contextId: "",
    taskId: "",
    extensions: [],
    referenceTaskIds: [],
    ...more,
  },
  configuration: { returnImmediately: true, acceptedOutputModes: [] },
  tenant: "",
});
const part = ($case, value) => ({
  content: { $case, value },
  metadata: undefined,
  filename: "",
  mediaType: "",
});
const stateOf = (status) => TaskState[status.state];
const sayError = async (call) => {
  try {
    await call();
    return null;
  } catch (error) {
    return error.constructor.name;
  }
};

// Follow a task; `react` is called with what has come, and may report.
const follow = async (id, react) => {
  const seen = [];
  for await (const { payload } of client.resubscribeTask({ id, tenant: "" })) {
    const { $case, value } = payload;
    seen.push($case === "artifactUpdate" ? value.artifact.artifactId : stateOf(value.status));
    await react(seen.length, seen.at(-1));
  }
  return seen;
};

const seen = { card: AgentCard.toJSON(await client.getAgentCard()) };
const parts = [part("text", "Teaser"), part("data", { type: "render", meta: { scene: 4 } })];
const created = await client.sendMessage(message("m-js", parts));
const again = await client.sendMessage(message("m-js", parts));
seen.same = created.id === again.id;
const config = { tenant: "", id: "mine", taskId: created.id, url: receiver, token: "t0k" };
seen.config = (await client.createTaskPushNotificationConfig(config)).id;
seen.first = await follow(created.id, async (n) => {
  if (n === 1) await report(created.id, { type: "progress", percent: 50 });
  if (n === 2) await report(created.id, { type: "result", value: { frames: 7 } });
  if (n === 3) await report(created.id, { type: "ask", prompt: "Publish?" });
});
const answered = await client.sendMessage(message("a-js", [part("text", "yes")], { taskId: created.id }));
seen.answered = stateOf(answered.status);
const task = await client.getTask({ id: created.id, tenant: "" });
seen.task = [task.contextId, task.metadata.title, task.metadata.percent, task.artifacts.length];
const { contextId } = task;
const listed = await client.listTasks({ tenant: "", contextId, status: 2, pageToken: "" });
seen.listed = [listed.tasks.map(({ id }) => id === created.id), listed.totalSize];
const configs = { tenant: "", taskId: created.id };
seen.configs = (await client.listTaskPushNotificationConfig(configs)).configs.map(({ id }) => id);
seen.second = await follow(created.id, async (n) => {
  if (n === 1) await client.cancelTask({ id: created.id, tenant: "" });
  if (n === 2) await report(created.id, { type: "cancelled" });
});
seen.notCancelable = await sayError(() => client.cancelTask({ id: created.id, tenant: "" }));
seen.over = await sayError(() => follow(created.id, () => {}));
seen.missing = await sayError(() => client.getTask({ id: "none", tenant: "" }));
await client.deleteTaskPushNotificationConfig({ ...configs, id: "mine" });
seen.after = (await client.listTaskPushNotificationConfig(configs)).configs.length;
console.log(JSON.stringify(seen));
