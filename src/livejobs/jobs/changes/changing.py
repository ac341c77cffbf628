"""Cancel, answer and delete jobs, and record who did."""

from __future__ import annotations

from typing import Any

from livejobs.core import reducer
from livejobs.core.access import Principal
from livejobs.core.errors import Conflict
from livejobs.core.questions import check_answer
from livejobs.jobs.changes.acts import act_on
from livejobs.jobs.commit.committer import Committer
from livejobs.jobs.commit.transaction import Transaction
from livejobs.jobs.reader import Reader
from livejobs.jobs.state import Slot


class Changing:
    def __init__(self, committer: Committer, reader: Reader) -> None:
        self._committer = committer
        self._reader = reader

    async def cancel(self, id: str, *, force: bool, by: Principal) -> Slot:
        slot = await self._reader.find(id, by)

        def operation(transaction: Transaction) -> None:
            head = transaction.present(slot)
            after = reducer.cancel(head, transaction.now, force=force)
            if after is not head:
                record = act_on(
                    head, transaction.now, by, "cancel", **({"force": True} if force else {})
                )
                transaction.change(slot, after, audit=record)

        with slot.held():
            await self._committer.submit(operation)
        return slot

    async def answer(self, id: str, value: Any, *, n: int | None, by: Principal) -> Slot:
        """Answer the question that the job waits for. Raises NotWaiting."""
        slot = await self._reader.find(id, by)
        # A question's number is never given again: checked now, the value still fits it below.
        question = reducer.open_question(slot.head, n)
        check_answer(value, question.schema)

        def operation(transaction: Transaction) -> None:
            head = transaction.present(slot)
            after = reducer.answer(head, question.n, value, by.name, transaction.now)
            record = act_on(head, transaction.now, by, "answer", n=question.n)
            transaction.change(slot, after, audit=record)

        with slot.held():
            await self._committer.submit(operation)
        return slot

    async def delete(self, id: str, *, by: Principal) -> None:
        slot = await self._reader.find(id, by)

        def operation(transaction: Transaction) -> None:
            head = transaction.present(slot)
            if not head.finished:
                raise Conflict(
                    f"Job {id!r} is {head.status}. Only a finished job can be deleted; cancel it "
                    "first.",
                    code="job_not_finished",
                )
            transaction.delete(slot, act_on(head, transaction.now, by, "delete"))

        with slot.held():
            await self._committer.submit(operation)
