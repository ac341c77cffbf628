import { useState } from "react";
import "livejobs/live-job";
import { useJob, useJobs } from "livejobs/react";

export function App({ id, tag, url }: { id: string; tag: string; url: string }) {
  const [shown, show] = useState<string | null>(null);
  const { job, state } = useJob(shown, { url, logs: true });
  const [changes, count] = useState(0);
  const { jobs, ready } = useJobs({ tag }, { url });
  return (
    <>
      <button onClick={() => show(id)}>Watch</button>
      <p id="job">{job ? `${job.status} ${job.progress.percent}%` : state}</p>
      <p id="log">{job?.logs?.map((line) => line.message).join()}</p>
      <p id="jobs">{ready ? jobs.map((one) => `${one.title} ${one.progress.percent}%`).join() : "…"}</p>
      <live-job job={id} src={url} compact renew={async () => null} onchange={() => count((n) => n + 1)} />
      <p id="changes">{changes > 1 ? "more than one" : changes}</p>
    </>
  );
}
