"""HTTP/2: requests, and the limits of a connection and of each stream."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from h2.errors import ErrorCodes
from h2.settings import SettingCodes
from websockets.sync.client import connect as connect_websocket
from websockets.typing import Subprotocol

from livejobs.server.http2 import MAX_CANCELLED, MAX_STREAMS, join_cookies
from tests.server.test_runner import SHORT, stub
from tests.support.api import hear
from tests.support.certificate import Certificate
from tests.support.peer import Peer
from tests.support.server import LONG_ENOUGH, Running, Server, clean_environment

HALF_A_HEAD = bytes.fromhex("000001 01 00 00000001 82")  # HEADERS without END_HEADERS

Start = Callable[..., Running]


def serve(data: Path, certificate: Certificate) -> Server:
    return Server(data, "--host", "localhost", "--http2", *certificate.flags)


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory, certificate: Certificate) -> Iterator[Server]:
    with serve(tmp_path_factory.mktemp("server") / "data", certificate) as server:
        yield server


@pytest.fixture
def start(certificate: Certificate) -> Iterator[Start]:
    """Start the small app with these limits."""
    with ExitStack() as running:
        yield lambda **limits: running.enter_context(stub("--http2", *certificate.flags, **limits))


def curl(certificate: Certificate, *arguments: str) -> str:
    trust = ["--cacert", str(certificate.authority)]
    command = ["curl", "-sS", *trust, "-w", "\n%{http_version}", *arguments]
    return subprocess.check_output(command, text=True, timeout=LONG_ENOUGH)


def events_of(body: bytes) -> list[dict[str, str]]:
    lines = [block.splitlines() for block in body.decode().split("\n\n") if block]
    return [dict(line.split(": ", 1) for line in block) for block in lines]


def states_of(body: bytes) -> list[dict[str, object]]:
    plain = [event for event in events_of(body) if "event" not in event and "data" in event]
    return [json.loads(event["data"]) for event in plain]


# Requests


def test_curl_sends_reports_over_http2(live: Server, certificate: Certificate) -> None:
    job = f"{live.url}/v1/jobs/teaser"
    assert curl(certificate, "--http2", "-X", "PUT", job).endswith("\n2")
    report = ["--json", '{"type": "progress", "percent": 42}']
    receipt, version = curl(certificate, "--http2", *report, job + "/reports").split("\n")
    assert (json.loads(receipt)["accepted"], version) == (1, "2")


def test_the_app_learns_that_a_request_without_a_body_has_ended(
    live: Server, certificate: Certificate
) -> None:
    with Peer(live, certificate) as peer:
        assert peer.answer(peer.request("POST", "/v1/jobs"))[0] == 201


def test_http_1_and_websockets_work_on_the_same_port(
    live: Server, certificate: Certificate
) -> None:
    assert curl(certificate, "--http1.1", live.url + "/healthz").endswith("\n1.1")
    address = f"wss://localhost:{live.port}/v1/ws"
    with connect_websocket(
        address,
        ssl=certificate.trust("http/1.1"),
        subprotocols=[Subprotocol("livejobs.v1")],
    ) as websocket:
        websocket.send('{"op": "ping", "id": 1}')
        assert hear(websocket) == {"op": "pong", "id": 1}


def test_websockets_are_not_offered_as_streams(live: Server, certificate: Certificate) -> None:
    with Peer(live, certificate) as peer:
        assert not peer.h2.remote_settings.get(SettingCodes.ENABLE_CONNECT_PROTOCOL)


def test_many_streams_share_a_connection_with_reports(
    live: Server, certificate: Certificate
) -> None:
    with Peer(live, certificate) as peer:
        peer.call("PUT", "/v1/jobs/shared", {"total": 5})
        viewers = [peer.get("/v1/jobs/shared/events?logs=1&rate=60") for _ in range(40)]
        peer.until(lambda: all(b"data: " in peer.bodies[viewer] for viewer in viewers))
        for n in range(5):
            peer.call("POST", "/v1/jobs/shared/reports", [{"type": "progress", "advance": 1}])
            peer.call("POST", "/v1/jobs/shared/reports", {"type": "log", "message": str(n)})
        peer.call("POST", "/v1/jobs/shared/reports", {"type": "succeed"})
        for viewer in viewers:
            status, body = peer.answer(viewer)
            assert status == 200
            assert "connection" not in peer.heads[viewer]
            assert states_of(body)[-1]["status"] == "succeeded"
            assert events_of(body)[-1]["event"] == "end"
            logs = [event for event in events_of(body) if event.get("event") == "logs"]
            entries = [entry for event in logs for entry in json.loads(event["data"])]
            assert [entry["message"] for entry in entries] == list("01234")


def test_an_upload_may_be_larger_than_a_window(start: Start, certificate: Certificate) -> None:
    with Peer(start(), certificate) as peer:
        stream = peer.request("POST", "/size", None)
        for piece in range(64):
            peer.until(lambda: peer.h2.local_flow_control_window(1) >= 16384)
            peer.h2.send_data(stream, 16384 * b"x", end_stream=piece == 63)
            peer.send()
        assert peer.answer(stream) == (200, b"1048576")


def test_an_answer_before_the_end_of_a_body_stops_the_body(
    live: Server, certificate: Certificate
) -> None:
    with Peer(live, certificate) as peer:
        peer.call("PUT", "/v1/jobs/long", {})
        long = [("content-type", "application/json"), ("content-length", str(1 << 30))]
        stream = peer.request("POST", "/v1/jobs/long/reports", None, long)
        assert peer.answer(stream)[0] == 413
        peer.until(lambda: stream in peer.resets)
        assert peer.resets[stream] == ErrorCodes.NO_ERROR
        a_piece = bytes.fromhex("000001 00 00") + stream.to_bytes(4, "big") + b" "
        peer.sock.sendall(MAX_CANCELLED * a_piece)  # as if it had been on its way
        assert peer.served("/healthz")
        assert peer.served("/healthz")


def test_cookies_in_several_headers_are_joined() -> None:
    headers = [(b"cookie", b"a=1"), (b"host", b"x"), (b"cookie", b"b=2")]
    assert join_cookies(headers) == [(b"host", b"x"), (b"cookie", b"a=1; b=2")]
    assert join_cookies(headers[:2]) == headers[:2]


# Flow control


def test_a_stream_with_a_full_window_does_not_delay_others_and_gets_the_newest_state(
    live: Server, certificate: Certificate
) -> None:
    with Peer(live, certificate) as peer:
        peer.call("PUT", "/v1/jobs/j", {"meta": {"filler": 15000 * "x"}})
        path = "/v1/jobs/j/events?rate=60"
        slow, quick = peer.get(path), peer.get(path)
        peer.closed_hand.add(slow)
        for percent in range(50):
            peer.call("POST", "/v1/jobs/j/reports", {"type": "progress", "percent": percent})
            mark = b'"percent":%d,' % percent
            peer.until(lambda it=mark: it in peer.bodies[quick])  # type: ignore[misc]  # bound now
        assert len(peer.bodies[slow]) < 70_000
        peer.open_hand(slow)
        peer.until(lambda: b'"percent":49,' in peer.bodies[slow])
        assert len(states_of(peer.bodies[slow])) < 10


def test_a_stream_whose_window_stays_full_is_reset_and_others_go_on(
    start: Start, certificate: Certificate
) -> None:
    with Peer(start(stuck_seconds=1), certificate) as peer:
        viewer, stuck = peer.get("/stream"), peer.get("/endless")
        peer.closed_hand.add(stuck)
        peer.until(lambda: stuck in peer.resets)
        assert peer.resets[stuck] == ErrorCodes.CANCEL
        assert len(peer.bodies[stuck]) == 65535
        assert peer.answer(peer.get("/hello")) == (200, b"hello")
        assert viewer not in peer.resets


def test_the_rest_of_an_answer_is_sent_after_its_request_has_ended(
    start: Start, certificate: Certificate
) -> None:
    server = start()
    with Peer(server, certificate) as peer:
        large = peer.get("/large?size=200000")
        peer.closed_hand.add(large)
        peer.until(lambda: len(peer.bodies[large]) == 65535)
        server.signal(signal.SIGTERM)
        peer.until(lambda: peer.goaway is not None)
        peer.open_hand(large)
        assert peer.answer(large) == (200, 200000 * b"x")
    assert server.wait() == 0


def test_nothing_is_read_from_a_client_that_reads_nothing(
    start: Start, certificate: Certificate
) -> None:
    """Otherwise the answers to its pings would pile up."""
    server = start()
    with Peer(server, certificate) as peer:
        peer.sock.settimeout(2)
        with pytest.raises(TimeoutError):
            ping_without_end(peer)
        with Peer(server, certificate) as other:
            assert other.answer(other.get("/hello")) == (200, b"hello")


def test_reading_resumes_when_the_client_reads_again(
    start: Start, certificate: Certificate
) -> None:
    with Peer(start(), certificate) as peer:
        all_at_once = [peer.get("/large?size=400000") for _ in range(40)]
        for large in all_at_once:
            peer.open_hand(large)
        for large in all_at_once:
            assert peer.answer(large) == (200, 400_000 * b"x")
        assert peer.served("/hello")


def ping_without_end(peer: Peer) -> None:
    pings = 10_000 * bytes.fromhex("000008 06 00 00000000 0000000000000000")
    for _ in range(300):  # 51 MB: more than all buffers hold
        peer.sock.sendall(pings)


# Time


def test_a_connection_without_a_request_is_cut(start: Start, certificate: Certificate) -> None:
    server = start(head_seconds=SHORT)
    with Peer(server, certificate) as silent, Peer(server, certificate) as slow:
        slow.sock.sendall(HALF_A_HEAD)
        silent.until_closed()
        slow.until_closed()


def test_an_open_stream_keeps_its_connection_open(start: Start, certificate: Certificate) -> None:
    server = start(head_seconds=SHORT, body_silence_seconds=1)
    with Peer(server, certificate) as viewer:
        stream = viewer.get("/stream")
        with Peer(server, certificate) as silent:
            silent.until_closed()
        server.signal(signal.SIGTERM)
        assert viewer.answer(stream)[1].endswith(b"event: bye\ndata: {}\n\n")


def test_a_body_that_falls_silent_ends_its_stream(start: Start, certificate: Certificate) -> None:
    server = start(body_silence_seconds=1)
    with Peer(server, certificate) as peer:
        ndjson = [("content-type", "application/x-ndjson")]
        worker = peer.request("POST", "/size", None, ndjson)
        silent = peer.request("POST", "/size", None)
        status, body = peer.answer(silent)
        assert (status, json.loads(body)["code"]) == (408, "request_timeout")
        peer.until(lambda: silent in peer.resets)
        peer.h2.send_data(worker, b"1234", end_stream=True)
        peer.send()
        assert peer.answer(worker) == (200, b"4")
    server.stop()
    assert "Traceback" not in server.stderr


def test_a_body_that_only_drips_ends_its_stream(start: Start, certificate: Certificate) -> None:
    with Peer(start(body_silence_seconds=2), certificate) as peer:
        stream = peer.request("POST", "/size", None)
        peer.sock.settimeout(0.2)  # between two drips
        while stream not in peer.ended:
            peer.h2.send_data(stream, b"x")
            peer.send()
            with suppress(TimeoutError):
                peer.until(lambda: stream in peer.ended)
        assert peer.answer(stream)[0] == 408


# Size and number


def test_a_head_over_its_limit_ends_the_connection(start: Start, certificate: Certificate) -> None:
    server = start()
    filler = [(f"x-{n}", 1000 * "x") for n in range(80)]
    with Peer(server, certificate) as peer:
        peer.request("GET", "/hello", more=filler)
        peer.until_closed()
        assert peer.goaway
        assert peer.goaway[1] == ErrorCodes.ENHANCE_YOUR_CALM
    with Peer(server, certificate) as peer:
        assert peer.answer(peer.request("GET", "/hello", more=filler[:50]))[0] == 200


def test_a_path_that_is_not_ascii_ends_its_stream(start: Start, certificate: Certificate) -> None:
    server = start()
    with Peer(server, certificate) as peer:
        assert not peer.served("/\u00e9")
        assert peer.served("/hello")
    server.stop()
    assert "Traceback" not in server.stderr


def test_connections_over_the_limit_get_503_with_retry_after(
    start: Start, certificate: Certificate
) -> None:
    server = start(connections=1)
    with Peer(server, certificate) as one:
        assert one.answer(one.get("/hello"))[0] == 200
        with Peer(server, certificate) as other:
            status, body = other.answer(other.get("/hello"))
            assert (status, json.loads(body)["code"]) == (503, "too_many_connections")
            other.until_closed()
        with Peer(server, certificate) as viewer:
            events = [("accept", "text/event-stream")]
            status, body = viewer.answer(viewer.request("GET", "/stream", more=events))
            assert (status, body[:7]) == (200, b"retry: ")
            viewer.until_closed()


def test_an_old_connection_is_replaced_while_no_stream_is_open(
    start: Start, certificate: Certificate
) -> None:
    server = start()
    with Peer(server, certificate) as peer:
        served = 0
        while not peer.goaway:
            served += peer.served("/hello")
        assert MAX_STREAMS / 2 <= served < MAX_STREAMS
        assert peer.goaway == (2 * served - 1, ErrorCodes.NO_ERROR)
        assert not peer.served("/hello")
        peer.until_closed()


def test_open_streams_go_on_when_their_connection_is_replaced(
    start: Start, certificate: Certificate
) -> None:
    server = start()
    with Peer(server, certificate) as peer:
        viewer = peer.get("/stream")
        peer.until(lambda: viewer in peer.heads)
        for _ in range(MAX_CANCELLED):
            peer.give_up(peer.get("/stream"))
            if not peer.served("/hello"):
                break
        assert peer.goaway
        assert peer.goaway[1] == ErrorCodes.NO_ERROR
        server.signal(signal.SIGTERM)
        assert peer.answer(viewer)[1].endswith(b"event: bye\ndata: {}\n\n")
    assert server.wait() == 0


# Stopping and starting


def test_every_stream_gets_bye_before_the_server_stops(
    tmp_path: Path, certificate: Certificate
) -> None:
    live = serve(tmp_path / "data", certificate)
    with live, Peer(live, certificate) as peer, Peer(live, certificate) as idle:
        peer.call("PUT", "/v1/jobs/j", {})
        viewers = [peer.get("/v1/jobs/j/events") for _ in range(20)]
        peer.until(lambda: all(b"data: " in peer.bodies[viewer] for viewer in viewers))
        live.signal(signal.SIGTERM)
        for viewer in viewers:
            assert events_of(peer.answer(viewer)[1])[-1]["event"] == "bye"
        peer.until_closed()
        idle.until_closed()
        assert peer.goaway
        assert live.wait() == 0
        assert "Traceback" not in live.stderr


def test_without_zttp_the_error_names_the_extra_to_install(
    tmp_path: Path, certificate: Certificate
) -> None:
    program = "import sys; sys.modules['zttp'] = None; from livejobs.cli.main import main; main()"
    flags = ["serve", "--port", "0", "--data", str(tmp_path), "--http2", *certificate.flags]
    failed = subprocess.run(
        [sys.executable, "-c", program, *flags],
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=LONG_ENOUGH,
        check=False,
    )
    assert (failed.returncode, failed.stdout) == (2, "")
    assert failed.stderr == "livejobs: http2: needs zttp: pip install 'livejobs[http2]'\n"
