"""Who may do what: one table, used by every door.

A principal is a caller with the rights of its credential. Scopes are a ladder: each includes all
below it. A job that the caller may not see answers 404; a job that it may see, but not change,
answers 403.
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

from msgspec import Struct

from livejobs.core.errors import Forbidden
from livejobs.core.model import Head

Scope: TypeAlias = Literal["view", "cancel", "report", "admin"]
Action: TypeAlias = Literal[
    "view", "cancel", "report", "create", "upload", "token", "delete", "own", "audit", "keys",
    "metrics", "stats", "trail", "webhooks",
]  # fmt: skip

LADDER: Final[tuple[Scope, ...]] = ("view", "cancel", "report", "admin")

NEEDS: Final[dict[Action, Scope]] = {
    "view": "view",
    "token": "view",  # a token has at most the caller's own rights
    "stats": "view",
    "trail": "view",  # who did what to a job
    "cancel": "cancel",
    "report": "report",
    "create": "report",
    "upload": "report",
    "delete": "admin",
    "own": "admin",  # create a job with another owner
    "audit": "admin",
    "keys": "admin",
    "webhooks": "admin",
    "metrics": "admin",  # unless the setting makes them public
}


# A token that is limited to some jobs may not do these: they are on no single job, or name others.
# Such a token may be in the hands of anyone who was given a link.
_OF_ALL: Final[frozenset[Action]] = frozenset(
    {"audit", "keys", "metrics", "stats", "trail", "webhooks"}
)
# Actions on no single project: a credential that is limited to some projects may not do them.
_OF_SERVER: Final[frozenset[Action]] = frozenset({"metrics"})

_RUNG: Final = {scope: rung for rung, scope in enumerate(LADDER)}


class Principal(Struct, frozen=True):
    """A caller, as its credential describes it."""

    name: str  # the owner of the jobs it creates; not unique
    scope: Scope = "admin"
    projects: tuple[str, ...] | None = None  # None: all projects
    jobs: frozenset[str] | None = None  # None: all jobs of its projects
    key: str | None = None  # its key, or the key that minted its token: revoked, it ends both
    expires_at: int | None = None
    token: bool = False  # the credential is a token, not a key
    session_until: int | None = None  # a token of a login, which can be renewed up to then
    cookie: bool = False  # the browser added it, so the page's origin must be checked

    @property
    def credential(self) -> str:
        """The caller's identity: the id of the key, for a key and its tokens, since a name can be
        given again. Other callers have their name, which no key's id starts like."""
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
    why_not = _why_not(by, action)
    if why_not is not None:
        raise why_not


def _why_not(by: Principal, action: Action) -> Forbidden | None:
    if not by.may(action):
        return Forbidden(
            f"This needs the scope {NEEDS[action]!r}; the credential has {by.scope!r}.",
            code="missing_scope",
        )
    if by.jobs is not None and action in _OF_ALL:
        return Forbidden("The credential is limited to some jobs.", code="foreign_job")
    if by.projects is not None and action in _OF_SERVER:
        return Forbidden(
            "The credential is limited to some projects, and this shows all of them.",
            code="foreign_project",
        )
    return None


def actions(by: Principal) -> tuple[Action, ...]:
    """Everything that the caller may do, in its projects and on its jobs."""
    return tuple(action for action in NEEDS if _why_not(by, action) is None)


def require_project(by: Principal, project: str) -> None:
    if not by.sees_project(project):
        raise Forbidden(f"The credential is not for project {project!r}.", code="foreign_project")


def require_id(by: Principal, id: str | None) -> None:
    """Check the id of a new job."""
    if by.jobs is not None and id not in by.jobs:
        raise Forbidden("The credential is limited to other jobs.", code="foreign_job")


def highest(scopes: tuple[Scope, ...] | list[Scope]) -> Scope:
    return max(scopes, key=LADDER.index)


def below(scope: Scope) -> tuple[Scope, ...]:
    """A scope and all scopes that it includes."""
    return LADDER[: LADDER.index(scope) + 1]
