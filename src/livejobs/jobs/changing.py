"""Cancel and delete jobs, and record who did."""

from __future__ import annotations

from typing import Any

from livejobs.core import reducer
from livejobs.core.access import Principal
from livejobs.core.errors import Conflict
from livejobs.core.model import Head
from livejobs.jobs.committer import Committer, Draft
from livejobs.jobs.reader import Reader
from livejobs.jobs.state import Slot
from livejobs.store.base import Act


class Changing:
    def __init__(self, committer: Committer, reader: Reader) -> None:
        self._committer = committer
        self._reader = reader

    async def cancel(self, id: str, *, force: bool, by: Principal) -> Slot:
        slot = await self._reader.find(id, by)

        def act(draft: Draft) -> None:
            head = draft.present(slot)
            after = reducer.cancel(head, draft.now, force=force)
            if after is not head:
                noted = _act(draft, by, "cancel", head, {"force": True} if force else {})
                draft.change(slot, after, act=noted)

        with slot.held():
            await self._committer.submit(act)
        return slot

    async def delete(self, id: str, *, by: Principal) -> None:
        slot = await self._reader.find(id, by)

        def act(draft: Draft) -> None:
            head = draft.present(slot)
            if not head.finished:
                raise Conflict(
                    f"Job {id!r} is {head.status}. Only a finished job can be deleted; cancel it "
                    "first.",
                    code="job_not_finished",
                )
            draft.delete(slot, _act(draft, by, "delete", head, {}))

        with slot.held():
            await self._committer.submit(act)


def _act(draft: Draft, by: Principal, action: str, head: Head, detail: dict[str, Any]) -> Act:
    return Act(draft.now, by.name, action, head.project, head.id, detail, by.key)
