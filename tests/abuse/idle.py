"""Viewers that only wait, as a process: python -m tests.abuse.idle PORT JOB STREAMS WEBSOCKETS"""

from __future__ import annotations

import sys
import time

from tests.abuse.crowd import frame, viewer, websocket
from tests.support.server import LONG_ENOUGH


def main(port: int, job: str, streams: int, websockets: int) -> None:
    waiting = [viewer(port, job) for _ in range(streams)]
    for _ in range(websockets):
        waiting.append(websocket(port))
        waiting[-1].sendall(frame({"op": "subscribe", "id": 1, "job": job}))
    print("waiting", flush=True)
    time.sleep(3 * LONG_ENOUGH)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
