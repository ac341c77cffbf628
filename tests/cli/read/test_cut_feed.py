"""`livejobs watch`, whose feed is cut before it is whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from livejobs.cli.watch.command import print_changes
from livejobs.client.reader.client import Client
from livejobs.client.reader.sse import Event
from tests.support.api import Api
from tests.support.server import Server


class CutFeed(Client):
    """The first stream is cut after one job, and that job ends meanwhile. The second one goes on
    until it is whole."""

    meanwhile: Callable[[], object]

    def events(self, id: str | None = None, **more: Any) -> Iterator[Event]:
        yield next(super().events(id, **more))
        self.meanwhile()
        for event in super().events(id, **more):
            yield event
            if event.name == "ready":
                return


def test_the_end_of_a_printed_job_is_printed_after_an_early_cut(
    shared: Server, api: Api, capsys: pytest.CaptureFixture[str]
) -> None:
    kind = "cut early"
    api.report(api.create(type=kind), {"type": "succeed"})
    id = api.create(type=kind)
    with CutFeed(shared.url) as client:
        client.meanwhile = lambda: api.report(id, {"type": "fail", "message": "It broke"})
        print_changes(client, shared.url, None, as_json=False, type=kind)
    queued, failed = capsys.readouterr().out.splitlines()
    assert queued.endswith(f" {id} queued")
    assert failed.endswith(f" {id} failed It broke")
