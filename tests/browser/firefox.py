"""Pages of Debian's Firefox ESR, driven by WebDriver BiDi. Playwright needs its own build."""

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

from tests.support.desk import eventually
from tests.support.needs import need
from tests.support.server import LONG_ENOUGH

LISTENING = "WebDriver BiDi listening on "
ENTER = "\ue007"  # as WebDriver names this key
SHOWN = """(it) => {
  it?.scrollIntoView({ block: "center" });
  return it?.checkVisibility() ? it : null;
}"""
PREFERENCES = {
    "browser.download.folderList": 2,  # the folder below
    "browser.download.useDownloadDir": True,
    "browser.download.alwaysOpenPanel": False,
}


class Firefox:
    """A context manager, which ends the process in any case."""

    def __init__(self, profile: Path) -> None:
        self._profile = profile
        self.downloads = profile / "downloads"
        self._ids = count(1)

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            address = self._start(stack)
            self._socket = stack.enter_context(connect(address, open_timeout=LONG_ENOUGH))
            self.send("session.new", capabilities={})
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()

    def _start(self, stack: ExitStack) -> str:
        path = shutil.which("firefox-esr")
        need(path, "firefox-esr is not installed")
        self.downloads.mkdir()
        preferences = {**PREFERENCES, "browser.download.dir": str(self.downloads)}
        lines = [f"user_pref({json.dumps(k)}, {json.dumps(v)});" for k, v in preferences.items()]
        (self._profile / "user.js").write_text("\n".join(lines))
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

    def call(self, method: str, **params: Any) -> Any:
        id = next(self._ids)
        self._socket.send(json.dumps({"id": id, "method": method, "params": params}))
        while (answer := json.loads(self._socket.recv(LONG_ENOUGH))).get("id") != id:
            pass
        return answer

    def send(self, method: str, **params: Any) -> Any:
        answer = self.call(method, **params)
        assert answer["type"] == "success", answer
        return answer["result"]

    def visitor(self) -> str:
        """Somebody with cookies and storage of their own."""
        return str(self.send("browser.createUserContext")["userContext"])

    def tab(self, url: str, visitor: str = "default") -> Tab:
        made = self.send("browsingContext.create", type="tab", userContext=visitor)
        tab = Tab(self, made["context"])
        tab.open(url)
        return tab


class Tab:
    """Elements are named by JavaScript expressions; `the` makes one."""

    def __init__(self, firefox: Firefox, context: str) -> None:
        self._firefox = firefox
        self._context = context

    def open(self, url: str) -> None:
        self._firefox.send(
            "browsingContext.navigate", context=self._context, url=url, wait="complete"
        )

    def close(self) -> None:
        self._firefox.send("browsingContext.close", context=self._context)

    def _evaluate(self, expression: str) -> Any:
        return self._firefox.send(
            "script.evaluate",
            expression=expression,
            target={"context": self._context},
            awaitPromise=True,
        )["result"]

    def evaluate(self, expression: str) -> Any:
        """The value of an expression, as JSON, once its promise is fulfilled."""
        text = f"Promise.resolve({expression}).then((it) => JSON.stringify(it ?? null))"
        return json.loads(self._evaluate(text)["value"])

    def until(self, condition: str) -> None:
        eventually(lambda: self.evaluate(f"Boolean({condition})"))

    def click(self, element: str) -> None:
        eventually(lambda: self._clicked(element))

    def _clicked(self, element: str) -> bool:
        found = self._evaluate(f"({SHOWN})({element})")
        if found["type"] != "node":
            return False
        origin = {"type": "element", "element": {"sharedId": found["sharedId"]}}
        return self._act(
            {"type": "pointer", "id": "mouse"},
            {"type": "pointerMove", "x": 0, "y": 0, "origin": origin},
            {"type": "pointerDown", "button": 0},
            {"type": "pointerUp", "button": 0},
        )

    def type(self, text: str) -> None:
        kinds = ("keyDown", "keyUp")
        keys = [{"type": kind, "value": key} for key in text for kind in kinds]
        assert self._act({"type": "key", "id": "keys"}, *keys)

    def _act(self, source: dict[str, Any], *actions: dict[str, Any]) -> bool:
        """Return whether it was done: an element may have gone since it was found."""
        done = self._firefox.call(
            "input.performActions",
            context=self._context,
            actions=[{**source, "actions": list(actions)}],
        )
        return bool(done["type"] == "success")


def the(css: str, text: str = "") -> str:
    """The expression of the first such element that is shown and contains the text."""
    fits = f"it.checkVisibility() && it.textContent.includes({json.dumps(text)})"
    return f"[...document.querySelectorAll({json.dumps(css)})].find((it) => {fits})"
