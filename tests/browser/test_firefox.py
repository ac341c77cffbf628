"""The browser client and the element in Firefox ESR."""

from __future__ import annotations

from pathlib import Path

import httpx2

from tests.browser.firefox import Firefox
from tests.support.desk import eventually
from tests.support.server import Server

WATCH = """import("/static/livejobs.js").then(({ watch }) => {
  window.states = [];
  window.it = watch("teaser", {
    logs: true,
    onState: (state) => states.push(state),
    onChange: () => { throw new Error("an error of the page ends no watch"); },
  });
  window.other = watch({ tag: "none" });
})"""

SHOW = """import("/static/live-job.js").then(() => {
  window.element = document.createElement("live-job");
  element.job = "teaser";
  document.body.prepend(element);
})"""
DRAWN = "element.shadowRoot.querySelector('[role=progressbar]')?.getAttribute('aria-valuenow')"


def test_a_moving_job_is_seen_through_a_restart(server: Server, tmp_path: Path) -> None:
    job = f"{server.url}/v1/jobs/teaser"
    httpx2.put(job, json={"total": 100}).raise_for_status()
    with Firefox(tmp_path) as firefox:
        firefox.open(f"{server.url}/docs")
        firefox.evaluate(WATCH)
        firefox.evaluate(SHOW)
        for percent in (10, 42, 90):
            line = {"type": "log", "message": f"at {percent}"}
            progress = {"type": "progress", "current": percent}
            httpx2.post(f"{job}/reports", json=[progress, line]).raise_for_status()
            eventually(lambda: firefox.evaluate("it.job?.progress.percent") == percent)  # noqa: B023 - called within its turn
            eventually(lambda: firefox.evaluate(DRAWN) == str(percent))  # noqa: B023 - called within its turn
            if percent == 10:
                firefox.evaluate("other.stop()")
            if percent == 42:
                server.kill()
                server.restart()
        httpx2.post(f"{job}/reports", json={"type": "succeed"}).raise_for_status()
        eventually(lambda: firefox.evaluate("it.state") == "ended")
        eventually(lambda: firefox.evaluate("element.state") == "ended")
        assert firefox.evaluate("it.job.logs.map((line) => line.message)") == [
            "at 10", "at 42", "at 90",
        ]  # fmt: skip
        states = firefox.evaluate("states")
        assert (states[0], "reconnecting" in states, states[-1]) == ("live", True, "ended")
