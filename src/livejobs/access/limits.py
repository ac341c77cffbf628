"""Limits: the answer that tells of each, and for rates a token bucket for each caller and kind of
call. No clock of its own."""

from __future__ import annotations

import re
from collections import OrderedDict
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from math import ceil
from typing import Final, NamedTuple

# The setting that a refusal tells of, by the code of the answer. Rates count for themselves, as
# they have one code; so do connections, which are refused before there is a request.
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

REMEMBERED: Final = 10_000  # callers; one that was quiet for so long has a full bucket anyway

_RATE = re.compile(r"([1-9][0-9]{0,8})/(s|m|h)\Z")
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0}


class Rate(NamedTuple):
    """So many calls in so many seconds; as many may come at once."""

    calls: int
    seconds: float

    @classmethod
    def parse(cls, text: str) -> Rate:
        found = _RATE.match(text)
        if found is None:
            raise ValueError("takes a number of calls a time, like '200/s', '50/m' or '1000/h'")
        return cls(int(found[1]), _SECONDS[found[2]])

    @property
    def policy(self) -> str:
        return f'"default";q={self.calls};w={self.seconds:.0f}'


@lru_cache(maxsize=4096)
def party(host: str) -> str:
    """What one party commonly has: an IPv4 address, or a /64 of IPv6."""
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:  # of no network
        return host
    if not isinstance(address, IPv6Address):
        return host
    return str(address.ipv4_mapped or IPv6Address(int(address) >> 64 << 64))


class Limiter:
    """The buckets of all callers for one rate."""

    def __init__(self, rate: Rate) -> None:
        self.rate = rate
        self.refused = 0
        self._a_call = rate.seconds / rate.calls  # takes so many seconds to fill up again
        self._most = rate.seconds + self._a_call / 1000  # more than sums of fractions miss
        # A bucket is the time at which it will be full: full now is any time past.
        self._full_at: OrderedDict[str, float] = OrderedDict()

    def take(self, caller: str, now: float) -> int:
        """0, or the whole seconds until a call is allowed for certain."""
        full_at = max(now, self._full_at.get(caller, now)) + self._a_call
        if full_at - now > self._most:
            self.refused += 1
            return ceil(full_at - now - self.rate.seconds)
        self._full_at[caller] = full_at
        self._full_at.move_to_end(caller)
        if len(self._full_at) > REMEMBERED:
            self._full_at.popitem(last=False)
        return 0
