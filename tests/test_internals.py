"""What we use of uvicorn and aiosqlite that is not their public API, by name.

Their minor versions may change any of it, so pyproject.toml keeps both below the next one. After
a raise of that bound these tests say what to look at.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import aiosqlite
import aiosqlite.core
import pytest
import uvicorn
from uvicorn.protocols.http import httptools_impl as http1
from uvicorn.protocols.http import zttp_h2_impl as http2
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState

import livejobs.powers

SOURCE = Path(livejobs.powers.__file__).parent

USED: Final[dict[type, str]] = {
    uvicorn.Config: "load ws_max_size",
    uvicorn.Server: """
        capture_signals config force_exit handle_exit lifespan main_loop on_tick serve server_state
        servers should_exit shutdown startup""",
    ServerState: "connections default_headers tasks total_requests",
    FlowControl: "pause_reading read_paused resume_reading write_paused",
    http1.HttpToolsProtocol: """
        _start_asgi_task access_log access_logger app app_state asgi_version client config
        connection_lost connection_made connections cycle data_received expect_100_continue flow
        handle_websocket_upgrade headers logger loop on_body on_header on_headers_complete
        on_message_begin on_message_complete on_response_complete parser pipeline root_path scheme
        scope send_400_response server server_state shutdown timeout_keep_alive transport url
        ws_protocol_class""",
    http1.RequestResponseCycle: """
        access_log access_logger body chunked_encoding default_headers disconnected
        expected_content_length flow keep_alive message_event more_body on_response receive
        response_complete response_started scope send transport waiting_for_100_continue""",
    http2.ZttpH2Protocol: """
        _close_connection app client conn connection_lost connection_made connections cycles
        data_received events flow flush handle_request handle_rst_stream on_response_complete
        on_stream_closed pause_writing resume_reading_if_idle resume_writing shutdown
        loop shutdown_requested timeout_keep_alive transport""",
    http2.RequestResponseCycle: """
        access_log access_logger default_headers disconnected message_event more_body
        response_complete response_started scope send stream transport""",
    WebSocketsSansIOProtocol: """
        client close_sent config conn connection_lost connections curr_msg_data_type data_received
        disconnected frames
        handle_cont handle_parser_exception handle_ping handshake_complete handshake_initiated
        keepalive_timeout loop pending_ping_payload pong_timer queue read_paused receive
        resume_writing scope send
        send_receive_event_to_app transport writable""",
    aiosqlite.Connection: "_conn _running _tx close",
}

OURS: Final[dict[tuple[str, str], list[type]]] = {  # file and class: the classes that it extends
    ("server/runner.py", "Server"): [uvicorn.Server],
    ("server/connection.py", "Connection"): [http1.HttpToolsProtocol],
    ("server/instant/offering.py", "InstantConnection"): [http1.HttpToolsProtocol],
    ("server/instant/recognizing.py", "RecognizingConnection"): [http1.HttpToolsProtocol],
    ("server/limited.py", "LimitedConnection"): [http1.HttpToolsProtocol, http2.ZttpH2Protocol],
    ("server/cycle.py", "Expecting"): [http1.RequestResponseCycle],
    ("server/http2.py", "Http2Connection"): [http2.ZttpH2Protocol],
    ("server/http2.py", "Exchange"): [http2.RequestResponseCycle],
    ("server/websocket.py", "WebSocketConnection"): [WebSocketsSansIOProtocol],
    ("store/sqlite/store.py", "Connection"): [aiosqlite.Connection],
}

VARIABLES: Final[dict[str, dict[str, type]]] = {  # by these names we hold objects of these classes
    "server/connection.py": {
        "cycle": http1.RequestResponseCycle,
        "flow": FlowControl,
        "server_state": ServerState,
    },
    "server/limited.py": {"flow": FlowControl},
    "server/instant/offering.py": {
        "cycle": http1.RequestResponseCycle,
        "flow": FlowControl,
        "server_state": ServerState,
    },
    "server/cycle.py": {"cycle": http1.RequestResponseCycle},
    "server/direct.py": {"cycle": http1.RequestResponseCycle, "flow": FlowControl},
    "server/sendfile.py": {"cycle": http1.RequestResponseCycle},
    "server/http2.py": {"cycle": http2.RequestResponseCycle, "flow": FlowControl},
    "server/runner.py": {"server_state": ServerState},
    "server/tls.py": {"server_state": ServerState},
    "web/files/arrival.py": {"_exchange": http1.RequestResponseCycle},
    "web/files/delivery.py": {"exchange": http1.RequestResponseCycle},
}


def members(owner: type) -> set[str]:
    """What its class body defines and its methods assign to `self`."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(owner)))
    return set(vars(owner)) | {node.attr for node in attributes(tree, "self") if stored(node)}


def stored(node: ast.Attribute) -> bool:
    return isinstance(node.ctx, ast.Store)


def attributes(tree: ast.AST, *names: str) -> Iterator[ast.Attribute]:
    """`name.attribute` and `something.name.attribute`, for any of the names."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and last_name(node.value) in names:
            yield node


def last_name(node: ast.AST) -> str | None:
    if isinstance(node, ast.Call):
        return last_name(node.func)  # super()
    return getattr(node, "id", None) or getattr(node, "attr", None)


@pytest.mark.parametrize("owner", USED, ids=lambda owner: f"{owner.__module__}.{owner.__name__}")
def test_what_we_use_is_there(owner: type) -> None:
    package = owner.__module__.split(".")[0]
    gone = sorted(set(USED[owner].split()) - members(owner))
    assert not gone, (
        f"{owner.__name__} of {package} {version(package)} has no {', '.join(gone)} any more. "
        "Find what took its place, and change the modules in OURS and VARIABLES that use it."
    )


def touched_by_subclasses() -> Iterator[tuple[type, str]]:
    for (file, name), bases in OURS.items():
        tree = ast.parse((SOURCE / file).read_text())
        (body,) = (it for it in tree.body if isinstance(it, ast.ClassDef) and it.name == name)
        names = {node.attr for node in attributes(body, "self", "super")}
        names |= {it.name for it in body.body if isinstance(it, ast.FunctionDef)}
        names |= {it.name for it in body.body if isinstance(it, ast.AsyncFunctionDef)}
        yield from ((base, name) for base in bases for name in names & members(base))


def touched_by_variables() -> Iterator[tuple[type, str]]:
    for file, variables in VARIABLES.items():
        tree = ast.parse((SOURCE / file).read_text())
        for variable, owner in variables.items():
            names = {node.attr for node in attributes(tree, variable)}
            yield from ((owner, name) for name in names & members(owner))


def test_the_list_is_complete() -> None:
    touched = {*touched_by_subclasses(), *touched_by_variables()}
    missing = [
        f"{owner.__module__}.{owner.__name__}.{name}"
        for owner, name in touched
        if name not in USED[owner].split() and not name.startswith("__")
    ]
    assert sorted(missing) == []


COPIED: Final[dict[Callable[..., Any], tuple[str, str]]] = {
    # theirs: a digest of its source, and which of our functions does the same in another way
    uvicorn.Server.serve: ("112ef41af521", "runner.Server.serve"),
    uvicorn.Server.handle_exit: ("553276efa26e", "runner.Server.handle_exit"),
    uvicorn.Server.shutdown: ("9b33c5056299", "runner.Server.shutdown"),
    http1.HttpToolsProtocol.data_received: ("010a7ae59a5d", "connection.Connection.feed"),
    http1.HttpToolsProtocol.on_headers_complete: (
        "1ea8589acfad",
        "connection.Connection.on_headers_complete",
    ),
    http1.HttpToolsProtocol.on_message_begin: (
        "96d377fdc7c2",
        "offering.InstantConnection.on_message_begin, complete",
    ),
    http1.HttpToolsProtocol.on_header: ("65d62c044f61", "offering.InstantConnection.on_header"),
    http1.HttpToolsProtocol.on_response_complete: (
        "64e254f28e38",
        "connection.Connection.on_response_complete",
    ),
    http1.HttpToolsProtocol.send_400_response: ("ae5a4a3782b6", "connection.Connection.refuse"),
    http1.RequestResponseCycle.send: (
        "abdd8601b326",
        "direct.write_chunk, answer_at_once, sendfile.send_file",
    ),
    http1.RequestResponseCycle.receive: ("8124ae006be7", "cycle.receive_all"),
    http2.ZttpH2Protocol.handle_request: ("3ac00c65098b", "http2.Http2Connection.handle_request"),
    http2.ZttpH2Protocol.on_response_complete: (
        "279af67b0a89",
        "http2.Http2Connection.on_response_complete",
    ),
    http2.RequestResponseCycle.send: ("15e179bd4539", "http2.Exchange.send"),
    WebSocketsSansIOProtocol.send: (
        "d4919ed760ce",
        "websocket.WebSocketConnection._send_ready, write_now",
    ),
    WebSocketsSansIOProtocol.receive: ("1dc0e7153900", "websocket.WebSocketConnection.receive"),
    WebSocketsSansIOProtocol.data_received: ("c89d394077d8", "websocket.WebSocketConnection.parse"),
    WebSocketsSansIOProtocol.handle_cont: (
        "d96fe1479da6",
        "websocket.WebSocketConnection.handle_cont",
    ),
    WebSocketsSansIOProtocol.handle_ping: (
        "41bcf345d372",
        "websocket.WebSocketConnection.handle_ping",
    ),
    WebSocketsSansIOProtocol.keepalive_timeout: (
        "8e1ceb6ec446",
        "websocket.WebSocketConnection.keepalive_timeout",
    ),
    aiosqlite.Connection._execute: ("11f83d6bbbe8", "store.sqlite.store.Connection.begin"),
    aiosqlite.core._connection_worker_thread: (
        "17e364bc23e0",
        "store.sqlite.store.Connection.begin",
    ),
}


@pytest.mark.parametrize("theirs", COPIED, ids=lambda theirs: theirs.__qualname__)
def test_what_we_do_in_another_way_is_still_done_so(theirs: Callable[..., Any]) -> None:
    expected, ours = COPIED[theirs]
    package = theirs.__module__.split(".")[0]
    digest = sha256(inspect.getsource(theirs).encode()).hexdigest()[:12]
    assert digest == expected, (
        f"{theirs.__qualname__} of {package} {version(package)} is not what it was. Compare our "
        f"{ours} with it, then write its new digest here."
    )
