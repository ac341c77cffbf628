"""`livejobs mcp`: a client of MCP on stdin and stdout, a server behind it."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livejobs.cli.mcp.message import header
from livejobs.cli.mcp.proxy import MOST
from livejobs.cli.report.lines import LONGEST
from tests.cli.read.shell import LIVEJOBS, Shell
from tests.client.cutting import Cutting
from tests.client.fake import Fake
from tests.support.agent import PREFIX
from tests.support.api import Api
from tests.support.desk import eventually
from tests.support.keyed import KEYED
from tests.support.server import LONG_ENOUGH, Server

META = {f"{PREFIX}protocolVersion": "2026-07-28", f"{PREFIX}clientCapabilities": {}}
NO_ANSWER, INVALID, NOT_JSON = -32000, -32600, -32700


def line(method: str, id: Any = None, **params: Any) -> str:
    """A message of the modern era. Without an id it is a notification."""
    named = {} if id is None else {"id": id}
    said = {"jsonrpc": "2.0", **named, "method": method, "params": {**params, "_meta": META}}
    return json.dumps(said) + "\n"


def tool(name: str, id: Any, /, **arguments: Any) -> str:
    return line("tools/call", id, name=name, arguments=arguments)


def answers(shell: Shell, *lines: str) -> dict[Any, Any]:
    """All that the command prints for these lines, by id. It must print only messages."""
    said = [json.loads(text) for text in shell.out("mcp", input="".join(lines)).splitlines()]
    assert all(it["jsonrpc"] == "2.0" for it in said)
    return {it.get("id"): it for it in said}


class Talk:
    """A command that runs, and that a client talks to."""

    def __init__(self, shell: Shell) -> None:
        self.process = shell.start("mcp")

    def say(self, *lines: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("".join(lines))
        self.process.stdin.flush()

    def hear(self) -> Any:
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())

    def end(self) -> tuple[str, str]:
        """Close its stdin. It must end well; what else it has printed."""
        out, errors = self.process.communicate(timeout=LONG_ENOUGH)
        assert self.process.returncode == 0, errors
        return out, errors


@contextmanager
def talking(shell: Shell) -> Iterator[Talk]:
    talk = Talk(shell)
    with talk.process, suppress(ProcessLookupError):
        yield talk
        talk.process.kill()


# To the server and back


def test_lines_are_requests_and_their_answers_are_lines(shell: Shell, api: Api) -> None:
    job = api.create(title="Täser\u2028")
    found = answers(shell, line("server/discover", 1), tool("get_job", "two", id=job), "\n")
    assert found[1]["result"]["supportedVersions"] == ["2026-07-28"]
    assert found["two"]["result"]["structuredContent"]["title"] == "Täser\u2028"


def test_a_name_that_no_header_holds_arrives(shell: Shell) -> None:
    found = answers(shell, tool("naïve tool", 1), line("resources/read", 2, uri="livejob://ö"))
    assert found[1]["error"]["message"] == "There is no tool 'naïve tool'."
    assert found[2]["error"]["data"] == {"uri": "livejob://ö"}


@given(st.text(max_size=12) | st.from_regex(r"(=\?base64\?)?[ !-~]{0,9}(\?=)?", fullmatch=True))
def test_every_name_fits_a_header(name: str) -> None:
    value = header(name)
    assert re.fullmatch(r"[!-~]([ -~]*[!-~])?", value)
    wrapped = re.fullmatch(r"=\?base64\?(.*)\?=", value)
    assert (base64.b64decode(wrapped[1]).decode() if wrapped else value) == name


def test_a_legacy_client_agrees_on_a_version_once(shell: Shell) -> None:
    with talking(shell) as talk:
        params = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {}}
        opening = {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params}
        talk.say(json.dumps(opening) + "\n")
        assert talk.hear()["result"]["protocolVersion"] == "2025-06-18"
        talk.say('{"jsonrpc": "2.0", "method": "notifications/initialized"}\n')
        talk.say('{"jsonrpc": "2.0", "id": 1, "method": "tools/list"}\n')
        listed = talk.hear()["result"]
        assert "resultType" not in listed
        assert talk.end() == ("", "")


def test_the_headers_are_those_of_the_message() -> None:
    said = {"jsonrpc": "2.0", "id": 1, "result": {"protocolVersion": "2025-11-25"}}
    with Fake([(200, said, {"content-type": "application/json"})]) as fake:
        shell = Shell(fake.url, LIVEJOBS_KEY="the-key")
        with talking(shell) as talk:
            talk.say(line("tasks/get", 1, taskId="a.b"))
            talk.hear()
            talk.say('{"jsonrpc": "2.0", "id": 1, "method": "initialize"}\n')
            talk.hear()
            talk.say('{"jsonrpc": "2.0", "id": 1, "method": "tools/list"}\n')
            talk.hear()
            talk.end()
        modern, opening, legacy = (it.headers for it in fake.requests)
        names = ("mcp-protocol-version", "mcp-method", "mcp-name", "authorization")
        assert [modern[it] for it in names] == ["2026-07-28", "tasks/get", "a.b", "Bearer the-key"]
        assert "mcp-protocol-version" not in opening
        assert legacy["mcp-protocol-version"] == "2025-11-25"


def test_requests_do_not_wait_for_each_other(shell: Shell, api: Api) -> None:
    job = api.create()
    api.report(job, {"type": "start"})
    with talking(shell) as talk:
        talk.say(tool("wait_for_job", 1, id=job), tool("get_job", 2, id=job))
        assert talk.hear()["id"] == 2
        api.report(job, {"type": "succeed"})
        ended = talk.hear()
        assert (ended["id"], ended["result"]["structuredContent"]["status"]) == (1, "succeeded")


def test_progress_and_updates_are_lines(shell: Shell, api: Api) -> None:
    job = api.create()
    api.report(job, {"type": "progress", "percent": 10})
    with talking(shell) as talk:
        meta = {**META, "progressToken": 0}
        asked = {"name": "wait_for_job", "arguments": {"id": job}, "_meta": meta}
        call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": asked}
        talk.say(json.dumps(call) + "\n")
        assert talk.hear()["params"]["progress"] == 10
        api.report(job, {"type": "progress", "percent": 20})
        told = talk.hear()
        assert (told["method"], told["params"]["progress"]) == ("notifications/progress", 20)
        uri = f"livejob://{job}"
        wanted = {"resourceSubscriptions": [uri]}
        talk.say(line("subscriptions/listen", 2, notifications=wanted))
        assert talk.hear()["method"] == "notifications/subscriptions/acknowledged"


# Cancelling and ending


def viewers(api: Api) -> int:
    found = re.findall(
        r'^livejobs_viewers{kind="\w+"} (\S+)', api.get("/metrics").text, re.MULTILINE
    )
    return sum(int(float(number)) for number in found)


def test_a_cancelled_request_is_closed_and_has_no_answer(shell: Shell, api: Api) -> None:
    job = api.create()
    eventually(lambda: viewers(api) == 0)
    with talking(shell) as talk:
        talk.say(tool("wait_for_job", 1, id=job), tool("wait_for_job", "1", id=job))
        eventually(lambda: viewers(api) == 2)
        talk.say(line("notifications/cancelled", requestId=1))
        eventually(lambda: viewers(api) == 1)
        odds: list[Any] = [7, None, [1], {}, True]
        for odd in odds:  # nothing of these is open
            talk.say(line("notifications/cancelled", requestId=odd))
        api.post(f"/v1/jobs/{job}/cancel").raise_for_status()
        assert talk.hear()["id"] == "1"
        talk.say(tool("get_job", 1, id=job))  # the id is free again
        assert talk.hear()["id"] == 1
        assert talk.end() == ("", "")


def test_the_end_of_stdin_ends_the_command_and_its_requests(shell: Shell, api: Api) -> None:
    job = api.create()
    eventually(lambda: viewers(api) == 0)
    with talking(shell) as talk:
        talk.say(tool("wait_for_job", 1, id=job))
        eventually(lambda: viewers(api) == 1)
        assert talk.end() == ("", "")
    eventually(lambda: viewers(api) == 0)


def test_a_client_that_is_gone_ends_the_command(shell: Shell, api: Api) -> None:
    with talking(shell) as talk:
        assert talk.process.stdout is not None
        talk.process.stdout.close()
        talk.say(tool("list_jobs", 1))
        assert talk.process.wait(LONG_ENOUGH) == 0
        assert talk.process.stderr is not None
        assert talk.process.stderr.read() == ""


# What can go wrong


def sentence(shell: Shell, message: str = line("tools/list", 1)) -> str:
    said = answers(shell, message)[1]["error"]
    assert said["code"] == NO_ANSWER
    return str(said["message"])


def test_without_a_server_the_client_is_told_what_to_do() -> None:
    assert "Start one with `livejobs serve`" in sentence(Shell("http://127.0.0.1:9"))


def test_a_client_without_a_key_is_told_what_to_do(tmp_path: Path) -> None:
    with Server(tmp_path / "data", env=KEYED) as server:
        assert "Set LIVEJOBS_KEY to a key of this server." in sentence(Shell(server.url))
        wrong = Shell(server.url, LIVEJOBS_KEY="wrong")
        assert "The key is unknown" in sentence(wrong)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((404, {"code": "not_found"}), "does not know MCP"),
        ((404, {}), "does not know MCP"),
        ((200, "hello"), "not a livejobs server"),
        ((302, "moved"), "not a livejobs server"),
        ((503, {"code": "busy", "detail": "The server stops."}), "cannot answer now"),
        ((403, {"code": "forbidden", "detail": "No."}), "Use a key that has this right."),
        ((502, "<html>"), "cannot answer now"),
    ],
)
def test_an_answer_that_is_no_message_becomes_an_error(answer: Any, said: str) -> None:
    with Fake([answer]) as fake:
        assert said in sentence(Shell(fake.url))


def test_an_answer_without_the_id_gets_it() -> None:
    refusal = {"jsonrpc": "2.0", "id": None, "error": {"code": -32600, "message": "Odd."}}
    with Fake([(400, refusal)]) as fake:
        found = answers(Shell(fake.url), line("tools/list", "x"))
        assert found["x"] == {**refusal, "id": "x"}
        assert answers(Shell(fake.url), line("notifications/odd"), '{"result": {}, "id": 4}') == {}


def test_a_stream_that_is_cut_is_an_error(shared: Server, api: Api) -> None:
    job = api.create()
    api.report(job, {"type": "start"})
    # The answer's head, then the first half of its result.
    with Cutting(shared.url, [100, 700]) as cutting, talking(Shell(cutting.url)) as talk:
        for id in (1, 2):
            talk.say(tool("wait_for_job", id, id=job))
            if id == 2:
                api.report(job, {"type": "succeed"})
            said = talk.hear()
            assert (said["id"], said["error"]["code"]) == (id, NO_ANSWER)
            assert "was lost before the answer came" in said["error"]["message"]
        assert talk.end() == ("", "")


def test_bad_lines_are_refused_and_the_rest_goes_on(shell: Shell) -> None:
    bad = [
        ("{", NOT_JSON), ("\xff\xfe", NOT_JSON), ("[" * 100_000, NOT_JSON), ("[]", INVALID),
        ("7", INVALID), ('{"id": null, "method": "x"}', INVALID),
        ('{"id": true, "method": "x"}', INVALID), ('{"id": {}}', INVALID),
        (json.dumps("x" * LONGEST), INVALID),
    ]  # fmt: skip
    with talking(shell) as talk:
        for text, code in bad:
            talk.say(text + "\n")
            said = talk.hear()
            assert (said["error"]["code"], said["id"]) == (code, None)
        talk.say('{"id": 3, "method": 7}\n')
        said = talk.hear()
        assert (said["error"]["code"], said["id"]) == (INVALID, 3)
        # These are the server's to judge.
        talk.say('{"id": 4, "method": "tools/list", "params": 7}\n')
        assert talk.hear()["id"] == 4
        talk.say('{"jsonrpc": "2.0", "id": 5, "method": "ping", "params": {"a": NaN}}\n')
        said = talk.hear()
        assert (said["error"]["code"], said["id"]) == (NOT_JSON, 5)
        talk.say(line("tools/list", 6))
        assert "tools" in talk.hear()["result"]


def test_too_many_requests_at_once_are_refused() -> None:
    with Fake([], deaf=True) as fake, talking(Shell(fake.url)) as talk:
        talk.say(*(line("tools/list", n) for n in range(MOST)), line("tools/list", "more"))
        said = talk.hear()
        assert (said["id"], said["error"]["code"]) == ("more", NO_ANSWER)
        talk.say(line("tools/list", 0))  # twice at once
        assert talk.hear()["error"]["code"] == INVALID
        talk.say(line("notifications/cancelled", requestId=0))
        talk.end()


# The official client


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_the_official_client_uses_the_command(shared: Server, api: Api, mode: Any) -> None:
    # Not for each process of the tests: this import takes a second.
    from mcp import StdioServerParameters  # noqa: PLC0415
    from mcp.client import Client  # noqa: PLC0415

    job = api.create(title="Teaser")
    command = StdioServerParameters(command=LIVEJOBS, args=["mcp", "--url", shared.url])
    async with Client(command, mode=mode) as client:
        tools = await client.list_tools()
        assert {"get_job", "wait_for_job"} <= {it.name for it in tools.tools}
        found = await client.call_tool("get_job", {"id": job})
        assert found.structured_content is not None
        assert found.structured_content["title"] == "Teaser"
        (page,) = (await client.read_resource(f"livejob://{job}")).contents
        assert job in str(page)
