"""Which hosts may reach the server, and by which names."""

from __future__ import annotations

import ipaddress

from livejobs.config.settings import SettingError, Settings

LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})


def is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def own_hosts(settings: Settings) -> frozenset[str] | None:
    """The host names to accept; None: any. Bound to loopback, the server refuses other names:
    a foreign page could point its own name at 127.0.0.1 and reach the server through its
    visitor's browser (DNS rebinding)."""
    if is_loopback(settings.host):
        return LOOPBACK | {settings.host, *settings.allowed_hosts}
    return frozenset(settings.allowed_hosts) or None


def refuse_strangers(settings: Settings) -> None:
    """Without keys every client is admin. So listen only on loopback, unless `open` is set."""
    if not settings.open and not is_loopback(settings.host):
        raise SettingError(
            "host",
            settings.host,
            "other machines can reach this address, and there are no keys. Create one with "
            "`livejobs key create` or LIVEJOBS_ADMIN_KEY=…, or allow everyone with --open",
        )
