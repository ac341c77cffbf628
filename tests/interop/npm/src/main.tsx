import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { createApp, h } from "vue";
import { watch, type Head, type Job } from "livejobs";
import { useJob } from "livejobs/vue";

import { App } from "./App.js";

const query = new URLSearchParams(location.search);
const [id, tag, url] = ["id", "tag", "url"].map((name) => query.get(name) ?? "") as [string, string, string];

createRoot(document.getElementById("react")!).render(
  <StrictMode>
    <App id={id} tag={tag} url={url} />
  </StrictMode>,
);

const Percent = {
  setup() {
    const { job, state } = useJob(() => id, { url });
    return () => h("p", { id: "in-vue" }, job.value ? `${job.value.progress.percent}%` : state.value);
  },
};
createApp(Percent).mount("#vue");

const whole = watch(id, { url, onChange: (job: Job) => console.debug(job.results.length) });
const head = watch(id, { url, view: "head", onChange: (job: Head) => console.debug(job.tags) });
// @ts-expect-error a key is no token
watch(id, { url, key: "lj_secret" });
// @ts-expect-error not a status of jobs
const wrong: boolean = whole.job?.status === "done";
console.debug(head.state, wrong);
