"""What a subscription asks for: which jobs, and how they are shown."""

from __future__ import annotations

from bisect import bisect_right
from typing import Final, Literal, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from livejobs.core.model import Entry, EntryKind, Head
from livejobs.live.form import Form

View: TypeAlias = Literal["state", "delta"]

# Messages a second. A channel has one of these rates: if each client chose freely, each would need
# a channel of its own, and every change would be encoded once for each.
RATES: Final = (0.1, 0.2, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 15.0, 20.0, 30.0, 60.0)


class Filter(Struct, frozen=True):
    """Which jobs of a project a feed carries. An empty field matches every job."""

    project: str
    statuses: frozenset[str] = frozenset()
    types: frozenset[str] = frozenset()
    tags: frozenset[str] = frozenset()
    ids: frozenset[str] = frozenset()
    parent: str | None = None
    owner: str | None = None

    def may_match(self, head: Head) -> bool:
        """Compare everything but the status, which is the only one of these that can change."""
        return (
            head.project == self.project
            and (not self.ids or head.id in self.ids)
            and (not self.types or head.type in self.types)
            and (not self.tags or not self.tags.isdisjoint(head.tags))
            and (self.parent is None or head.parent == self.parent)
            and (self.owner is None or head.owner == self.owner)
        )

    def matches(self, head: Head | None) -> bool:
        if head is None or (self.statuses and head.status not in self.statuses):
            return False
        return self.may_match(head)


class Options(Struct, frozen=True):
    """How a subscription shows its jobs. The view `logs` carries log lines and nothing else; only
    there do `level` and `after` select lines. The view `form` is worded by a face."""

    view: View | Literal["logs", "form"] = "state"
    logs: bool = False
    rate: float = 30.0
    level: int = 0  # the least level, an index into LEVELS
    after: int = 0  # only lines with a higher number
    form: Form | None = None  # of the view `form`

    @property
    def kinds(self) -> frozenset[EntryKind]:
        """Entries that are sent one by one. A feed's states come without them."""
        if self.form is not None:
            return self.form.kinds
        kinds: set[EntryKind] = {"results", "errors"} if self.view == "delta" else set()
        return frozenset(kinds | ({"logs"} if self.logs or self.view == "logs" else set()))

    @property
    def heads(self) -> bool:
        """Whether a change is sent that adds no entry of these kinds."""
        return self.view != "logs" if self.form is None else self.form.heads

    def over(self, head: Head) -> bool:
        """Whether a job's stream ends with this head."""
        return head.finished if self.form is None else self.form.over(head)

    def selects(self, entry: Entry) -> bool:
        return entry.level >= self.level and entry.n > self.after

    def paced(self) -> Options:
        """The same options with the highest of RATES that is not above the requested rate."""
        return replace(self, rate=RATES[max(0, bisect_right(RATES, self.rate) - 1)])
