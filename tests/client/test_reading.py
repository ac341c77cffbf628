"""Jobs read by the client and its async twin."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import livejobs
from livejobs.client.reader.sse import Event, Parser
from tests.client.cutting import Cutting
from tests.client.fake import Fake
from tests.support.api import Api
from tests.support.server import Server


@pytest.fixture
def client(api: Api) -> Any:
    with livejobs.Client() as reader:  # at LIVEJOBS_URL
        yield reader


def test_jobs_are_created_read_listed_and_cancelled(client: livejobs.Client) -> None:
    made = client.create("listed", title="one", tags=["t"])
    client.create("listed", title="two")
    assert client.get(made["id"])["title"] == "one"
    assert [job["title"] for job in client.list(type="listed", limit=1)] == ["two", "one"]
    assert [job["title"] for job in client.list(type="listed", status=["failed", "running"])] == []
    assert client.cancel(made["id"])["status"] == "cancelled"


def test_a_no_is_an_error_with_its_reason(client: livejobs.Client) -> None:
    with pytest.raises(livejobs.Refused, match="There is no job 'absent'") as found:
        client.get("absent")
    assert (found.value.status, found.value.code) == (404, "job_not_found")
    with livejobs.Client("http://127.0.0.1:9") as nobody:
        with pytest.raises(livejobs.Unreachable):
            nobody.get("x")
        with pytest.raises(livejobs.Unreachable):
            next(nobody.watch("x"))


def test_a_busy_server_is_both_a_no_and_away() -> None:
    full = {"detail": "The disk is full.", "code": "storage_unavailable"}
    with (
        Fake([(503, full)]) as fake,
        livejobs.Client(fake.url) as client,
        pytest.raises(livejobs.Unavailable) as found,
    ):
        client.get("x")
    assert isinstance(found.value, livejobs.Unreachable)
    assert found.value.code == "storage_unavailable"


def test_the_end_is_waited_for(client: livejobs.Client, api: Api) -> None:
    id = api.create()
    with pytest.raises(TimeoutError):
        client.wait(id, timeout=0.1)
    api.report(id, {"type": "succeed", "result": 1})
    assert client.wait(id)["result"] == 1


def test_states_are_watched_to_the_end(client: livejobs.Client, api: Api) -> None:
    id = api.create()
    seen = []
    for job in client.watch(id):
        seen.append(job["status"])
        if job["status"] == "queued":
            api.report(id, {"type": "progress", "current": 1})
        elif job["status"] == "running":
            api.report(id, {"type": "succeed"})
    assert seen == ["queued", "running", "succeeded"]
    assert [job["status"] for job in client.watch(id)] == ["succeeded"]


def test_watching_goes_on_when_the_server_comes_back(server: Server) -> None:
    with Api(server.url) as api:
        id = api.create()
    with livejobs.Client(server.url) as client:
        states = client.watch(id)
        assert next(states)["status"] == "queued"
        server.kill()
        server.restart()
        with Api(server.url) as api:
            api.report(id, {"type": "succeed"})
        assert [job["status"] for job in states][-1] == "succeeded"


def test_logs_are_read_and_followed(client: livejobs.Client, api: Api) -> None:
    id = api.create()
    for start in range(0, 2000, 1000):
        lines = [{"type": "log", "message": str(n)} for n in range(start, start + 1000)]
        api.report(id, *lines)
    api.report(id, {"type": "log", "message": "bad", "level": "error"})
    assert [line["message"] for line in client.logs(id, after=1998)] == ["1998", "1999", "bad"]
    assert [line["message"] for line in client.logs(id, level="error")] == ["bad"]
    assert len(list(client.logs(id))) == 2001
    assert [line["message"] for line in client.logs(id, tail=2)] == ["1999", "bad"]
    followed = client.logs(id, after=1999, follow=True)
    assert next(followed)["message"] == "1999"
    api.report(id, {"type": "log", "message": "new"}, {"type": "succeed"})
    assert [line["message"] for line in followed] == ["bad", "new"]


def test_followed_lines_come_once_through_cuts(api: Api) -> None:
    id = api.create()
    for start in range(0, 3000, 1000):
        api.report(id, *[{"type": "log", "message": str(n)} for n in range(start, start + 1000)])
    api.report(id, {"type": "succeed"})
    with (
        Cutting(str(api.base_url), [50_000, 100_000, 700]) as proxy,
        livejobs.Client(proxy.url) as client,
    ):
        found = [int(line["message"]) for line in client.logs(id, follow=True)]
    assert found == list(range(3000))


FILE = bytes(range(256)) * 8000


def a_file(api: Api, data: bytes = FILE) -> str:
    id = api.create()
    assert api.put(f"/v1/jobs/{id}/files/out.bin", content=data).status_code == 201
    return id


def test_a_download_goes_on_through_cuts(api: Api, tmp_path: Path) -> None:
    id = a_file(api)
    came: list[int] = []
    with (
        Cutting(str(api.base_url), [1_000_000, 300_000]) as proxy,
        livejobs.Client(proxy.url) as client,
    ):
        path = client.download(id, to=tmp_path, came=came.append)
    assert path == tmp_path / "out.bin"
    assert came == sorted(came)
    assert came[-1] == len(FILE)
    assert path.read_bytes() == FILE
    assert list(tmp_path.glob("*.part")) == []


def test_a_file_that_lies_elsewhere_is_downloaded(
    client: livejobs.Client, api: Api, tmp_path: Path
) -> None:
    id = api.create()
    elsewhere = {"name": "x", "url": f"{api.url}/openapi.json"}
    assert api.post(f"/v1/jobs/{id}/files", json=elsewhere).status_code == 201
    assert b'"openapi"' in client.download(id, to=tmp_path).read_bytes()


def test_events_of_many_jobs_come_in_one_stream(client: livejobs.Client, api: Api) -> None:
    id = api.create(type="feed")
    events = client.events(type="feed")
    assert next(events).value["id"] == id
    assert next(events).name == "ready"
    api.report(id, {"type": "succeed"})
    assert next(events).value["status"] == "succeeded"


@pytest.mark.parametrize(
    "part", [FILE[:100_000], FILE, b"wrong", b"x" * len(FILE), FILE + b"longer"]
)
def test_what_an_earlier_process_got_is_used_if_it_is_right(
    client: livejobs.Client, api: Api, tmp_path: Path, part: bytes
) -> None:
    id = a_file(api)
    (tmp_path / "mine.part").write_bytes(part)
    assert client.download(id, "out.bin", tmp_path / "mine").read_bytes() == FILE


def test_a_file_that_is_not_what_the_server_says_is_not_kept(tmp_path: Path) -> None:
    def answer(body: bytes) -> tuple[int, Any, dict[str, str]]:
        return 200, {"id": "j", "files": [{"name": "x"}]}, {"repr-digest": "sha-256=:AAAA:"}

    with (
        Fake(answer) as fake,
        livejobs.Client(fake.url) as client,
        pytest.raises(livejobs.Corrupt),
    ):
        client.download("j", to=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_hostile_name_stays_in_the_folder(tmp_path: Path) -> None:
    def answer(body: bytes) -> tuple[int, Any]:
        return 200, {"id": "j", "files": [{"name": "../../evil"}]}

    with Fake(answer) as fake, livejobs.Client(fake.url) as client:
        assert client.download("j", to=tmp_path) == tmp_path / "evil"
        with pytest.raises(livejobs.Refused, match="has no file 'other'"):
            client.download("j", "other", to=tmp_path)


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Api]:
    """A server with access control, asked by its administrator."""
    with (
        Server(tmp_path / "data", env={"LIVEJOBS_ADMIN_KEY": ADMIN}) as server,
        Api(server.url) as api,
    ):
        api.headers["authorization"] = f"Bearer {ADMIN}"
        yield api


ADMIN = "admin-key-of-tests"


def test_tokens_are_renewed(guarded: Api) -> None:
    id = guarded.create()
    made: list[str] = []

    def token() -> str:
        asked = {"scopes": ["view"], "ttl_seconds": 2 if len(made) < 2 else 60}
        answer = guarded.post("/v1/tokens", json=asked).json()
        made.append(answer["token"] if made else "bad")
        if len(made) > 2:  # the stream has ended with its token
            guarded.report(id, {"type": "succeed"})
        return made[-1]

    with livejobs.Client(guarded.url, token=token) as reader:
        assert reader.get(id)["id"] == id
        assert len(made) == 2
        assert [job["status"] for job in reader.watch(id)] == ["queued", "succeeded"]


async def test_the_async_client_does_the_same(api: Api, tmp_path: Path) -> None:
    id = a_file(api)
    # It reads certificates from disk, as every HTTPS client does.
    async with await asyncio.to_thread(livejobs.AsyncClient) as client:
        assert (await client.get(id))["status"] == "queued"
        assert id in [job["id"] async for job in client.list(limit=2)]
        waiting = asyncio.create_task(client.wait(id, 60))
        seen = []
        async for job in client.watch(id):
            seen.append(job["status"])
            if job["status"] == "queued":
                api.report(id, {"type": "log", "message": "x"})
            elif job["status"] == "running":
                api.report(id, {"type": "log", "message": "y"}, {"type": "succeed"})
        assert seen == ["queued", "running", "succeeded"]
        assert (await waiting)["status"] == "succeeded"
        assert [line["message"] async for line in client.logs(id)] == ["x", "y"]
        assert [line["message"] async for line in client.logs(id, follow=True)] == ["x", "y"]
        assert [line["message"] async for line in client.logs(id, tail=1)] == ["y"]
        events = [event.name async for event in client.events(id, logs=1)]
        assert events == ["message", "logs", "end"]
        came: list[int] = []
        path = await client.download(id, to=tmp_path, came=came.append)
        assert came[-1] == len(FILE)
        assert path.stat().st_size == len(FILE)
        other = await client.create("other")
        assert (await client.cancel(other["id"]))["status"] == "cancelled"
        with pytest.raises(livejobs.Refused):
            await client.get("absent")
        with pytest.raises(TimeoutError):
            await client.wait((await client.create())["id"], 0.1)


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0")), max_size=5),
       st.sampled_from(["\n", "\r\n", "\r"]), st.lists(st.integers(1, 7)))  # fmt: skip
def test_events_are_the_same_however_they_are_cut(
    texts: list[str], end: str, sizes: list[int]
) -> None:
    data = "".join(f"id: {n}{end}data: {text}{end}{end}" for n, text in enumerate(texts)).encode()
    data += f": comment{end}".encode()
    parser = Parser()
    found: list[Event] = []
    for size in sizes:
        found += parser.feed(data[:size])
        data = data[size:]
    found += parser.feed(data)
    assert [event.data for event in found] == texts
    assert [event.id for event in found] == list(map(str, range(len(texts))))
