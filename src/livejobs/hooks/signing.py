"""Sign messages as Standard Webhooks does (https://www.standardwebhooks.com)."""

from __future__ import annotations

import binascii
import hmac
from base64 import b64decode, b64encode
from collections.abc import Iterable
from hashlib import sha256
from typing import Final

PREFIX: Final = "whsec_"
SIZES: Final = range(24, 65)  # bytes of a secret, by the standard


def secret_of(data: bytes) -> str:
    return PREFIX + b64encode(data).decode()


def is_secret(text: str) -> bool:
    try:
        return text.startswith(PREFIX) and len(_key(text)) in SIZES
    except (binascii.Error, ValueError):
        return False


def _key(secret: str) -> bytes:
    return b64decode(secret.removeprefix(PREFIX), validate=True)


def headers(id: str, at: int, body: bytes, secrets: Iterable[str]) -> dict[str, str]:
    """`at`: of this attempt, in ms. A receiver refuses old times, so an attempt has its own."""
    seconds = str(at // 1000)
    signed = b".".join((id.encode(), seconds.encode(), body))
    signatures = (hmac.new(_key(it), signed, sha256).digest() for it in secrets)
    return {
        "webhook-id": id,
        "webhook-timestamp": seconds,
        "webhook-signature": " ".join(f"v1,{b64encode(it).decode()}" for it in signatures),
    }
