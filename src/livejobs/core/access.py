"""Who may do what: one table, asked by every door.

A principal is what a credential makes of a caller. Scopes are a ladder, each with all below it.
What a caller may not see is not there for it (404); what it sees but may not touch is 403.
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

from msgspec import Struct

from livejobs.core.errors import Forbidden
from livejobs.core.model import Head

Scope: TypeAlias = Literal["view", "cancel", "report", "admin"]
Action: TypeAlias = Literal[
    "view", "cancel", "report", "create", "upload", "token", "delete", "own", "audit", "keys",
    "metrics",
]  # fmt: skip

LADDER: Final[tuple[Scope, ...]] = ("view", "cancel", "report", "admin")

NEEDS: Final[dict[Action, Scope]] = {
    "view": "view",
    "token": "view",  # no more than the caller's own rights go into one
    "cancel": "cancel",
    "report": "report",
    "create": "report",
    "upload": "report",
    "delete": "admin",
    "own": "admin",  # to name another as a job's owner
    "audit": "admin",
    "keys": "admin",
    "metrics": "admin",  # unless the setting lets all read them
}


# What is of no job: not for a token that is limited to some.
_OF_ALL: Final[frozenset[Action]] = frozenset({"audit", "keys", "metrics"})
# What is of no project: not for a credential that is limited to some.
_OF_SERVER: Final[frozenset[Action]] = frozenset({"metrics"})

_RUNG: Final = {scope: rung for rung, scope in enumerate(LADDER)}


class Principal(Struct, frozen=True):
    """A caller, as its credential says."""

    name: str  # the owner of the jobs it creates; more than one may have it
    scope: Scope = "admin"
    projects: tuple[str, ...] | None = None  # None: all of them
    jobs: frozenset[str] | None = None  # None: all of its projects
    key: str | None = None  # the key it stands on; when that goes, so does this
    expires_at: int | None = None
    token: bool = False  # not a key itself
    cookie: bool = False  # the browser sent it by itself, so where the page came from matters

    @property
    def credential(self) -> str:
        """Who it is: a key with its tokens, by the key's id, since a name can be given again.
        Others by their name, which starts as no key's id does."""
        return self.key or self.name

    @property
    def default_project(self) -> str:
        return (
            self.projects[0] if self.projects is not None and len(self.projects) == 1 else "default"
        )

    def may(self, action: Action) -> bool:
        return _RUNG[self.scope] >= _RUNG[NEEDS[action]]

    def sees(self, head: Head) -> bool:
        return self.sees_project(head.project) and (self.jobs is None or head.id in self.jobs)

    def sees_project(self, project: str) -> bool:
        return self.projects is None or project in self.projects


# Without keys everyone is admin.
ANONYMOUS: Final = Principal("anonymous")


def require(by: Principal, action: Action) -> None:
    if not by.may(action):
        raise Forbidden(
            f"This takes the scope {NEEDS[action]!r}; the credential has {by.scope!r}.",
            code="missing_scope",
        )
    if by.jobs is not None and action in _OF_ALL:
        raise Forbidden("The credential is for some jobs only.", code="foreign_job")
    if by.projects is not None and action in _OF_SERVER:
        raise Forbidden(
            "The credential is for some projects only, and this shows all of them.",
            code="foreign_project",
        )


def require_project(by: Principal, project: str) -> None:
    if not by.sees_project(project):
        raise Forbidden(f"The credential is not for project {project!r}.", code="foreign_project")


def require_id(by: Principal, id: str | None) -> None:
    """For a job that is about to be made."""
    if by.jobs is not None and id not in by.jobs:
        raise Forbidden(
            "The credential is for some jobs only, and not for this.", code="foreign_job"
        )


def highest(scopes: tuple[Scope, ...] | list[Scope]) -> Scope:
    return max(scopes, key=LADDER.index)


def below(scope: Scope) -> tuple[Scope, ...]:
    """A scope and all that it includes."""
    return LADDER[: LADDER.index(scope) + 1]
