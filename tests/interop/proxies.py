"""Proxies in front of a server, each with its configuration in docs/proxies, on a free port.

What a test changes in a configuration must stand there: `put` fails where it does not.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar, Final, Self

import httpx2

from tests.support.needs import need
from tests.support.server import LONG_ENOUGH, Running, hold_port

CONFIGURATIONS: Final = Path(__file__).parents[2] / "docs" / "proxies"
PLACES: Final = "/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin"
MODULES: Final = Path("/usr/lib/apache2/modules")


def put(text: str, changes: Mapping[str, str]) -> str:
    for old, new in changes.items():
        assert old in text, f"{old!r} is not in the configuration"
        text = text.replace(old, new)
    return text


class Proxy:
    """A child process."""

    program: ClassVar[str]
    folder: ClassVar[Path] = CONFIGURATIONS
    file: ClassVar[str]
    address: ClassVar[str]  # to listen on, as the file has it
    listens: ClassVar[str]  # the same, for the test
    hurried: ClassVar[dict[str, str]] = {}  # the times after which a silent stream ends

    def __init__(
        self, upstream: Running, home: Path, changes: Mapping[str, str] | None = None
    ) -> None:
        path = shutil.which(self.program, path=PLACES)
        need(path, f"{self.program} is not installed")
        home.mkdir()
        self._held = hold_port()
        self.port: int = self._held.getsockname()[1]
        self.home = home
        self.url = f"http://127.0.0.1:{self.port}"
        self.ws_url = f"ws://127.0.0.1:{self.port}/v1/ws"
        ours = {**self.to(upstream.port), self.address: self.listens.format(self.port)}
        text = put((self.folder / self.file).read_text(), {**ours, **(changes or {})})
        (home / self.file).write_text(text)
        self._log = (home / "log").open("wb")
        self.process = subprocess.Popen(
            [str(path), *self.prepare()], cwd=home, stdout=self._log, stderr=self._log,
            start_new_session=True,
            env={**os.environ, "HOME": str(home), "XDG_DATA_HOME": str(home)},
        )  # fmt: skip

    def to(self, port: int) -> dict[str, str]:
        """The address of the server in the file, and for the test."""
        return {"127.0.0.1:8000": f"127.0.0.1:{port}"}

    def prepare(self) -> list[str]:
        """Write what else it needs; its arguments."""
        raise NotImplementedError

    def wait_until_it_listens(self) -> Self:
        while self.process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
            except ConnectionRefusedError:
                time.sleep(0.02)  # leave the processor to the process that starts
                continue
            return self
        raise AssertionError(f"{self.program} did not start: {(self.home / 'log').read_text()}")

    def __enter__(self) -> Self:
        try:
            return self.wait_until_it_listens()
        except AssertionError:
            self.__exit__()
            raise

    def __exit__(self, *exc: object) -> None:
        with suppress(ProcessLookupError):  # it did not start
            os.killpg(self.process.pid, signal.SIGKILL)  # some wait for streams, some have children
        self.process.wait(LONG_ENOUGH)
        self._log.close()
        self._held.close()


class Nginx(Proxy):
    program, file = "nginx", "nginx.conf"
    address, listens = "listen 80;", "listen 127.0.0.1:{};"
    hurried: ClassVar = {"proxy_read_timeout 75s": "proxy_read_timeout 25s"}
    kinds: ClassVar = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")

    def to(self, port: int) -> dict[str, str]:
        logs = {"/var/log/nginx/livejobs.log": "access.log", "/var/log/nginx/error.log": "stderr"}
        return {**super().to(port), **logs}

    def prepare(self) -> list[str]:
        paths = "".join(f"{kind}_temp_path {kind};\n" for kind in self.kinds)
        (self.home / "main.conf").write_text(
            "daemon off;\nmaster_process off;\npid nginx.pid;\nerror_log stderr warn;\nevents {}\n"
            f"http {{\naccess_log off;\n{paths}include {self.home / self.file};\n}}\n"
        )
        return ["-p", str(self.home), "-c", "main.conf"]


class Caddy(Proxy):
    program, file = "caddy", "Caddyfile"
    address = "jobs.example.com {"
    listens = "{{\n\tadmin off\n}}\nhttp://127.0.0.1:{} {{"

    def prepare(self) -> list[str]:
        return ["run", "--config", self.file, "--adapter", "caddyfile"]


class HAProxy(Proxy):
    program, file = "haproxy", "haproxy.cfg"
    address, listens = "bind :80", "bind 127.0.0.1:{}"
    hurried: ClassVar = {
        "timeout server 1h": "timeout server 25s",
        "timeout client 1h": "timeout client 25s",
        "timeout tunnel 75s": "timeout tunnel 25s",
    }

    def prepare(self) -> list[str]:
        return ["-db", "-f", self.file]


class Apache(Proxy):
    """With mod_deflate for all that we send, as some set it up."""

    program, file = "apache2", "apache.conf"
    address, listens = "<VirtualHost *:80>", "<VirtualHost 127.0.0.1:{}>"
    hurried: ClassVar = {"TimeOut 3600": "TimeOut 25", "ProxyTimeout 75": "ProxyTimeout 25"}
    modules = (
        "mpm_event", "authz_core", "env", "filter", "deflate", "reqtimeout", "proxy", "proxy_http",
    )  # fmt: skip

    def to(self, port: int) -> dict[str, str]:
        return {**super().to(port), "${APACHE_LOG_DIR}/livejobs.log": "access.log"}

    def prepare(self) -> list[str]:
        kinds = "text/plain text/event-stream application/json application/x-ndjson"
        user = "User www-data\nGroup www-data\n" if os.geteuid() == 0 else ""
        loaded = "".join(
            f"LoadModule {name}_module {MODULES / f'mod_{name}.so'}\n" for name in self.modules
        )
        (self.home / "main.conf").write_text(
            f"{loaded}{user}ServerName localhost\nPidFile apache.pid\nErrorLog /dev/stderr\n"
            f"DefaultRuntimeDir {self.home}\nListen 127.0.0.1:{self.port}\n"
            f"AddOutputFilterByType DEFLATE {kinds}\nInclude {self.home / self.file}\n"
        )
        return ["-d", str(self.home), "-f", "main.conf", "-DFOREGROUND"]


KINDS: Final[tuple[type[Proxy], ...]] = (Nginx, Caddy, HAProxy, Apache)


class Events:
    """One event stream, read event by event."""

    def __init__(self, url: str, headers: Mapping[str, str] | None = None) -> None:
        self._client = httpx2.Client(timeout=LONG_ENOUGH, headers=headers)
        self._context = self._client.stream("GET", url)
        self._lines = self._context.__enter__().iter_lines()

    def next(self) -> tuple[str, Any]:
        kind, data = "message", None
        for line in self._lines:
            name, _, value = line.partition(": ")
            if name == "event":
                kind = value
            elif name == "data":
                data = json.loads(value)
            elif not line and data is not None:
                return kind, data
        raise EOFError

    def until(self, kind: str) -> Any:
        while (event := self.next())[0] != kind:
            pass
        return event[1]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._context.__exit__(None, None, None)
        self._client.close()
