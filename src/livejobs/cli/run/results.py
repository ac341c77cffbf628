"""The files that a command has made, uploaded when it has ended."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

from livejobs.client.worker.job import WorkerJob

MOST: Final = 1000  # files of one job
PATIENCE: Final = 60.0  # seconds that an upload waits for a server that is away
HASTE: Final = 5.0  # … that has been away already

Say = Callable[[str], None]


def upload_all(job: WorkerJob, patterns: Iterable[str], say: Say) -> None:
    for name, path in named(found(patterns, say), say):
        channel = job.channel
        away = channel is not None and channel.away
        job.upload(path, name, timeout=HASTE if away else PATIENCE)


def found(patterns: Iterable[str], say: Say) -> list[Path]:
    """Each file once, in order of the patterns."""
    paths: dict[str, Path] = {}
    for pattern in patterns:
        matches = sorted(glob.glob(os.path.expanduser(pattern), recursive=True))  # noqa: PTH207, PTH111 - absolute patterns too
        files = [match for match in matches if os.path.isfile(match)]  # noqa: PTH113 - as above
        if not files:
            say(f"No file matches --file {pattern!r}.")
        paths |= {os.path.realpath(match): Path(match) for match in files}
    return list(paths.values())


def named(paths: list[Path], say: Say) -> Iterator[tuple[str, Path]]:
    """Names are one segment. Of two files with the same name, the second has its folder in it."""
    taken: set[str] = set()
    if len(paths) > MOST:
        say(f"{len(paths)} files match. The first {MOST} are uploaded.")
    for path in paths[:MOST]:
        name = path.name
        if name in taken:
            name = "_".join(part for part in path.parts if part not in ("/", "..", "."))
        taken.add(name)
        yield name, path
