"""Jobs go from a database to a folder and into another database, and stay as they were."""

from __future__ import annotations

import json
import tempfile
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw
from msgspec.structs import replace

from livejobs.copies import exporting
from livejobs.copies.errors import Damaged
from livejobs.copies.folder import Folder
from livejobs.copies.incoming import importing
from livejobs.copies.lines import HookLine, JobLine, PieceWriter, read
from livejobs.copies.snapshots.choice import snapshot_of
from livejobs.core.hooks import Call, Hook
from livejobs.core.model import Entry, Failure, Head, HookRef, Kept, Progress, Question, Step
from livejobs.store.audit import AuditRecord
from livejobs.store.base import Change, EntryQuery, Query, Store
from livejobs.store.choice import store_of
from livejobs.store.files import Tally
from livejobs.store.keys import Key
from tests.copies.places import T0, Place, Unwatched, done, file, hook, job, logs
from tests.support.postgres import EMPTY, Postgres
from tests.support.strategies import json_values, objects, texts

NASTY = "\0 \u2028 \x1b[2J 'quote\" \U0001f600 \ufffe"


def copy(source: Place, folder: Path, target: Place, *options: str) -> None:
    for place, command in ((source, "export"), (target, "import")):
        ended = place.run(command, str(folder), *options)
        assert (ended.exit_code, "Traceback" in ended.stderr) == (0, False), ended.stderr


def fill(place: Place) -> None:
    film, notes = b"film" * 1000, b""
    files = (
        file(1, film),
        file(2, notes, "notes — ünïcode.txt"),
        replace(file(3, b"x"), path="/srv/out.bin", sha256=None),
        replace(file(4, b"x"), url="https://example.com/a", sha256=None, size=None),
    )
    errors = [Entry("errors", n, 0, Raw(b'{"n":%d}' % n)) for n in (1, 2)]
    place.fill(
        [
            (done("a", files=files, logs_total=3, errors_total=2), [*logs(3), *errors]),
            (job("waiting", project="films", tags=("x", NASTY), parent="a"), []),
            (
                job(
                    "b",
                    status="running",
                    started_at=T0 + 1,
                    stalled=True,
                    title=NASTY,
                    meta={NASTY: [1, 2.5, None, {"a": 2**64 - 1}]},
                    steps=(Step(NASTY, weight=0.1),),
                    progress=Progress(reported=3, message=NASTY),
                    waiting=Question(1, "Publish?", T0, {"type": "boolean"}),
                    producers={"p": 7},
                    attempt=2,
                ),
                [],
            ),
            (done("c", status="failed", error=Failure("no", "lost", [NASTY]), expires_at=T0), []),
        ]
    )
    place.keep(files[0].key, film)
    place.keep(files[1].key, notes)

    async def more(store: Store) -> None:
        await store.downloaded({files[0].key: Tally(3, T0), files[3].key: Tally(1, T0)}, [])
        acts = [AuditRecord(T0 + n, "key:ci", "download", job="a") for n in (1, 1, 2)]
        for n in range(2):
            key = Key(f"k{n}", "ci", b"\0\xff" * 16, ("view",), None, T0)
            await store.save_key(key, AuditRecord(T0, "operator", "key.create"))
        await store.add_audit(acts)
        for n in (2, 1):  # they keep their order
            await store.save_hook(hook(n), AuditRecord(T0, "operator", "webhook.create"))
        old = {"old_secret": "whsec_0", "old_until": T0 + 1}
        await store.save_hook(hook(3, ended_at=T0, ended="The receiver answered 410.", **old))

    place.use(more)


def test_a_job_without_its_oldest_lines_moves_as_it_is(tmp_path: Path) -> None:
    """Some lines that were removed may still be in the source: they are left there."""
    source, target = Place(tmp_path / "source"), Place(tmp_path / "target")
    kept = {"logs": Kept(40, ((45, 100), (50, 100)))}
    source.fill([(job("a", logs_total=50, kept=kept), logs(50)), (job("b"), [])])
    for _ in range(2):  # the second time, everything is there
        copy(source, tmp_path / "export", target)
    head, entries = target.jobs()["a"]
    assert head == source.jobs()["a"][0]
    assert [n for _, n, _, _ in entries] == list(range(41, 51))
    counted = source.run("export", str(tmp_path / "x"), "--dry-run").stdout
    assert "\t10\t0\t0" in counted  # entries, files, bytes


def test_everything_survives_the_way_to_postgresql_and_back(
    postgres: Postgres, tmp_path: Path
) -> None:
    first = Place(tmp_path / "first")
    second = Place(tmp_path / "second", postgres.database("copied"))
    third = Place(tmp_path / "third")
    fill(first)
    copy(first, tmp_path / "export", second)
    copy(second, tmp_path / "again", third)
    assert second.run("import", str(tmp_path / "export")).exit_code == 0  # changes nothing
    was = first.everything()
    assert second.everything() == third.everything() == was
    assert len(was["files"]) == 2
    epochs = [place.use(epoch) for place in (first, second, third)]
    assert len(set(epochs)) == 3


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_a_snapshot_stays_as_it_is_while_a_server_writes(
    request: pytest.FixtureRequest, tmp_path: Path, kind: str
) -> None:
    sqlite = kind == "sqlite"
    url = None if sqlite else request.getfixturevalue("postgres").database("snapshot")
    store = store_of(tmp_path, url)
    await store.open()
    await store.project("default")
    await store.commit([Change(None, job("a"))])
    async with snapshot_of(tmp_path, url) as snapshot:
        await store.commit([Change(None, job("b")), Change(job("a"), None)])
        for _ in range(2):
            page = await snapshot.list(Query(None), limit=10)
            assert [stored.head.id for stored in page.jobs] == ["a"]
            assert await snapshot.entries(EntryQuery("a", "logs")) == []
            assert (await snapshot.counts(Query(None)))["queued"] == 1
    await store.close()


def test_what_was_revoked_or_deleted_does_not_come_back(tmp_path: Path) -> None:
    source, target = Place(tmp_path / "source"), Place(tmp_path / "target")
    fill(source)
    copy(source, tmp_path / "export", target)

    async def revoke(store: Store) -> None:
        act = AuditRecord(T0, "operator", "key.revoke", detail={"key": "k0"})
        await store.drop_key("k0", act)
        gone = hook(1).id
        act = AuditRecord(T0, "key:ci", "webhook.delete", detail={"webhook": gone})
        await store.drop_hook(gone, act)

    target.use(revoke)
    was = target.everything()
    assert [key.id for key in was["keys"]] == ["k1"]
    assert was["hooks"] == [it for it in source.everything()["hooks"] if it.id != hook(1).id]
    assert target.run("import", str(tmp_path / "export")).exit_code == 0
    assert target.everything() == was


def test_keys_stay_away_if_they_are_not_wanted(tmp_path: Path) -> None:
    source, target = Place(tmp_path / "source"), Place(tmp_path / "target")
    fill(source)
    assert source.run("export", str(tmp_path / "export")).exit_code == 0
    assert target.run("import", str(tmp_path / "export"), "--no-keys").exit_code == 0
    was = source.everything()
    assert target.everything() == was | {"keys": [], "hooks": [], "audit": []}


def test_webhooks_and_their_secrets_are_left_out_if_they_are_not_wanted(tmp_path: Path) -> None:
    source, target = Place(tmp_path / "source"), Place(tmp_path / "target")
    fill(source)
    folder = tmp_path / "export"
    assert source.run("export", str(folder)).exit_code == 0
    assert "whsec_1" in (folder / "webhooks.ndjson").read_text()
    assert source.run("export", str(folder), "--no-webhooks").exit_code == 0
    assert not any("whsec_" in it.read_text() for it in folder.glob("*.*"))
    assert target.run("import", str(folder)).exit_code == 0
    assert target.everything() == source.everything() | {"hooks": []}


def test_a_webhook_that_is_there_stays_as_it_is(tmp_path: Path) -> None:
    """Its secret may have been rotated there."""
    source, target = Place(tmp_path / "source"), Place(tmp_path / "target")
    fill(source)
    copy(source, tmp_path / "export", target)
    target.use(lambda store: store.save_hook(hook(1, secret="whsec_new")))
    was = target.everything()
    assert target.run("import", str(tmp_path / "export")).exit_code == 0
    assert target.everything() == was


def test_files_that_are_gone_or_damaged_at_their_source_are_left_out(tmp_path: Path) -> None:
    source, target = Place(tmp_path / "source"), Place(tmp_path / "target")
    gone, whole, damaged = (file(n, b"bytes", f"{n}.mp4") for n in (1, 2, 3))
    source.fill([(done("a", files=(gone, whole)), [])])
    source.keep(whole.key, b"bytes")
    ended = source.run("export", str(tmp_path / "export"))
    assert f"The file '1.mp4' (key {gone.key}) has no bytes at its source" in ended.stderr
    assert ended.exit_code == 0
    source.fill([(done("b", files=(damaged,)), [])])
    source.keep(damaged.key, b"BYTES")
    ended = source.run("export", str(tmp_path / "export"))
    assert ended.exit_code == 1
    assert "damaged at their source were left out: 1. The rest is complete" in ended.stderr
    assert target.run("import", str(tmp_path / "export")).exit_code == 0
    assert target.everything() == source.everything() | {"files": {whole.key: b"bytes"}}


async def epoch(store: Store) -> str:
    return (await store.project("default")).epoch


def test_the_history_counts_each_move_of_a_job_at_its_time(tmp_path: Path) -> None:
    source, target = Place(tmp_path / "source"), Place(tmp_path / "target")
    hour = 3_600_000
    late = done("late", started_at=T0 + hour, completed_at=T0 + 2 * hour, updated_at=T0 + 2 * hour)
    source.fill([(late, [])])
    copy(source, tmp_path / "export", target)
    steps = target.everything()["history"]
    began = T0 - T0 % hour
    created, queued, running, succeeded = 5, 0, 1, 2
    assert steps[began] == {created: 1, queued: 1}
    assert steps[began + hour] == {queued: -1, running: 1}
    ended = steps[began + 2 * hour]
    assert (ended[running], ended[succeeded]) == (-1, 1)


# Any head and any entries


def heads() -> st.SearchStrategy[list[Head]]:
    fields: dict[str, Any] = {
        "title": st.none() | texts,
        "type": st.none() | texts,
        "meta": objects,
        "result": json_values,
        "counters": st.dictionaries(texts, st.integers(-(2**53), 2**53) | st.floats(-1, 1)),
        "tags": st.lists(texts, max_size=3, unique=True).map(tuple),
        "status": st.sampled_from(["queued", "running", "failed"]),
        "started_at": st.none() | st.just(T0 + 7),
        "logs_total": st.integers(0, 3),
    }
    project = st.sampled_from(["default", "films"])
    numbers = count(1)
    one = st.fixed_dictionaries({"project": project}, optional=fields).map(
        lambda drawn: job(f"j{next(numbers)}", **drawn)
    )
    return st.lists(one, max_size=4)


@pytest.fixture(scope="module")
def database(postgres: Postgres) -> str:
    return postgres.database("any")


@settings(max_examples=5)
@given(heads(), st.lists(json_values, min_size=3, max_size=3))
def test_any_head_and_any_value_survive(
    postgres: Postgres, database: str, found: list[Head], values: list[Any]
) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        places = Place(folder / "a"), Place(folder / "b", database), Place(folder / "c")
        lines = [
            Entry("logs", n, n, Raw(json.dumps(value, ensure_ascii=bool(n % 2)).encode()))
            for n, value in enumerate(values, 1)
        ]
        places[0].fill([(head, lines[: head.logs_total]) for head in found])
        places[1].use(epoch)  # creates the tables
        postgres.execute(EMPTY, database="any")
        for source, target in pairwise(places):
            export = Folder(folder / target.data.name / "export")
            exporting.export(source.settings, export, Unwatched(), leave_files=False)
            importing.import_jobs(target.settings, export, Unwatched(), importing.Choice())
        was = places[0].everything()["jobs"]
        assert [place.everything()["jobs"] for place in places[1:]] == [was, was]


def test_an_export_has_no_webhooks_of_jobs(tmp_path: Path) -> None:
    """A copy of a job would send its events a second time."""
    source, target = Place(tmp_path / "source"), Place(tmp_path / "target")
    its = Hook("wh_1", "default", "https://a.example/x", ("finished",), "standard", T0, "key:ci",
                "a", "whsec_hidden")  # fmt: skip
    head = job("a", hooks=(its.ref,))
    calls = (Call(its.id, "created", "https://a.example:443"),)

    async def begin(store: Store) -> None:
        await store.project("default")
        await store.commit([Change(None, head, calls=calls, hooks=(its,))])

    source.use(begin)
    copy(source, tmp_path / "export", target)
    texts = [path.read_text() for path in (tmp_path / "export").iterdir() if path.is_file()]
    assert texts
    assert not any("wh_1" in text or "whsec_" in text for text in texts)

    async def look(store: Store) -> None:
        found = await store.job("a") or pytest.fail("it was copied")
        assert found.head == replace(head, hooks=())
        assert [*await store.hooks("a")] == []
        assert [*await store.waiting({}, limit=9)] == []

    target.use(look)


def test_an_export_of_others_brings_no_webhooks_of_jobs(tmp_path: Path) -> None:
    head = job("a", hooks=(HookRef("wh_1", ("finished",), "https://a.example:443"),))
    with PieceWriter(tmp_path, "piece") as writer:
        writer.write(JobLine(head))
        piece = writer.finish()
    [(line, _)] = read(tmp_path, piece)
    assert line == JobLine(replace(head, hooks=()))


@pytest.mark.parametrize(
    "wrong", [{"job": "a"}, {"project": "../x"}, {"id": "wh_1"}, {"id": "../" + 24 * "0"}]
)
def test_a_webhook_that_no_server_made_is_damage(tmp_path: Path, wrong: dict[str, str]) -> None:
    with PieceWriter(tmp_path, "piece") as writer:
        writer.write(HookLine(replace(hook(1), **wrong)))
        piece = writer.finish()
    with pytest.raises(Damaged, match="not a webhook of a project"):
        list(read(tmp_path, piece))
