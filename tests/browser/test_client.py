"""The browser client stands alone: importing it loads nothing else and leaves the page as it is."""

from __future__ import annotations

import gzip
import json
import shutil
import subprocess
from pathlib import Path

from livejobs.web.pages.assets import static_dir
from tests.browser.conftest import Opener
from tests.support.api import Api
from tests.support.needs import need
from tests.support.server import Server

STATIC = static_dir()
MINIFY = Path(__file__).parents[1] / "interop" / "minify.mjs"
EXPORTS = {"BASE", "KEPT", "apply", "Jobs", "newestFirst", "watch"}


def test_the_client_loads_no_other_file_and_changes_no_page(shared: Server, visit: Opener) -> None:
    page = visit(f"{shared.url}/docs")
    loaded, same = page.evaluate(
        """async () => {
          const before = [document.documentElement.outerHTML, Object.keys(window).join()];
          performance.clearResourceTimings();
          await import("/static/livejobs.js?alone");  // the page may have loaded it already
          const after = [document.documentElement.outerHTML, Object.keys(window).join()];
          const files = performance.getEntriesByType("resource").map((it) => it.name);
          return [files, String(before) === String(after)];
        }"""
    )
    assert (loaded, same) == ([f"{shared.url}/static/livejobs.js?alone"], True)


def test_the_client_loads_where_there_is_no_document() -> None:
    node = shutil.which("node")
    need(node, "node is not installed")
    program = f"""
      const client = await import({json.dumps((STATIC / "livejobs.js").as_uri())});
      console.log(JSON.stringify(Object.keys(client)));
    """
    command = [str(node), "--input-type=module", "--eval", program]
    answer = subprocess.run(command, check=True, capture_output=True, text=True)
    assert set(json.loads(answer.stdout)) >= EXPORTS


def test_the_client_watches_jobs_where_there_is_no_document(shared: Server) -> None:
    node = shutil.which("node")
    need(node, "node is not installed")
    with Api(shared.url) as api:
        ids = [api.create(title=f"Watched {n}") for n in range(3)]
        for id in ids:
            api.report(id, {"type": "succeed"})
    program = f"""
      const {{ watch }} = await import({json.dumps((STATIC / "livejobs.js").as_uri())});
      const onState = (state) => console.log(state);
      const onChange = (job) => console.log(job.title, job.status);
      for (const id of {json.dumps(ids)})
        watch(id, {{ url: {json.dumps(shared.url)}, onChange, onState }});
    """
    command = [str(node), "--input-type=module", "--eval", program]
    answer = subprocess.run(command, check=True, capture_output=True, text=True, timeout=90)
    lines = answer.stdout.splitlines()
    assert lines.count("ended") == len(ids)
    assert {f"Watched {n} succeeded" for n in range(len(ids))} <= set(lines)


def test_the_client_has_at_most_eight_kilobytes() -> None:
    assert len(gzip.compress((STATIC / "livejobs.js").read_bytes(), 9)) <= 8192


def test_the_client_is_made_from_its_source() -> None:
    node = shutil.which("node")
    need(node, "node is not installed")
    command = [str(node), str(MINIFY), str(STATIC / "src" / "livejobs.js")]
    made = subprocess.run(command, check=True, capture_output=True, text=True)
    assert made.stdout == (STATIC / "livejobs.js").read_text(), "run scripts/minify"
