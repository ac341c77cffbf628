"""`livejobs webhook`, against a real server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.read.shell import Shell
from tests.support.api import Api
from tests.support.receiver import Receiver, Reply
from tests.support.server import Server


@pytest.fixture(scope="module")
def allowed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    data: Path = tmp_path_factory.mktemp("webhooks") / "data"
    with Server(data, "--webhook-allow-private", "127.0.0.1") as running:
        yield running


def test_list_test_and_replay(allowed: Server) -> None:
    shell = Shell(allowed.url)
    assert shell.out("webhook", "list") == ""
    with Api(allowed.url) as api, Receiver() as receiver:
        made = api.post("/v1/webhooks", json={"url": f"{receiver.url}/in", "events": ["created"]})
        id = made.json()["id"]
        row = shell.out("webhook", "list").rstrip("\n").split("\t")
        assert row == [id, "active", "standard", "created", "default", f"{receiver.url}/in"]
        assert json.loads(shell.out("webhook", "list", "--json"))["id"] == id
        assert "took the test: 204" in shell.out("webhook", "test", id)
        job = api.create()
        receiver.until(lambda got: len(got) == 2)
        while "waiting" in (shown := shell.out("webhook", "list", id)):
            pass  # the outcome is written just after the answer
        n, state, event, of, *_ = shown.split("\t")
        assert (state, event, of) == ("delivered", "created", job)
        assert shell.out("webhook", "replay", id, n) == "1 delivery waits to be sent again.\n"
        receiver.until(lambda got: len(got) == 3)
        receiver.reply = lambda _: Reply(500)
        done = shell.run("webhook", "test", id)
        assert (done.returncode, done.stdout) == (1, "The receiver answered 500.\n")
        assert shell.out("webhook", "replay", id, "--failed") == "No delivery has failed.\n"
        assert shell.run("webhook", "replay", id).returncode == 2
        none = shell.run("webhook", "list", "wh_none")
        assert (none.returncode, "no webhook" in none.stderr) == (2, True)


def test_the_tables_fit_80_columns(allowed: Server) -> None:
    shell = Shell(allowed.url)
    with Api(allowed.url) as api, Receiver(lambda _: Reply(500)) as receiver:
        url = f"{receiver.url}/a/very/long/path/{'x' * 80}"
        made = api.post("/v1/webhooks", json={"url": url, "events": ["created"], "project": "t"})
        api.create(project="t", id="j" * 100)
        receiver.until(lambda got: len(got) == 1)
        for words in (("list", "--project", "t"), ("list", made.json()["id"])):
            with shell.terminal("webhook", *words) as screen:
                code, text = screen.ended()
            lines = text.splitlines()
            assert code == 0
            assert len(lines) == 2
            assert all(len(line.rstrip()) <= 80 for line in lines)
            assert made.json()["id"] in text or "created" in text
