"""The template: a process that has imported commands, and runs one in each of its forks.

Its arguments are the descriptor of a socket, which its parent holds, and the modules to import.
It reads orders from the socket:
- `{"arguments", "environment", "folder", "umask"}` with three descriptors: stdin, stdout and
  stderr. It forks, and replies with the process id. The fork runs `livejobs` with these arguments,
  or with `-m`, as Python would, a module.
- `{"ended": pid}`. It waits for the end of this fork, and replies with the exit code. Until then
  no other process can get the id.

Forks of one thread without an event loop are safe, so this process must start neither.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any, Final

ORDER: Final = 1 << 18  # bytes; an order holds all variables of the environment


def main() -> None:
    control = socket.socket(fileno=int(sys.argv[1]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the tests, and they end this process
    from livejobs.cli.main import main as livejobs  # noqa: PLC0415 - only this process needs it
    from livejobs.faces.registry import installed  # noqa: PLC0415 - as above
    from livejobs.web.pages.routes import routes_of_files  # noqa: PLC0415 - as above

    for module in sys.argv[2:]:
        import_module(module)
    installed(), routes_of_files()  # kept, whatever the settings of a fork are
    # The collector of a fork then leaves these objects alone, and their memory stays shared.
    gc.collect()
    gc.freeze()
    serve_orders(control)
    if sys.argv[1:2] == ["-m"]:  # python -m module …
        sys.argv[:3] = [sys.argv[2]]
        import_module(sys.argv[0]).main()
    else:
        livejobs()


def serve_orders(control: socket.socket) -> None:
    """Return in each fork. When the parent has closed its end, end all forks and exit."""
    alive: set[int] = set()
    while True:
        message, descriptors, _, _ = socket.recv_fds(control, ORDER, 3)
        if not message:
            break
        order = json.loads(message)
        if "ended" in order:
            alive.remove(order["ended"])
            reply = os.waitstatus_to_exitcode(os.waitpid(order["ended"], 0)[1])
        else:
            reply = os.fork()
            if not reply:
                control.close()
                become(order, descriptors)
                return
            alive.add(reply)
        for descriptor in descriptors:
            os.close(descriptor)
        control.send(str(reply).encode())
    for pid in alive:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    sys.exit()


def become(order: dict[str, Any], descriptors: Sequence[int]) -> None:
    """Set what a new process gets from its parent."""
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
        os.close(descriptor)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(order["folder"])
    os.umask(order["umask"])
    os.environ.clear()
    os.environ.update(order["environment"])
    time.tzset()
    sys.argv = order["arguments"]
    sys.path[0] = str(Path(sys.argv[0]).parent)
