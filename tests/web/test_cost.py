"""What a request costs is in proportion to its bytes, whatever the job is like.

Work is compared with like work on the same machine, and the bounds are ten times what is needed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livejobs import LiveJobs, Settings, create_app
from livejobs.core import reducer
from livejobs.core import reports as say
from livejobs.core.access import ANONYMOUS
from livejobs.core.errors import BadJson, HeadTooLarge, LivejobsError
from livejobs.core.model import Head, encode_head
from livejobs.store.base import Change, Query
from livejobs.store.memory import MemoryStore
from livejobs.store.sqlite.store import SqliteStore
from livejobs.web import http
from tests.support.examples import examples
from tests.support.strategies import wire_reports

BOUNDS = say.Bounds()
MANY = 1000


def cpu(work: Callable[[], Any]) -> float:
    """Seconds of CPU, the least of three tries."""

    def once() -> float:
        begun = time.process_time()
        work()
        return time.process_time() - begun

    return min(once() for _ in range(3))


def refused(body: bytes) -> None:
    with pytest.raises(BadJson):
        say.decode_body(body, BOUNDS)


def test_a_long_name_in_a_body_that_is_not_json_costs_no_more_than_a_short_one() -> None:
    def body(name: bytes, beside: bytes) -> bytes:
        numbers = b",".join([b"0"] * 200_000)
        return b'\xef\xbb\xbf{"type":"meta","set":{"%s":[%s],"x":"%s"}}' % (name, numbers, beside)

    long, short = body(b"k" * 400_000, b""), body(b"k", b"k" * 399_999)
    assert cpu(lambda: refused(long)) < 10 * cpu(lambda: refused(short))


def test_the_pointer_into_a_body_that_is_not_json_names_the_whole_path() -> None:
    with pytest.raises(BadJson) as caught:
        say.decode_body(b'{"type":"meta","set":{"a/b":[{},{"c":[0,NaN]}]}}', BOUNDS)
    assert caught.value.errors[0].pointer == "/set/a~1b/1/c/1"


def running(**fields: Any) -> Head:
    new = msgspec.convert(fields, say.NewJob)
    head = reducer.create(new, id="a", project="default", owner="o", now=1)
    return reducer.fold(head, [say.Start()], 2).head


def steps(n: int) -> list[dict[str, Any]]:
    # Without weight, so that nothing is made of them that a later report could use again.
    return [{"name": f"step {at:05}", "weight": 0} for at in range(n)]


STEP = say.Step(name="step 00001", status="running")
BATCHES: dict[str, tuple[Callable[[int], Head], list[say.AnyReport]]] = {
    "meta": (lambda n: running(meta={f"k{at}": 0 for at in range(n)}), [say.Meta(set={})]),
    "step": (lambda n: running(steps=steps(n)), [STEP]),
    "a step of each attempt": (lambda n: running(steps=steps(n)), [STEP, say.Retry()]),
    "progress": (lambda n: running(steps=steps(n)), [say.Progress(message="m")]),
    "count": (
        lambda n: (
            reducer.fold(running(), [say.Count(counters={f"c{at}": 1 for at in range(n)})], 3).head
        ),
        [say.Count(counters={"c1": 1})],
    ),
    "producers": (
        lambda n: (
            reducer.fold(
                running(), [say.Log(message="", producer=f"p{at}", n=1) for at in range(n)], 3
            ).head
        ),
        [say.Log(message="", producer=f"p{n}", n=2) for n in range(2)],
    ),
}


@pytest.mark.parametrize("name", BATCHES)
def test_a_batch_costs_the_same_on_a_large_head_as_on_a_small_one(name: str) -> None:
    make, reports = BATCHES[name]
    large, small = make(5000), make(2)
    batch = reports * (MANY // len(reports))

    def fold(head: Head) -> Callable[[], Any]:
        return lambda: reducer.fold(head, batch, 4)

    once = cpu(lambda: encode_head(large))
    assert cpu(fold(large)) < 10 * (cpu(fold(small)) + once)


def test_steps_in_one_batch_are_applied_as_if_sent_one_by_one() -> None:
    head = running(steps=["a", "b"])
    reports: list[say.AnyReport] = [
        say.Step(name="c", title="C"),
        say.Step(name="b", status="succeeded"),
        say.Retry(),
        say.Step(name="d"),
        say.Step(name="a", current=1, total=2),
        say.Step(name="d", status="failed"),
        say.Succeed(),
    ]
    alone = head
    for report in reports:
        alone = reducer.fold(alone, [report], 5).head
    assert reducer.fold(head, reports, 5).head.steps == alone.steps
    assert [step.name for step in alone.steps] == ["a", "b", "d"]


# How large a head is


@given(st.lists(st.lists(wire_reports, min_size=1, max_size=3), max_size=8))
@settings(max_examples=examples(30), deadline=None)
async def test_a_head_is_never_larger_than_its_estimated_size(said: list[list[Any]]) -> None:
    async with LiveJobs(Settings(data=Path("unused")), store=MemoryStore()) as live:
        job = await live.create(meta={"k": 1}, steps=["a"])
        slot = await live.find(job.id)
        for reports in said:
            with suppress(LivejobsError):  # some come after the end
                await job.report(*reports)
            known, size = slot.measured
            assert known is not slot.head or len(encode_head(slot.head)) <= size


async def test_a_head_is_measured_once_and_then_only_when_it_may_be_full() -> None:
    own = Settings(data=Path("unused"), max_head_bytes=20_000)
    async with LiveJobs(own, store=MemoryStore()) as live:
        job = await live.create(meta={"large": "x" * 10_000})
        slot = await live.find(job.id)
        await job.meta(a=1)
        assert slot.measured == (slot.head, len(encode_head(slot.head)))
        await job.meta(a=2)
        assert slot.measured[0] is slot.head
        assert slot.measured[1] > len(encode_head(slot.head))
        with pytest.raises(HeadTooLarge):
            await job.meta(b="x" * 10_000)
        for _ in range(3):  # each may have been too much, as far as was known, and was not
            await job.meta(b="x" * 9_000)
        assert slot.head.meta == {"large": "x" * 10_000, "a": 2, "b": "x" * 9_000}


async def test_of_many_lines_those_before_the_one_that_fills_the_head_are_kept() -> None:
    own = Settings(data=Path("unused"), max_head_bytes=20_000)
    async with LiveJobs(own, store=MemoryStore()) as live:
        job = await live.create()
        slot = await live.find(job.id)
        lines = [say.Meta(set={f"k{at}": "x" * 100}) for at in range(MANY)]
        batch = await live.reporting.apply_lines(slot, lines)
        assert len(encode_head(slot.head)) <= 20_000
        assert len(slot.head.meta) == batch.kept == batch.receipt.accepted
        assert isinstance(batch.refused, HeadTooLarge)
        assert batch.refused.errors[0].pointer == "/set"
        next_ = reducer.fold(slot.head, [lines[batch.kept]], slot.head.updated_at)
        assert len(encode_head(next_.head)) > 20_000


async def test_lines_that_end_badly_cost_no_more_than_those_that_end_well() -> None:
    async with LiveJobs(Settings(data=Path("unused")), store=MemoryStore()) as live:
        head = running(meta={f"k{at:05}": 0 for at in range(9000)})
        slot = await live.find((await live.create()).id)
        good: list[say.AnyReport] = [say.Meta(set={"a": 1}) for _ in range(MANY)]
        bad = [*good[2:], say.Succeed(), say.Start()]
        fold = live.reporting._fold_lines

        def after(reports: list[say.AnyReport]) -> int:
            return fold(slot, head, reports, 5)[1]

        assert (after(good), after(bad)) == (MANY, MANY - 1)
        # Halving asks ten times or so.
        assert cpu(lambda: after(bad)) < 10 * 12 * cpu(lambda: after(good))


# Bodies


APP: Final = create_app(LiveJobs(Settings(data=Path("unused")), store=MemoryStore()))
SCOPE: Final = {"type": "http", "headers": [], "app": APP, http.PRINCIPAL: ANONYMOUS}


async def arrive(first: int, pieces: int) -> bytes:
    """A body of one large piece and many of one byte."""
    sizes = iter([first, *[1] * pieces])

    async def receive() -> dict[str, Any]:
        size = next(sizes, None)
        return {"type": "http.request", "body": bytes(size or 0), "more_body": size is not None}

    return await http.read_body(SCOPE, receive, 1 << 20)


def test_a_body_in_small_pieces_costs_no_more_behind_a_large_one() -> None:
    def read(first: int) -> Callable[[], Any]:
        return lambda: asyncio.run(arrive(first, 20_000))

    assert len(read(1000)()) == 21_000
    assert cpu(read(1_000_000)) < 10 * cpu(read(1))


# Searching


async def test_a_long_text_costs_no_more_than_a_short_one_even_in_titles_of_one_letter(
    tmp_path: Path,
) -> None:
    store = SqliteStore(tmp_path / "livejobs.db")
    await store.open()
    await store.project("default")
    heads = [msgspec.structs.replace(running(title="a" * 1000), id=f"j{n}") for n in range(1000)]
    await store.commit([Change(None, head) for head in heads])

    async def searched(text: str) -> float:
        begun = time.process_time()
        for _ in range(3):
            counts = await store.counts(Query(None, q=text))
            assert counts["running"] == 1000
        return time.process_time() - begun

    assert await searched("a" * 200) < 10 * await searched("a" * 3)
    await store.close()
