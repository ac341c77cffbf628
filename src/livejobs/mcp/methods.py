"""The methods of the protocol: one table, and the ways that open a conversation."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeAlias

import msgspec
from msgspec import Struct
from starlette.responses import Response

from livejobs.mcp import rpc
from livejobs.mcp.call import LEGACY, Call, Era

Answer: TypeAlias = Callable[[Call], Awaitable[Mapping[str, Any] | Response]]

BOTH: Final[frozenset[Era]] = frozenset({"modern", "legacy"})
MODERN_ONLY: Final[frozenset[Era]] = frozenset({"modern"})
LEGACY_ONLY: Final[frozenset[Era]] = frozenset({"legacy"})


class Method(Struct, frozen=True):
    """How a method is answered. `named`: the parameter that the header Mcp-Name repeats.
    `kept_ms`: how long a client may keep the result; None: it is no result to keep."""

    answer: Answer
    eras: frozenset[Era] = BOTH
    named: str | None = None
    kept_ms: int | None = None

    def hints(self, call: Call) -> Mapping[str, Any]:
        """What is shown depends on the credential, so nobody else may get it from a cache."""
        if self.kept_ms is None or not call.modern:
            return {}
        return {"ttlMs": self.kept_ms, "cacheScope": "private"}


class _Initialize(Struct, frozen=True):
    version: str = msgspec.field(default=LEGACY[0], name="protocolVersion")


_initialize: Final = msgspec.json.Decoder(_Initialize)


def agreed(call: Call) -> str:
    """The version for a legacy client: the requested one, or the newest of its era."""
    asked: _Initialize = rpc.params(_initialize, call.params)
    return asked.version if asked.version in LEGACY else LEGACY[0]


async def ping(call: Call) -> Mapping[str, Any]:
    return {}
