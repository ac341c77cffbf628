"""What the command's output becomes: lines of the job's log, and its progress."""

from __future__ import annotations

import time
from collections import deque
from typing import Final

from livejobs.cli.run.lines import Lines, Text, clean, joined
from livejobs.cli.run.progress import Progress, Recognizer
from livejobs.client.worker.job import WorkerJob

BURST: Final = 10_000  # lines that are entries of their own, at once
RATE: Final = 1_000.0  # … and a second. Of a faster command, many lines share an entry
LAST: Final = 20  # lines in the detail of a failed job
LAST_BYTES: Final = 8 * 1024
SAMPLED: Final = 20  # lines of joined ones that are searched for progress


class Budget:
    """How many lines may be entries of their own. The server stores and sends each entry, so a
    million entries a second would delay the command and all other jobs."""

    def __init__(self, now: float) -> None:
        self._left = float(BURST)
        self._then = now

    def take(self, lines: int, now: float) -> bool:
        self._left = min(float(BURST), self._left + (now - self._then) * RATE)
        self._then = now
        if lines > self._left:
            return False
        self._left -= lines
        return True


class Stream:
    def __init__(self, name: str, lines: Lines) -> None:
        self.name = name
        self.lines = lines
        self.told = False  # that its output is binary


class Account:
    def __init__(self, job: WorkerJob, recognizer: Recognizer) -> None:
        self._job = job
        self._recognizer = recognizer
        self._budget = Budget(time.monotonic())
        self._last: deque[str] = deque(maxlen=LAST)
        self._progress: Progress | None = None

    def see(self, stream: Stream, data: bytes) -> None:
        """Output that was passed on."""
        block = stream.lines.feed(data)
        if stream.lines.binary and not stream.told:
            stream.told = True
            self._job.log("Binary output, which is not logged.", source=stream.name)
        if block:
            self._take(stream, block)
        if bar := stream.lines.bar():
            self._look(bar, rewritten=True)

    def end(self, stream: Stream) -> None:
        if rest := stream.lines.end():
            self._take(stream, rest + "\n")
        if stream.lines.binary:
            self._job.log(f"{stream.lines.binary:,} bytes of binary output.", source=stream.name)

    def _take(self, stream: Stream, block: str) -> None:
        lines = block.count("\n") + block.count("\r")
        if self._budget.take(lines, time.monotonic()):
            for text in stream.lines.texts(block):
                self._keep(stream, text)
        else:
            self._keep_joined(stream, block)

    def _keep(self, stream: Stream, text: Text) -> None:
        if not text.rewritten:
            self._last.append(text.text)
            self._job.log(text.text, source=stream.name)
        self._look(text.text, rewritten=text.rewritten)

    def _keep_joined(self, stream: Stream, block: str) -> None:
        for entry in joined(block):
            self._job.log(entry, source=stream.name)
        newest = [clean(line) for line in block.splitlines()[-SAMPLED:]]
        self._last.extend(newest)
        for line in newest:
            self._look(line, rewritten=False)

    def _look(self, text: str, *, rewritten: bool) -> None:
        progress = self._recognizer.see(text, rewritten=rewritten)
        if progress is None or progress == self._progress:
            return
        self._progress = progress
        percent, current, total, unit, message = progress
        self._job.progress(current, total, percent=percent, unit=unit, message=message)

    @property
    def last(self) -> str:
        """The last lines of the output."""
        text = "\n".join(self._last).strip("\n")
        data = text.encode("utf-8", "replace")
        return text if len(data) <= LAST_BYTES else data[-LAST_BYTES:].decode("utf-8", "ignore")
