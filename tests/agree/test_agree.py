"""The same job natively and through every protocol: after each step of its life, they agree in
every fact. What each should show is worked out from the native answers alone."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from a2a.types import Task
from a2a.utils.proto_utils import validate_proto_required_fields
from google.protobuf.json_format import ParseDict  # type: ignore[import-untyped]  # it has no types
from hypothesis import given, settings
from hypothesis import strategies as st

from livejobs.core import reports as say
from tests.agree import agents, faces, followers
from tests.agree.lives import Step, begin, beginnings, happen, steps
from tests.agree.world import REACHED, World
from tests.faces.jobs import schema
from tests.support.examples import examples


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = World(tmp_path_factory.mktemp("data"))
    yield world
    world.close()


@settings(max_examples=examples(15))
@given(beginning=beginnings, life=st.lists(steps, min_size=2, max_size=8))
def test_all_protocols_agree_with_the_job_after_each_step(
    world: World, beginning: tuple[str, say.NewJob], life: list[Step]
) -> None:
    world.run(living(world, *beginning, life))


async def living(world: World, by: str, new: say.NewJob, life: list[Step]) -> None:
    id = await begin(world, by, new)
    task = await world.task_of(id)
    assert task is not None
    job = await world.native(id)
    assert (job["title"], job["type"], job["meta"]) == (new.title, new.type, new.meta)
    await agree(world, job, task)
    for step in life:
        await happen(world, job, task, step)
        before, job = job, await world.native(id)
        if job["cursor"] != before["cursor"]:
            await agree(world, job, task)


async def agree(world: World, job: Any, task: str) -> None:
    seen = await world.faces(job)
    for face in faces.SCHEMAS:
        schema(face).validate(seen[face])
    validate_proto_required_fields(ParseDict(seen["a2a"], Task()))
    seen["a2a"]["status"].get("message", {}).pop("messageId", None)
    assert seen == faces.expected(job)
    assert await world.agents(job, task) == agents.expected(job, REACHED)


@settings(max_examples=examples(5))
@given(beginning=beginnings, life=st.lists(steps, min_size=2, max_size=8))
def test_those_who_follow_a_job_end_with_what_it_is(
    world: World, beginning: tuple[str, say.NewJob], life: list[Step]
) -> None:
    world.run(following(world, *beginning, life))


async def following(world: World, by: str, new: say.NewJob, life: list[Step]) -> None:
    id = await begin(world, by, new)
    task, job = await world.task_of(id), await world.native(id)
    assert task is not None
    known = asyncio.create_task(followers.all_of(world, job))
    for step in life:
        await happen(world, job, task, step)
        job = await world.native(id)
    if job["completed_at"] is None:
        await world.live.cancel(id, force=True)
        job = await world.native(id)
    expected = faces.expected(job)
    assert await known == {
        **{name: expected[name] for name in ("operations", *STREAMS)},
        "a2a": followers.known_of(expected["a2a"]),
        "mcp": agents.head(job),
    }


STREAMS = ("streams logs", "streams results", "streams errors")
