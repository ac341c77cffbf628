"""What a head may hold."""

from __future__ import annotations

from pathlib import Path

import pytest

from livejobs.core import reports as say
from livejobs.core.errors import HeadTooLarge
from livejobs.store.memory import MemoryStore
from tests.service.over import over


async def test_a_head_has_a_bound_and_a_report_past_it_changes_nothing(tmp_path: Path) -> None:
    async with over(MemoryStore(), tmp_path, max_head_bytes=2000) as live:
        with pytest.raises(HeadTooLarge) as caught:
            await live.create(title="t" * 100, meta={"x": "y" * 2000}, tags=["a"])
        assert caught.value.errors[0].pointer == "/meta"
        job = await live.create()
        before = await job.state()
        with pytest.raises(HeadTooLarge) as caught:
            await job.report(
                {"type": "log", "message": "m"}, {"type": "meta", "set": {"x": "y" * 2000}}
            )
        assert caught.value.errors[0].pointer == "/1/set"
        assert await job.state() == before


@pytest.mark.parametrize(
    ("sizes", "pointer"),
    [
        ((100, 3000, 100), "/1/set"),  # the others have room without it
        ((1700, 1600, 1700), "/1/set"),  # there is room for one of them
        ((3000,), "/set"),
    ],
)
async def test_the_field_is_named_that_a_head_has_no_room_for(
    tmp_path: Path, sizes: tuple[int, ...], pointer: str
) -> None:
    async with over(MemoryStore(), tmp_path, max_head_bytes=3000) as live:
        job = await live.create()
        reports = [say.Meta(set={f"k{n}": "y" * size}) for n, size in enumerate(sizes)]
        with pytest.raises(HeadTooLarge) as caught:
            await job.report(*reports)
        assert caught.value.errors[0].pointer == pointer


async def test_a_value_that_was_replaced_is_not_blamed_for_a_full_head(tmp_path: Path) -> None:
    async with over(MemoryStore(), tmp_path, max_head_bytes=3000) as live:
        job = await live.create()
        await job.meta(a="y" * 1800)
        with pytest.raises(HeadTooLarge) as caught:
            await job.report(
                say.Meta(set={"a": "z" * 1800}),
                say.Meta(set={"b": "y" * 1000}),
                say.Fail(message="m", detail="d"),
            )
        assert caught.value.errors[0].pointer == "/1/set"


@pytest.mark.parametrize("lines", [False, True])
async def test_a_head_does_not_grow_by_names_of_producers_either(
    tmp_path: Path, lines: bool
) -> None:
    async with over(MemoryStore(), tmp_path, max_head_bytes=2000) as live:
        job = await live.create(id="j")
        slot = await live.find("j")
        with pytest.raises(HeadTooLarge):  # noqa: PT012  which of them it is does not matter
            for n in range(100):
                report = say.Log(message="m", producer=f"{n:0128}", n=1)
                if lines:
                    batch = await live.reporting.apply_lines(slot, [report])
                    if batch.refused is not None:
                        raise batch.refused
                else:
                    await job.report(report)


async def test_a_job_whose_head_is_full_can_still_speak_and_end(tmp_path: Path) -> None:
    async with over(MemoryStore(), tmp_path, max_head_bytes=4000) as live:
        job = await live.create(id="j")
        await job.start()
        fits = 4000
        while fits:  # as large as it is let
            try:
                await job.report(say.Meta(set={"x": "y" * fits}))
                break
            except HeadTooLarge:
                fits -= 1
        assert fits > 2000
        for n in range(20):
            await job.log(f"line {n}")
        await live.cancel("j")
        assert (await job.fail("no room for more")).status == "failed"
