"""Changes that no worker reports: of clients, of the sweeper, and of child jobs."""

from __future__ import annotations

from msgspec.structs import force_setattr as put
from msgspec.structs import replace

from livejobs.core.model import Failure, File, Head, Status
from livejobs.core.reducer.draft import Draft
from livejobs.core.reducer.moves import may


def cancel(head: Head, now: int, *, force: bool = False) -> Head:
    """End the job, or ask its worker to end it. The same head if that was asked for before."""
    draft = Draft(head, now)
    moved = draft.move("force_cancel" if force else "cancel")
    if head.cancel_requested and not moved:
        return head
    put(draft.head, "cancel_requested", True)
    draft.forget_question()
    return draft.finish()


def stall(head: Head, now: int) -> Head:
    if head.stalled or not may(head, "stall"):
        return head
    draft = Draft(head, now)
    draft.move("stall")
    put(draft.head, "stalled", True)
    return draft.finish()


def lose(head: Head, now: int, silent_seconds: float) -> Head:
    """While the job waits for a person, the clock for this stands still."""
    if head.waiting is not None or not may(head, "lose"):
        return head
    draft = Draft(head, now)
    draft.move("lose")
    message = f"The worker has sent nothing for {silent_seconds:.0f} seconds."
    put(draft.head, "error", Failure(message, code="lost"))
    return draft.finish()


def take_file(head: Head, file: File, now: int) -> Head:
    """Add the file to the job, or put it in place of the file with its name."""
    draft = Draft(head, now)
    draft.move("file")
    names = [it.name for it in head.files]
    files = [*head.files, file]
    if file.name in names:
        files[names.index(file.name)] = files.pop()
    put(draft.head, "files", tuple(files))
    if head.status == "running":  # a worker that sends a file is alive
        draft.put(heartbeat_at=now, stalled=False)
    return draft.finish()


def child_moved(head: Head, before: Status | None, after: Status, now: int) -> Head:
    """Count a child under its new status. A finished parent keeps the counts that it had."""
    if head.finished or before == after:
        return head
    if before is not None and not getattr(head.children, before):
        return head  # the child belongs to an earlier job with this id
    counts = {after: getattr(head.children, after) + 1}
    if before is not None:
        counts[before] = getattr(head.children, before) - 1
    draft = Draft(head, now)
    put(draft.head, "children", replace(head.children, **counts))
    return draft.finish()
