"""A job as a task, with all its artifacts."""

from __future__ import annotations

from typing import Final

from livejobs.core.model import Head
from livejobs.faces.given import Around, ResultLine, all_of
from livejobs.hooks import a2a

NEEDS: Final = all_of("results")


def shape(head: Head, around: Around) -> a2a.Task:
    results = around.results.each(result_of)
    return a2a.task(head, [*results, *a2a.artifacts_of(head, f"{around.origin}{around.base}")])


def bare(head: Head) -> a2a.Task:
    """Without artifacts."""
    return a2a.task(head, None)


def result_of(line: ResultLine) -> a2a.Artifact:
    return a2a.result_artifact(line.n, line.value)
