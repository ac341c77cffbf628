"""Limits: which setting a refusal is about, and a token bucket for each caller of a rate. The time
is an argument."""

from __future__ import annotations

import re
from collections import Counter, OrderedDict
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from math import ceil
from typing import Final, Literal, NamedTuple

from livejobs.config import Settings
from livejobs.core.errors import LivejobsError

# The setting behind a refusal, by the code of the response. Rates are not here, since all of them
# have one code; nor are connections, which are refused before there is a request.
LIMIT_OF: Final = {
    "queue_full": "max_queued",
    "too_many_unfinished": "max_unfinished",
    "body_too_large": "max_body_bytes",
    "head_too_large": "max_head_bytes",
    "line_too_long": "max_line_bytes",
    "batch_too_large": "max_batch",
    "too_many_subscriptions": "max_subscriptions",
    "too_many_connections": "max_connections_per_key",
    "file_too_large": "max_file_bytes",
    "files_full": "max_project_bytes",
}

REMEMBERED: Final = 10_000  # callers; the bucket of one quiet for that long is full again

_RATE = re.compile(r"([1-9][0-9]{0,8})/(s|m|h)\Z")
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0}


class Rate(NamedTuple):
    """A number of calls in a number of seconds. They may all come at once."""

    calls: int
    seconds: float

    @classmethod
    def parse(cls, text: str) -> Rate:
        found = _RATE.match(text)
        if found is None:
            raise ValueError("takes calls per time, like '200/s', '50/m' or '1000/h'")
        return cls(int(found[1]), _SECONDS[found[2]])

    @property
    def policy(self) -> str:
        return f'"default";q={self.calls};w={self.seconds:.0f}'


@lru_cache(maxsize=4096)
def party(host: str) -> str:
    """The addresses that one client can use: an IPv4 address, or an IPv6 /64."""
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:  # not an IP address
        return host
    if not isinstance(address, IPv6Address):
        return host
    return str(address.ipv4_mapped or IPv6Address(int(address) >> 64 << 64))


class Limiter:
    """The buckets of all callers for one rate."""

    def __init__(self, rate: Rate) -> None:
        self.rate = rate
        self.refused = 0
        self._a_call = rate.seconds / rate.calls  # seconds until one call is refilled
        self._most = rate.seconds + self._a_call / 1000  # with a margin for rounding
        # A bucket is stored as the time at which it is full again; a past time means full.
        self._full_at: OrderedDict[str, float] = OrderedDict()

    def take(self, caller: str, now: float) -> int:
        """Take one call: 0, or the whole seconds until a call is certainly allowed, which counts
        as a refusal."""
        wait = self.try_take(caller, now)
        self.refused += wait > 0
        return wait

    def try_take(self, caller: str, now: float) -> int:
        """The same for who asks again before refusing: nothing is counted."""
        full_at = max(now, self._full_at.get(caller, now)) + self._a_call
        if full_at - now > self._most:
            return ceil(full_at - now - self.rate.seconds)
        self._full_at[caller] = full_at
        self._full_at.move_to_end(caller)
        if len(self._full_at) > REMEMBERED:
            self._full_at.popitem(last=False)
        return 0


class Limits:
    """The rates of this server, and how often each limit has refused a request."""

    def __init__(self, settings: Settings) -> None:
        rates = {"read": settings.rate_read, "report": settings.rate_report}
        self._limiters = {
            kind: Limiter(Rate.parse(rate)) for kind, rate in rates.items() if rate is not None
        }
        self._refused: Counter[str] = Counter()  # by limit

    def limiter(self, rate: Literal["read", "report"]) -> Limiter | None:
        """None: calls of this kind have no rate."""
        return self._limiters.get(rate)

    def note_refusal(self, error: LivejobsError) -> None:
        """Count an error that a door answers with, if a limit caused it."""
        if error.code in LIMIT_OF:
            self._refused[LIMIT_OF[error.code]] += 1

    def refusals(self) -> dict[str, int]:
        """Requests refused, by limit."""
        rates = {f"rate_{kind}": 0 for kind in ("read", "report")}
        rates |= {f"rate_{kind}": limiter.refused for kind, limiter in self._limiters.items()}
        return {limit: self._refused[limit] for limit in LIMIT_OF.values()} | rates
