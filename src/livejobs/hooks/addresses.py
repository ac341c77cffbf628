"""Which addresses a webhook may reach. Without this rule, whoever creates a job could make the
server send requests to machines that only the server can reach."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, TypeAlias

Address: TypeAlias = IPv4Address | IPv6Address

# IANA's registries of special addresses. Python's own lists differ between its versions.
_NOT_PUBLIC: Final = tuple(
    ip_network(it)
    for it in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16",
        "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16",
        "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
        "168.63.129.16/32",  # public, but each machine of Azure has its own metadata there
        "100::/64", "2001::/23", "2001:db8::/32", "3fff::/20", "5f00::/16", "fc00::/7",
        "fe80::/10", "fec0::/10", "ff00::/8",
    )
)  # fmt: skip
# Addresses of IPv6 that lead to an address of IPv4, and how many bits follow that.
_LEADS_TO_V4: Final = (
    (IPv6Network("::/96"), 0),
    (IPv6Network("::ffff:0:0/96"), 0),
    (IPv6Network("64:ff9b::/96"), 0),
    (IPv6Network("64:ff9b:1::/48"), 0),
    (IPv6Network("2002::/16"), 80),
)


def is_public(address: Address) -> bool:
    if isinstance(address, IPv6Address):
        for network, after in _LEADS_TO_V4:
            if address in network:
                return is_public(IPv4Address(int(address) >> after & 0xFFFF_FFFF))
    return not any(address in network for network in _NOT_PUBLIC)


class Allowed:
    """The rule, with what the operator allows besides: hosts, addresses and networks."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._networks = []
        self._hosts = set()
        for name in names:
            try:
                self._networks.append(ip_network(name, strict=False))
            except ValueError:
                self._hosts.add(name.lower().rstrip("."))

    def host(self, host: str) -> bool:
        """Whether every address of this host is allowed."""
        return host.lower().rstrip(".") in self._hosts

    def address(self, text: str) -> bool:
        address = ip_address(text.partition("%")[0])
        mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
        return is_public(address) or any((mapped or address) in it for it in self._networks)

    def may_begin(self, host: str) -> bool:
        """What can be said of a host before its name is resolved."""
        name = host.lower().rstrip(".")
        if self.host(name):
            return True
        try:
            return self.address(name)
        except ValueError:
            if name == "localhost" or name.endswith(".localhost"):
                return self.address("127.0.0.1")
            return True
