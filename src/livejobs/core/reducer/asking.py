"""A question of a job and its answer, from the report that asks to the one that confirms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec.structs import force_setattr as put

from livejobs.core import reports as say
from livejobs.core.errors import Conflict
from livejobs.core.model import Answer, Head, Question
from livejobs.core.reducer.draft import Draft


class NotWaiting(Conflict):
    title = "The job does not wait for this answer"
    default_code = "not_waiting"


def ask(draft: Draft, report: say.Ask, now: int) -> None:
    """A question takes the place of the one before: with two, two answers would have to be kept.
    But the same question of another producer is the one that a worker before it asked."""
    head = draft.head
    asker = None
    if report.producer is not None and report.n is not None:
        asker = (report.producer, report.n)
    if not _continues(head, report):
        n = head.questions + 1
        question = Question(n, report.prompt, now, report.schema)
        draft.put(questions=n, waiting=question, answer=None, replied=None)
    put(head, "asker", asker)


def _continues(head: Head, report: say.Ask) -> bool:
    last = head.waiting or head.replied
    if last is None or head.asker is None or report.n is None:
        return False
    same = (last.prompt, last.schema) == (report.prompt, report.schema)
    return same and report.producer not in (None, head.asker[0])


def answered(draft: Draft, n: int) -> None:
    """Another number is of a question that is gone."""
    head = draft.head
    if head.answer is not None and head.answer.n == n:
        draft.put(answer=None, replied=None)
    if head.waiting is not None and head.waiting.n == n:
        put(head, "waiting", None)


def answer(head: Head, n: int | None, value: Any, by: str, now: int) -> Head:
    """Take the answer to the open question. `n`: only if that is its number. The value was
    checked. Raises NotWaiting."""
    question = open_question(head, n)
    draft = Draft(head, now)  # no move: a job waits only while it runs
    draft.put(waiting=None, answer=Answer(question.n, value, by), replied=question)
    return draft.finish()


def open_question(head: Head, n: int | None) -> Question:
    question = head.waiting
    if question is None:
        raise NotWaiting(
            f"Job {head.id!r} does not wait for an answer. Its status is {head.status!r}."
        )
    if n is not None and n != question.n:
        raise NotWaiting(f"Job {head.id!r} waits for the answer to question {question.n}, not {n}.")
    return question


def asked(head: Head, reports: Sequence[say.AnyReport]) -> int | None:
    """The number of the question that these reports asked, once they are in the head. None: they
    asked none, or another producer has asked since."""
    if not head.questions:
        return None
    last = next((it for it in reversed(reports) if type(it) is say.Ask), None)
    if last is None:
        return None
    by = None if last.producer is None or last.n is None else (last.producer, last.n)
    return head.questions if by == head.asker else None
