"""A page of Debian's Firefox ESR, driven by WebDriver BiDi. Playwright needs its own build."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import Any, Self

from websockets.sync.client import connect

from tests.support.needs import need
from tests.support.server import LONG_ENOUGH

LISTENING = "WebDriver BiDi listening on "


class Firefox:
    """A context manager, which ends the process in any case."""

    def __init__(self, profile: Path) -> None:
        self._profile = profile
        self._ids = count(1)

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            address = self._start(stack)
            self._socket = stack.enter_context(connect(address, open_timeout=LONG_ENOUGH))
            self.send("session.new", capabilities={})
            self._context = self.send("browsingContext.getTree")["contexts"][0]["context"]
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()

    def _start(self, stack: ExitStack) -> str:
        path = shutil.which("firefox-esr")
        need(path, "firefox-esr is not installed")
        process = subprocess.Popen(
            [str(path), "--headless", "--no-remote", "--remote-debugging-port", "0", "--profile",
             str(self._profile), "about:blank"],
            stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
            env={**os.environ, "HOME": str(self._profile)}, start_new_session=True,
        )  # fmt: skip
        stack.callback(process.wait)
        stack.callback(os.killpg, process.pid, signal.SIGKILL)  # its helpers too
        assert process.stderr is not None
        stack.callback(process.stderr.close)
        for line in process.stderr:
            if LISTENING in line:
                return line.partition(LISTENING)[2].strip() + "/session"
        raise AssertionError("Firefox did not start")

    def send(self, method: str, **params: Any) -> Any:
        id = next(self._ids)
        self._socket.send(json.dumps({"id": id, "method": method, "params": params}))
        while (answer := json.loads(self._socket.recv(LONG_ENOUGH))).get("id") != id:
            pass
        assert answer["type"] == "success", answer
        return answer["result"]

    def open(self, url: str) -> None:
        self.send("browsingContext.navigate", context=self._context, url=url, wait="complete")

    def evaluate(self, expression: str) -> Any:
        """The value of an expression, as JSON, once its promise is fulfilled."""
        text = self.send(
            "script.evaluate",
            expression=f"Promise.resolve({expression}).then((it) => JSON.stringify(it ?? null))",
            target={"context": self._context},
            awaitPromise=True,
        )["result"]["value"]
        return json.loads(text)
