"""Which addresses count as one, and that counts return to zero."""

from __future__ import annotations

import pytest

from livejobs.access.limits import party
from livejobs.server.admission import Admission
from livejobs.web.guard import address


@pytest.mark.parametrize(
    ("host", "counted"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),  # IPv4 on an IPv6 listener
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("2001:db8:1:2::9", "2001:db8:1:2::"),
        ("fe80::1%eth0", "fe80::"),
        ("testclient", "testclient"),  # not an IP address
    ],
)
def test_a_party_is_an_address_or_a_network_of_ipv6(host: str, counted: str) -> None:
    assert party(host) == counted


def test_a_rate_counts_by_party_too() -> None:
    first, second = ((f"2001:db8:1:2::{n}", 1) for n in range(2))
    assert address(first) == address(second) == "2001:db8:1:2::"


def test_of_two_limits_the_one_that_is_exceeded_more_counts() -> None:
    admission = Admission(3, 1)
    assert admission.enter(("192.0.2.1", 1), 1) == 0
    assert admission.enter(("192.0.2.1", 2), 2) == 1
    assert admission.enter(("192.0.2.2", 1), 5) == 2


def test_the_count_of_an_address_is_dropped_with_its_last_connection() -> None:
    admission = Admission(9, 1)
    for port in (1, 2):
        admission.enter(("192.0.2.1", port), port)
    for port in (1, 2):
        admission.leave(("192.0.2.1", port))
    assert not admission.addresses


def test_without_a_limit_addresses_are_not_counted() -> None:
    admission = Admission(9, None)
    admission.enter(("192.0.2.1", 1), 1)
    assert not admission.addresses
    admission.leave(("192.0.2.1", 1))
