"""docs/webhooks.md, executed."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

from livejobs.core.hooks import EVENTS, FORMATS, OF_JOB, OF_PROJECT
from livejobs.hooks import queue
from livejobs.store import hooks
from tests.support.api import Api
from tests.support.receiver import Receiver
from tests.support.server import BIN, Server, clean_environment

PAGE = (Path(__file__).parents[2] / "docs" / "webhooks.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def test_the_commands_of_the_page_work_in_their_order(allowed: Server) -> None:
    with Receiver() as receiver, Api(allowed.url) as api:
        commands = [it for it in blocks("sh") if "livejobs serve" not in it]
        variables = {"LIVEJOBS_URL": api.url, "LIVEJOBS_KEY": "none", "WEBHOOK": ""}
        made: list[Any] = []
        for command in commands:
            ran = run(command.replace("https://hooks.example", receiver.url), variables)
            if not made:
                made = api.get("/v1/webhooks").json()["webhooks"]
                variables["WEBHOOK"] = made[0]["id"]
                assert '"secret":"whsec_' in ran
                secret = re.findall(r'"secret":"(\w+[^"]*)"', ran)[0]
            if "teaser" in command:
                api.report("teaser", {"type": "succeed"})
                api.report(api.create(), {"type": "start"})
                got = receiver.until(lambda got: len(got) >= 4)
        assert len(api.get("/v1/webhooks").json()["webhooks"]) == 2
        of_project = next(it for it in got if made[0]["id"][3:] in it.headers["webhook-id"])
        [example] = blocks("python")
        space: dict[str, Any] = {"SECRET": secret}
        exec(compile(example, "docs/webhooks.md", "exec"), space)
        said = space["receive"](dict(of_project.headers), of_project.body)
        assert said.endswith(of_project.json["type"])


def run(command: str, variables: dict[str, str]) -> str:
    path = f"{BIN}:{clean_environment()['PATH']}"
    ran = subprocess.run(
        ["bash", "-euc", command], env={**clean_environment(), **variables, "PATH": path},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, (command, ran.stdout, ran.stderr)
    assert '"code":"' not in ran.stdout, (command, ran.stdout)
    return ran.stdout


def test_the_page_names_every_event_format_and_bound() -> None:
    for word in (*EVENTS, *FORMATS):
        assert f"`{word}`" in PAGE
    for number in (
        OF_JOB, OF_PROJECT, queue.AT_ONCE, queue.MOST_WAITING, hooks.RECORDS_OF_HOOK,
        hooks.RECORDS_KEPT,
    ):  # fmt: skip
        assert f" {number:,} " in PAGE or f" {number:,}." in PAGE, number
