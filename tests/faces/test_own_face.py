"""A face from another package, installed as a package and served by a real server."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest

from livejobs import LiveJobs, Settings, create_app
from livejobs.config import SettingError
from livejobs.faces.registry import BUILT_IN
from livejobs.faces.registry import installed as installed_faces
from tests.support.api import PROBLEM, Api
from tests.support.server import DidNotStart, Server

PACKAGE = Path(__file__).parents[2] / "examples" / "faces" / "replicate"
MODEL = {"model": "replicate/hello-world", "version": "5c7d", "input": {"text": "Alice"}}


def has_pip(python: str) -> bool:
    asked = subprocess.run([python, "-m", "pip", "--version"], capture_output=True, check=False)
    return asked.returncode == 0


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where pip has put it; pip may be that of another Python, as in scripts/setup."""
    folder = tmp_path_factory.mktemp("site")
    pip = next(python for python in (sys.executable, "python3") if has_pip(python))
    subprocess.run(
        [
            pip, "-m", "pip", "--python", sys.executable, "install", "--quiet", "--no-index",
            "--no-deps", "--no-build-isolation", "--no-compile", "--target", folder, PACKAGE,
        ],
        check=True, capture_output=True,
    )  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def api(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    environment = {"PYTHONPATH": str(installed), "LIVEJOBS_RATE_READ": "1000/s"}
    data = tmp_path_factory.mktemp("data")
    with Server(data, env=environment) as server, Api(server.url) as api:
        yield api


def prediction(api: Api, id: str, **headers: str) -> Any:
    answer = api.get(f"/v1/predictions/{id}", headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_prediction_goes_from_its_start_to_its_output(api: Api) -> None:
    id = api.create(meta=MODEL)
    starting = prediction(api, id)
    own = f"{api.url}/v1/predictions/{id}"
    assert starting == {
        "id": id,
        **MODEL,
        "output": None,
        "error": None,
        "status": "starting",
        "created_at": api.job(id)["created_at"],
        "started_at": None,
        "completed_at": None,
        "logs": "",
        "metrics": {},
        "urls": {
            "get": own,
            "cancel": f"{own}/cancel",
            "stream": f"{api.url}/v1/jobs/{id}/events",
        },
    }
    api.report(id, {"type": "log", "message": "loading"}, {"type": "result", "value": "hello"})
    processing = prediction(api, id)
    assert (processing["status"], processing["logs"]) == ("processing", "loading")
    assert processing["output"] == ["hello"]
    api.report(id, {"type": "succeed", "result": "hello Alice"})
    done = prediction(api, id)
    assert (done["status"], done["output"], done["error"]) == ("succeeded", "hello Alice", None)
    job = api.job(id)
    assert done["metrics"] == {"predict_time": job["timing"]["run_seconds"]}
    assert (done["started_at"], done["completed_at"]) == (job["started_at"], job["completed_at"])


@pytest.mark.parametrize("prefer", ["wait", "wait=30", "respond-async, wait=30"])
def test_prefer_wait_is_answered_at_the_end(api: Api, prefer: str) -> None:
    id = api.create()
    api.report(id, {"type": "start"})

    def finish() -> None:
        with Api(api.url) as other:  # while the other waits, or before it came: it is the same
            other.report(id, {"type": "fail", "message": "no GPU"})

    worker = threading.Thread(target=finish)
    worker.start()
    said = prediction(api, id, prefer=prefer)
    worker.join()
    assert (said["status"], said["error"]) == ("failed", "no GPU")


def test_a_wait_that_ends_too_early_shows_what_there_is(api: Api) -> None:
    id = api.create()
    assert prediction(api, id, prefer="wait=1")["status"] == "starting"


def test_a_prediction_is_canceled(api: Api) -> None:
    queued, running = api.create(), api.create()
    api.report(running, {"type": "start"})
    assert api.post(f"/v1/predictions/{queued}/cancel").json()["status"] == "canceled"
    assert api.post(f"/v1/predictions/{running}/cancel").json()["status"] == "processing"
    assert api.job(running)["cancel_requested"]
    again = api.post(f"/v1/predictions/{queued}/cancel")
    assert (again.status_code, again.json()["status"]) == (200, "canceled")


def test_errors_have_its_own_shape(api: Api) -> None:
    missing = api.get("/v1/predictions/none")
    why = "The requested resource could not be found."
    assert missing.json() == {"title": "Not found", "detail": why, "status": 404}
    wrong = api.delete("/v1/predictions/none")
    assert (wrong.status_code, wrong.json()["status"]) == (405, 405)


def test_it_is_in_the_openapi_document_beside_those_built_in(api: Api) -> None:
    paths = api.get("/openapi.json").json()["paths"]
    assert {"/v1/predictions/{id}", "/v1/predictions/{id}/cancel", "/api/jobs/{id}"} <= {*paths}


def test_it_can_be_turned_off_by_its_name(installed: Path, tmp_path: Path) -> None:
    environment = {"PYTHONPATH": str(installed)}
    with Server(tmp_path, "--faces", "tasks", env=environment) as server:
        assert httpx.get(f"{server.url}/v1/predictions/none").headers["content-type"] == PROBLEM
        assert httpx.get(f"{server.url}/api/tasks/none/status/").json() == {
            "error": "Task not found"
        }


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Where a package is installed that brings a face by the name of `other`."""
    about = tmp_path / "site" / "other-1.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: other\nVersion: 1\n")
    (about / "entry_points.txt").write_text("[livejobs.faces]\nother = other:FACE\n")
    return about.parent


TAKEN = """
from livejobs.faces.base import Face, Way
FACE = Face("other", (Way({path!r}, ""),), lambda error, id: {{}})
"""


ALL = ["other", *BUILT_IN]  # the package first, so that the order is no excuse
UNDER = """
from livejobs.faces.base import Face, Way
FACE = Face("other", (Way("{0}/x", ""),), lambda error, id: {{}}, prefix="{0}")
"""


@pytest.fixture
def importable(site: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The package is installed for this process."""
    monkeypatch.syspath_prepend(site)
    installed_faces.cache_clear()
    yield site
    installed_faces.cache_clear()
    sys.modules.pop("other", None)


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("FACE = 'not one'", "other:FACE is not a Face"),
        ("import nothing_there", "can't be loaded: ModuleNotFoundError: No module"),
        ("FAC = 1", "can't be loaded: AttributeError"),
        (TAKEN.format(path="/v1/jobs/{job}"), "its address /v1/jobs/{job} is already in use"),
        (TAKEN.format(path="/api/jobs/{it}"), "its address /api/jobs/{it} is already in use"),
        (UNDER.format("/v1/jobs"), "its prefix /v1/jobs is already in use"),
        (UNDER.format("/ogc/other"), "its address /ogc/other/x is already in use"),
        (UNDER.format("/operations"), "its prefix /operations is already in use"),
    ],
)
def test_a_package_that_is_broken_makes_no_app(importable: Path, code: str, why: str) -> None:
    (importable / "other.py").write_text(code)
    live = LiveJobs(Settings(data=importable.parent / "data", faces=tuple(ALL)))
    with pytest.raises(SettingError, match=re.escape(f"faces (other): {why}")):
        create_app(live)


def test_a_package_that_is_broken_stops_the_start(site: Path) -> None:
    (site / "other.py").write_text("FACE = 'not one'")
    environment = {"PYTHONPATH": str(site), "LIVEJOBS_FACES": ",".join(ALL)}
    with pytest.raises(DidNotStart, match=r"livejobs: faces \(other\): other:FACE is not a Face"):
        Server(site.parent / "data", env=environment)


def test_a_package_that_is_not_asked_for_is_not_loaded(site: Path) -> None:
    environment = {"PYTHONPATH": str(site)}
    with Server(site.parent / "data", "--faces", "render", env=environment):
        pass


PREFIXED = """
from starlette.responses import Response
from livejobs.faces.base import Face, Way, all_of, everybody
from livejobs.web.documents.parameters import Parameter
from livejobs.web.documents.schemas import TEXT

def shape(head, around):
    return {"status": head.status}

async def longer(call):
    slot = await call.job()
    return call.json({**await call.seen(slot, shape), "asked": dict(call.request.query_params)})

async def head(call):
    return Response(headers={"x-status": (await call.job()).head.status})

async def card(call):
    return call.json({"name": "other"})

def refusal(error, id):
    return {"why": error.code}

def refusal_to(error, request):
    return {"why": error.code, "at": request.url.path}

ASKED = (Parameter("more", TEXT, "More."),)
FACE = Face(
    "other",
    (
        Way("/other/{job}", "", shape, handler=longer, returns=dict[str, str], query=ASKED),
        Way("/other/{job}", "", handler=head, method="HEAD"),
        Way("/other/in/{place}/{job}", "", shape, job="job", project="place", returns=dict),
        Way("/.well-known/other.json", "", handler=card, job="", public=everybody, returns=dict),
    ),
    refusal,
    prefix="/other",
    media_type="application/other+json",
    error_type="application/other-error+json",
    statuses={404: 410},
    refusal_to=refusal_to,
)
"""


def test_a_face_has_all_that_lies_below_its_prefix(site: Path) -> None:
    (site / "other.py").write_text(PREFIXED)
    environment = {
        "PYTHONPATH": str(site),
        "LIVEJOBS_FACES": "other",
        "LIVEJOBS_ADMIN_KEY": "the-first-admin-key",
    }
    with Server(site.parent / "data", env=environment) as server, Api(server.url) as api:
        assert api.get("/.well-known/other.json").json() == {"name": "other"}
        assert api.get("/other/j").json() == {"why": "unauthorized", "at": "/other/j"}
        api.headers["x-api-key"] = "the-first-admin-key"
        api.create(id="j", project="films")
        answer = api.get("/other/j")
        assert answer.headers["content-type"] == "application/other+json"
        assert answer.json() == {"status": "queued"}
        known = {"if-none-match": answer.headers["etag"]}
        assert api.get("/other/j", headers=known).status_code == 304
        # A query may ask for another shape, so the answer that is kept does not do.
        asked = api.get("/other/j?more=1", headers=known)
        assert asked.json() == {"status": "queued", "asked": {"more": "1"}}
        assert api.head("/other/j").headers["x-status"] == "queued"
        for place, status in (("films", 200), ("films", 200), ("default", 410)):
            assert api.get(f"/other/in/{place}/j").status_code == status
        for path in ("/other", "/other/", "/other/a/b"):
            nothing = api.get(path)
            assert nothing.status_code == 410
            assert nothing.headers["content-type"] == "application/other-error+json"
            assert nothing.json() == {"why": "not_found", "at": path}
        wrong = api.post("/other/j")
        assert (wrong.status_code, wrong.headers["allow"]) == (405, "GET, HEAD")
        document = api.get("/openapi.json").json()["paths"]
        assert {"get", "head"} == document["/other/{job}"].keys()
        assert "410" in document["/other/{job}"]["get"]["responses"]


def test_a_face_with_a_prefix_is_off_unless_it_is_named(site: Path) -> None:
    (site / "other.py").write_text(PREFIXED)
    with Server(site.parent / "data", env={"PYTHONPATH": str(site)}) as server:
        for path in ("/other/j", "/.well-known/other.json"):
            assert httpx.get(server.url + path).headers["content-type"] == PROBLEM


def test_a_package_cannot_take_the_name_of_a_face_there_is(site: Path) -> None:
    points = site / "other-1.dist-info" / "entry_points.txt"
    points.write_text("[livejobs.faces]\ntasks = other:FACE\n")
    with pytest.raises(DidNotStart, match=r"faces \(tasks\): has the name of a built-in face"):
        Server(site.parent / "data", env={"PYTHONPATH": str(site)})
