"""The door of MCP from outside: both eras of the protocol, headers, errors, hostile messages."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.agent import LEGACY, MODERN, PREFIX, Agent, error
from tests.support.api import Api, problem
from tests.support.examples import examples
from tests.support.server import Server

PARSE, INVALID, METHOD, PARAMS = -32700, -32600, -32601, -32602
MISMATCH, VERSION = -32020, -32022


# Opening


def test_discover_names_versions_capabilities_and_the_server(agent: Agent) -> None:
    found = agent.result("server/discover")
    assert found["supportedVersions"] == [MODERN]
    extensions = found["capabilities"].pop("extensions")
    assert {*extensions} == {f"{PREFIX}tasks", f"{PREFIX}ui"}
    assert found["capabilities"] == {"tools": {}, "resources": {"subscribe": True}}
    assert found["_meta"][f"{PREFIX}serverInfo"]["name"] == "livejobs"
    assert (found["resultType"], found["cacheScope"]) == ("complete", "private")
    assert found["ttlMs"] > 0


@pytest.mark.parametrize("version", [LEGACY, "2025-06-18", "2025-03-26", "2024-11-05"])
def test_initialize_takes_the_version_of_the_client(legacy: Agent, version: str) -> None:
    found = legacy.result("initialize", {"protocolVersion": version, "capabilities": {}})
    assert found["protocolVersion"] == version
    assert found["serverInfo"]["name"] == "livejobs"
    assert found["capabilities"] == {"tools": {}, "resources": {}}
    assert "resultType" not in found


@pytest.mark.parametrize("version", [MODERN, "1999-01-01", ""])
def test_initialize_answers_another_version_with_the_newest_of_its_era(
    legacy: Agent, version: str
) -> None:
    assert legacy.result("initialize", {"protocolVersion": version})["protocolVersion"] == LEGACY


def test_a_legacy_client_may_ping_and_notify(legacy: Agent) -> None:
    assert legacy.result("ping") == {}
    notice = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    answer = legacy.post("/mcp", json=notice, headers={"mcp-protocol-version": LEGACY})
    assert (answer.status_code, answer.content) == (202, b"")


def test_a_legacy_request_without_the_header_is_taken(legacy: Agent) -> None:
    answer = legacy.post("/mcp", json=legacy.message("tools/list"))
    assert answer.json()["result"]["tools"]


# Methods


@pytest.mark.parametrize(
    "method", ["initialize", "ping", "logging/setLevel", "x", "", "prompts/get"]
)
def test_a_method_of_no_modern_client_is_404(agent: Agent, method: str) -> None:
    error(agent.ask(method), 404, METHOD)


@pytest.mark.parametrize("method", ["server/discover", "subscriptions/listen", "x"])
def test_a_method_of_no_legacy_client_is_an_error(legacy: Agent, method: str) -> None:
    error(legacy.ask(method), 200, METHOD)


@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT", "HEAD"])
def test_other_methods_of_http_are_405(agent: Agent, method: str) -> None:
    answer = agent.request(method, "/mcp")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize("name", ["oauth-protected-resource", "oauth-authorization-server"])
def test_there_is_no_oauth(agent: Agent, name: str) -> None:
    problem(agent.get(f"/.well-known/{name}"), 404, "not_found")


# Headers of modern requests


@pytest.mark.parametrize(
    "headers",
    [
        {"mcp-protocol-version": LEGACY},
        {"mcp-protocol-version": ""},
        {"mcp-method": "tools/list"},
        {"mcp-method": "TOOLS/CALL"},
        {"mcp-name": "get_job"},
        {"mcp-name": "=?base64?!!!?="},
        {"mcp-name": "=?base64?Z2V0X2pvYg==?="},  # get_job
    ],
    ids=str,
)
def test_a_header_that_differs_from_the_body_is_refused(
    agent: Agent, headers: dict[str, str]
) -> None:
    message = agent.message("tools/call", {"name": "list_jobs"})
    answer = agent.post("/mcp", json=message, headers=agent.headers_of(message) | headers)
    error(answer, 400, MISMATCH)
    assert answer.json()["id"] == 1


@pytest.mark.parametrize("name", ["mcp-protocol-version", "mcp-method", "mcp-name"])
def test_a_header_that_lacks_or_comes_twice_is_refused(agent: Agent, name: str) -> None:
    message = agent.message("tools/call", {"name": "list_jobs"})
    headers = agent.headers_of(message)
    without = {key: value for key, value in headers.items() if key != name}
    error(agent.post("/mcp", json=message, headers=without), 400, MISMATCH)
    twice = [*headers.items(), (name, headers[name])]
    error(agent.post("/mcp", json=message, headers=twice), 400, MISMATCH)


def test_a_name_may_be_in_base64(agent: Agent) -> None:
    message = agent.message("tools/call", {"name": "list_jobs"})
    headers = agent.headers_of(message) | {"mcp-name": "=?base64?bGlzdF9qb2Jz?="}
    assert agent.post("/mcp", json=message, headers=headers).status_code == 200


@pytest.mark.parametrize("field", ["protocolVersion", "clientCapabilities"])
def test_what_each_modern_request_must_declare_is_asked_for(agent: Agent, field: str) -> None:
    message = agent.message("server/discover")
    del message["params"]["_meta"][PREFIX + field]
    found = error(agent.post("/mcp", json=message, headers=agent.headers_of(message)), 400, PARAMS)
    assert PREFIX + field in found["message"]


def test_an_unknown_version_is_refused_with_those_that_are_known(
    agent: Agent, legacy: Agent
) -> None:
    agent.version = "2099-01-01"
    found = error(agent.ask("server/discover"), 400, VERSION)
    assert found["data"] == {"supported": [MODERN], "requested": "2099-01-01"}
    headers = {"mcp-protocol-version": "2099-01-01"}
    answer = legacy.post("/mcp", json=legacy.message("ping"), headers=headers)
    assert LEGACY in error(answer, 400, VERSION)["data"]["supported"]


# Hostile messages


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", PARSE),
        (b"{", PARSE),
        (b"\xff\xfe", PARSE),
        (b'{"jsonrpc":"2.0","id":NaN,"method":"ping"}', PARSE),
        (b'{"jsonrpc":"2.0","id":"\\ud800","method":"ping"}', INVALID),
        (b'{"jsonrpc":"2.0","id":"a\nb","method":"ping"}', INVALID),
        (b"[]", INVALID),
        (b' \n[{"jsonrpc":"2.0","id":1,"method":"ping"}]', INVALID),
        (b"1", INVALID),
        (b"null", INVALID),
        (b"{}", INVALID),
        (b'{"jsonrpc":"1.0","id":1,"method":"ping"}', INVALID),
        (b'{"jsonrpc":"2.0","id":1,"result":{}}', INVALID),
        (b'{"jsonrpc":"2.0","id":1,"method":7}', INVALID),
        (b'{"jsonrpc":"2.0","id":null,"method":"ping"}', INVALID),
        (b'{"jsonrpc":"2.0","id":1.5,"method":"ping"}', INVALID),
        (b'{"jsonrpc":"2.0","id":1e999,"method":"ping"}', INVALID),
        (b'{"jsonrpc":"2.0","id":true,"method":"ping"}', INVALID),
        (b'{"jsonrpc":"2.0","id":{},"method":"ping"}', INVALID),
        (b'{"jsonrpc":"2.0","id":"' + b"x" * 300 + b'","method":"ping"}', INVALID),
        (b'{"jsonrpc":"2.0","id":' + b"9" * 300 + b',"method":"ping"}', INVALID),
        (b"[" * 100_000, INVALID),
        (b'{"jsonrpc":"2.0","id":1,"method":"ping","params":' + b"[" * 100_000, INVALID),
        (b'{"jsonrpc":"2.0","id":1,"method":' + b'{"a":' * 100_000, INVALID),
    ],
    ids=lambda value: repr(value)[:60],
)
def test_what_is_no_single_request_is_400(legacy: Agent, body: bytes, code: int) -> None:
    headers = {"content-type": "application/json"}
    answer = legacy.post("/mcp", content=body, headers=headers)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["code"] in (code, PARSE)
    assert answer.json()["id"] in (None, 1)


@pytest.mark.parametrize("params", [None, [], 7, "x", {"_meta": None}, {"_meta": 1}])
def test_params_that_are_no_object_are_refused(legacy: Agent, params: Any) -> None:
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": params}
    error(legacy.post("/mcp", json=message), 400, PARAMS)


@pytest.mark.parametrize("token", ["NaN", "1.5", "true", "[]", "{}", '"' + "x" * 300 + '"', "null"])
def test_a_progress_token_is_text_or_a_whole_number(legacy: Agent, token: str) -> None:
    meta = f'{{"progressToken":{token}}}'
    body = f'{{"jsonrpc":"2.0","id":1,"method":"ping","params":{{"_meta":{meta}}}}}'
    answer = legacy.post("/mcp", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] in (PARAMS, PARSE, INVALID)


@pytest.mark.parametrize(
    "id", [0, -1, 2**53, 10**200, "", "1", '\u2028 „ä\n"\\ \U0001f680', "\r\n"]
)
def test_an_id_comes_back_as_it_was(either: Agent, id: Any) -> None:
    answer = either.ask("tools/list", id=id)
    assert (answer.status_code, answer.json()["id"]) == (200, id)


def test_of_two_keys_with_the_same_name_the_last_counts_everywhere(agent: Agent) -> None:
    message = agent.message("tools/call", {"name": "list_jobs"})
    body = json.dumps(message)[:-1] + ', "method": "tools/list"}'
    headers = {**agent.headers_of(message), "content-type": "application/json"}
    error(agent.post("/mcp", content=body, headers=headers), 400, MISMATCH)


@pytest.mark.parametrize("type", ["text/plain", "application/x-www-form-urlencoded"])
def test_a_body_of_another_type_is_415(agent: Agent, type: str) -> None:
    answer = agent.post("/mcp", content=b"{}", headers={"content-type": type})
    problem(answer, 415, "unsupported_media_type")


def test_a_body_at_the_limit_is_taken_and_one_above_is_413(legacy: Agent, api: Api) -> None:
    message = legacy.message("tools/list", {"filler": ""})
    free = (1 << 20) - len(json.dumps(message))
    for size, status in ((free, 200), (free + 1, 413)):
        body = json.dumps(message).replace('"filler": ""', f'"filler": "{"x" * size}"')
        headers = {"content-type": "application/json"}
        assert legacy.post("/mcp", content=body, headers=headers).status_code == status


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
METHODS = ["tools/call", "tools/list", "resources/read", "resources/list", "initialize", "x",
           "resources/templates/list", "server/discover", "ping"]  # fmt: skip
NAMES = ["list_jobs", "get_job", "get_logs", "create_job", "report", "cancel_job", "answer", "x"]


@settings(max_examples=examples(100))
@given(st.sampled_from(METHODS), st.sampled_from(NAMES), JSON, st.sampled_from([MODERN, LEGACY]))
def test_no_parameters_make_the_server_fail(
    shared: Server, method: str, name: str, value: Any, version: str
) -> None:
    with Agent(shared.url, version=version) as agent:
        message = agent.message(method, {"name": name, "arguments": value, "uri": value})
        headers = agent.headers_of(message) | {"mcp-name": name}
        answer = agent.post("/mcp", json=message, headers=headers)
        assert answer.status_code in (200, 400, 404), answer.text
        assert ("result" in answer.json()) != ("error" in answer.json())
        assert answer.json()["id"] == 1
