"""The questions of a process on one job: from the call that asks to the answer.

A receipt names the question that its reports asked, the question that is open, and the answer. A
question whose number is in neither place any more is void. Nothing here sends, waits or locks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any


class Question:
    def __init__(self, told: Callable[[], None]) -> None:
        """`told` is called once, from any thread: there is an answer, or there will be none."""
        self.record = 0  # the number of its report
        self.n: int | None = None  # the server's; None: not known yet; 0: the server has none
        self.settled = False
        self.value: Any = None
        self._told = told

    def settle(self, value: Any = None) -> None:
        if not self.settled:
            self.value = value
            self.settled = True
            self._told()


class Questions:
    def __init__(self) -> None:
        self._open: list[Question] = []

    @property
    def open(self) -> bool:
        return bool(self._open)

    def add(self, question: Question, record: int) -> None:
        question.record = record
        self._open.append(question)

    def give_up(self, question: Question) -> int | None:
        """Nobody waits for it any more. Returns the number to confirm. None: the answer to its
        report is to come, and `hear` confirms then."""
        question.settle()  # before looking: `hear` sets the number, and looks at this after it
        return question.n

    def hear(self, said: Mapping[str, Any], through: int, *, cancelled: bool) -> list[int]:
        """A receipt, with which all reports up to `through` are answered for. Returns the numbers
        to confirm."""
        self._number(said, through)
        answer = said.get("answer")
        n, value = (answer.get("n"), answer.get("value")) if isinstance(answer, dict) else (0, None)
        done: list[int] = []
        for question in tuple(self._open):
            if cancelled:
                question.settle()
            if question.n is None:
                continue
            here = question.n and question.n in (n, said.get("waiting"))
            if here and question.n != n and not question.settled:
                continue
            self._open.remove(question)
            question.settle(value if here and question.n == n else None)
            if here:
                done.append(question.n)
        return done

    def _number(self, said: Mapping[str, Any], through: int) -> None:
        """The receipt names the last question of its request. Others before it are void."""
        new = [it for it in self._open if it.n is None and it.record <= through]
        for question in new:
            question.n = 0
        asked = said.get("asked")
        if new and isinstance(asked, int):
            new[-1].n = asked

    def end(self) -> None:
        """The server takes nothing more for this job."""
        for question in self._open:
            question.settle()
        self._open.clear()
