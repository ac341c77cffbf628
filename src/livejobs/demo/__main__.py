"""`python -m livejobs.demo PACE`: the workers. They end with their standard input."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading

from livejobs.demo.workers import run


def main() -> None:
    logging.basicConfig(format="%(levelname)s %(name)s: %(message)s")
    # Visitors end and delete jobs that are worked on: for the demo that is nothing to warn of.
    logging.getLogger("livejobs.client").setLevel(logging.ERROR)
    for number in (signal.SIGINT, signal.SIGTERM):  # Ctrl-C reaches every process of a terminal
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=end_with_input, daemon=True).start()
    run(float(sys.argv[1]))


def end_with_input() -> None:
    os.read(0, 1)
    os._exit(0)


if __name__ == "__main__":
    main()
