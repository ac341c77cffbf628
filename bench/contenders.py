"""The servers under measure. Each can be started, published to and watched. Some peers must be
installed by hand; what is missing is left out, with a line that names it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from common import BIN, Connection, Publisher, Server, Sink, free_port, program

SIZE = 200  # bytes of a report's body, and of a peer's message
JOB = "bench"
REPORTS = f"/v1/jobs/{JOB}/reports"

NGINX = """
load_module /usr/lib/nginx/modules/ngx_nchan_module.so;
daemon off; worker_processes 1; worker_rlimit_nofile 20000; pid {tmp}/nginx.pid;
error_log stderr error;
events {{ worker_connections 16384; }}
http {{
  access_log off; keepalive_requests 100000000; nchan_shared_memory_size 256m;
  client_body_temp_path {tmp}/body; proxy_temp_path {tmp}/proxy; fastcgi_temp_path {tmp}/fastcgi;
  uwsgi_temp_path {tmp}/uwsgi; scgi_temp_path {tmp}/scgi;
  nchan_message_buffer_length {buffer}; nchan_message_timeout 10m;
  server {{
    nchan_subscriber_first_message newest; nchan_eventsource_ping_interval 15;
    listen 127.0.0.1:{port} backlog=4096;
    location = /pub {{ nchan_publisher http; nchan_channel_id bench; }}
    location = /sub {{ nchan_subscriber eventsource; nchan_channel_id bench; }}
    location = /ws {{ nchan_subscriber websocket; nchan_channel_id bench; }}
  }}
}}
"""


# With the defaults, but nobody needs a token. An open server is its fastest.
CENTRIFUGO_CONF = {
    "log": {"level": "error"},
    "client": {"insecure": True},
    "http_api": {"insecure": True},
    "uni_sse": {"enabled": True},
    "uni_websocket": {"enabled": True},
}
DURABLE_PROGRAM = "durable-streams-server"
CENTRIFUGO_PROGRAM = "centrifugo"
HOW_TO_GET = {
    DURABLE_PROGRAM: "cargo install durable-streams --version 0.1.5",
    CENTRIFUGO_PROGRAM: "go install github.com/centrifugal/centrifugo/v6@v6.9.1",
}


def plain(_seq: int, mark: str) -> bytes:
    return mark.ljust(SIZE, "x").encode()


def report(kind: str) -> Callable[[int, str], bytes]:
    """A body of the same size as the peers', padded in its message."""

    def body(seq: int, mark: str) -> bytes:
        progress = {"type": "progress", "current": seq, "message": mark}
        fields = progress if kind == "h" else {"type": "log", "message": mark}
        fields["message"] = mark + "x" * (SIZE - len(json.dumps(fields)))
        return json.dumps(fields).encode()

    return body


@dataclass(frozen=True)
class Contender:
    name: str
    start: Callable[[Path], Server]
    path: str
    kind: str = "sse"
    message: str = ""
    greets: bool = False  # sends every viewer something at once
    publish: str = "/pub"
    said: Callable[[str], Callable[[int, str], bytes]] = lambda _kind: plain
    prepare: Callable[[int], Any] = lambda _port: None
    headers: tuple[str, ...] = field(default=())
    type: str = "application/json"  # of what is published
    program: str = ""  # what it needs, one of HOW_TO_GET

    def viewers(self, port: int, n: int, **options: Any) -> Sink:
        return Sink(
            port,
            self.path,
            n,
            kind=self.kind,
            message=self.message,
            headers=self.headers,
            first_message=self.greets,
            **options,
        )

    def publisher(self, port: int, kind: str) -> Publisher:
        return Publisher(port, self.publish, self.said(kind), self.type)

    @property
    def here(self) -> bool:
        return not self.program or program(self.program) is not None


def missing(contenders: Iterable[Contender]) -> list[str]:
    """A line for each program that is not installed."""
    lines = {
        it.program: f"!! {it.program} is missing, so its rows and targets are missing too. "
        f"Get it by: {HOW_TO_GET[it.program]}"
        for it in contenders
        if not it.here
    }
    return list(lines.values())


def present(contenders: Iterable[Contender]) -> tuple[Contender, ...]:
    return tuple(it for it in contenders if it.here)


def start_livejobs(tmp: Path, *options: str) -> Server:
    return Server([BIN / "livejobs", "serve", "--port", "0", "--data", tmp / "data", *options])


def start_nchan(tmp: Path, buffer: int = 10) -> Server:
    port = free_port()
    conf = tmp / "nginx.conf"
    conf.write_text(NGINX.format(tmp=tmp, port=port, buffer=buffer))
    return Server(["/usr/sbin/nginx", "-c", conf, "-p", tmp], port, worker=True)


def start_uvicorn(app: str, env: Mapping[str, str] | None = None) -> Server:
    port = free_port()
    speed = ["--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning"]
    return Server(
        [BIN / "python", "-m", "uvicorn", app, "--port", str(port), *speed], port, env=env
    )


def start_durable(tmp: Path) -> Server:
    port = free_port()
    run = program(DURABLE_PROGRAM)
    assert run, missing([DURABLE])
    return Server([run, "--port", str(port), "--data-dir", tmp / "durable"], port)


def put_stream(port: int, *names: str, type: str = "text/plain") -> None:
    with Connection(port) as connection:
        for name in names:
            connection.send("PUT", f"/{name}", type=type)
            connection.check()


def start_centrifugo(tmp: Path) -> Server:
    port = free_port()
    conf = tmp / "centrifugo.json"
    address = {"address": "127.0.0.1", "port": str(port)}
    conf.write_text(json.dumps(CENTRIFUGO_CONF | {"http_server": address}))
    run = program(CENTRIFUGO_PROGRAM)
    assert run, missing([CENTRIFUGO])
    return Server([run, "-c", conf], port)


def enveloped(_seq: int, mark: str) -> bytes:
    data = mark.ljust(SIZE - 2, "x")  # two quotes make it SIZE
    return json.dumps({"channel": JOB, "data": data}).encode()


def create(port: int) -> None:
    job = {"id": JOB, "title": "Bench", "total": 1_000_000}
    with Connection(port) as connection:
        connection.post("/v1/jobs", json.dumps(job).encode())


def livejobs(name: str, query: str) -> Contender:
    return Contender(
        name,
        start_livejobs,
        f"/v1/jobs/{JOB}/events?{query}",
        greets=True,
        publish=REPORTS,
        said=report,
        prepare=create,
    )


SUBSCRIBE = {"op": "subscribe", "id": 1, "job": JOB, "view": "delta"}

DELTA = livejobs("livejobs delta", "view=delta")
STATE = livejobs("livejobs state", "view=state")
LOGS = livejobs("livejobs delta+logs", "view=delta&logs=1")
WS = Contender(
    "livejobs ws",
    start_livejobs,
    "/v1/ws",
    kind="ws",
    message=json.dumps(SUBSCRIBE),
    greets=True,
    publish=REPORTS,
    said=report,
    prepare=create,
    headers=("Sec-WebSocket-Protocol: livejobs.v1",),
)
NCHAN = Contender("nchan", start_nchan, "/sub")
NCHAN_WS = Contender("nchan ws", start_nchan, "/ws", kind="ws")
STARLETTE = Contender("sse-starlette", lambda _tmp: start_uvicorn("peer_sse:app"), "/sub")
# Text, because its JSON mode parses each message. It acknowledges what is on disk, as ours does.
DURABLE = Contender(
    "durable-streams",
    start_durable,
    f"/{JOB}?offset=now&live=sse",
    greets=True,
    publish=f"/{JOB}",
    prepare=lambda port: put_stream(port, JOB),
    type="text/plain",
    program=DURABLE_PROGRAM,
)
CONNECT = json.dumps({"subs": {JOB: {}}})
CENTRIFUGO = Contender(
    "centrifugo",
    start_centrifugo,
    f"/connection/uni_sse?cf_connect={quote(CONNECT)}",
    greets=True,
    publish="/api/publish",
    said=lambda _kind: enveloped,
    program=CENTRIFUGO_PROGRAM,
)
CENTRIFUGO_WS = replace(
    CENTRIFUGO,
    name="centrifugo ws",
    kind="ws",
    path="/connection/uni_websocket",
    message=CONNECT,
)
