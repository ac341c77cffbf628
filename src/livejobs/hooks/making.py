"""Make a webhook from what a client asks for, and show it without its secrets."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from msgspec.structs import replace

from livejobs.core.errors import Invalid
from livejobs.core.hooks import FORMATS, SIGNED, Format, Hook
from livejobs.core.reports import NewHook
from livejobs.core.times import wire_time
from livejobs.hooks.addresses import Allowed
from livejobs.hooks.formats import slack_edits
from livejobs.hooks.signing import is_secret, secret_of

OVERLAP: Final = 24 * 3600 * 1000  # ms for which messages carry the signatures of both secrets
SECRET_BYTES: Final = 32


class NewPush(NewHook, frozen=True):
    """A webhook that an A2A client asks for."""

    name: str = ""  # its id among the webhooks of its job
    authorization: str | None = None


class Maker:
    def __init__(self, allowed: Allowed) -> None:
        self._allowed = allowed

    def make(
        self, new: NewHook, at: str, *, project: str, job: str | None, by: str, now: int
    ) -> Hook:
        """`at`: where the client's wish stands in the body."""
        format = _format(new.format, f"{at}/format")
        url = self._url(new.url, f"{at}/url")
        if format == "ntfy" and not urlsplit(url).path.strip("/"):
            raise Invalid.at(f"{at}/url", "Expected the URL of a topic: https://ntfy.sh/my-topic.")
        if format == "slack" and not slack_edits(url) and "progress" in new.events:
            raise Invalid.at(
                f"{at}/events",
                "Slack's incoming webhooks can't edit a message, so each progress would be a new "
                "one. Leave out 'progress', or use the URL of chat.postMessage.",
            )
        push = new if isinstance(new, NewPush) else NewPush(new.url, new.events)
        return Hook(
            id=f"wh_{os.urandom(12).hex()}",
            project=project,
            url=url,
            events=tuple(dict.fromkeys(new.events)),
            format=format,
            created_at=now,
            by=by,
            job=job,
            secret=_secret(new.secret, format, url, f"{at}/secret"),
            name=push.name or None,
            authorization=push.authorization,
        )

    def many(
        self, new: Sequence[NewHook], *, project: str, job: str, by: str, now: int
    ) -> tuple[Hook, ...]:
        """The webhooks of a new job."""
        return tuple(
            self.make(it, f"/webhooks/{n}", project=project, job=job, by=by, now=now)
            for n, it in enumerate(new)
        )

    def _url(self, text: str, at: str) -> str:
        import httpx2  # noqa: PLC0415 - a sixth of a start, which few servers need

        try:
            url = httpx2.URL(text)
            port = url.port
        except (httpx2.InvalidURL, ValueError):
            raise Invalid.at(at, "Expected a URL.") from None
        if url.scheme not in ("http", "https") or not url.host or port == 0:
            raise Invalid.at(at, "Expected a URL with http:// or https://.")
        if not self._allowed.may_begin(url.host):
            raise Invalid.at(
                at,
                "This address is not public. The operator can allow it with the setting "
                "webhook_allow_private.",
            )
        return str(url.copy_with(fragment=None))


def _format(text: str, at: str) -> Format:
    for format in FORMATS:
        if format == text:
            return format
    raise Invalid.at(at, f"Expected one of: {', '.join(FORMATS)}.")


def _secret(given: str | None, format: Format, url: str, at: str) -> str | None:
    """Of a signed format, what signs; of others, the token that the receiver wants."""
    if format in SIGNED:
        if given is not None and not is_secret(given):
            raise Invalid.at(at, "Expected 'whsec_' and 24 to 64 bytes in base64.")
        return given or secret_of(os.urandom(SECRET_BYTES))
    wants = format in ("ntfy", "a2a") or (format == "slack" and slack_edits(url))
    if given is not None and not wants:
        raise Invalid.at(at, f"The format {format!r} has no secret but its URL. Leave it out.")
    if given is None and format == "slack" and wants:
        raise Invalid.at(at, "chat.postMessage needs the bot's token as secret.")
    if given is not None and not (given.isascii() and given.isprintable()):
        raise Invalid.at(at, "A token has only printable ASCII characters.")
    return given


def rotated(hook: Hook, given: str | None, now: int) -> Hook:
    if hook.format not in SIGNED:
        raise Invalid.at("", f"The format {hook.format!r} signs nothing. Create it anew instead.")
    secret = _secret(given, hook.format, hook.url, "/secret")
    return replace(hook, secret=secret, old_secret=hook.secret, old_until=now + OVERLAP)


def shown(hook: Hook) -> dict[str, Any]:
    """Without secrets."""
    return {
        "id": hook.id,
        "project": hook.project,
        "job": hook.job,
        "url": shown_url(hook.url, secret_path=hook.format in ("slack", "discord")),
        "events": hook.events,
        "format": hook.format,
        "created_at": wire_time(hook.created_at),
        "created_by": hook.by,
        "ended_at": wire_time(hook.ended_at),
        "ended": hook.ended,
    }


def made_secret(hook: Hook, given: str | None) -> dict[str, str]:
    """The secret, if the server has made it. It is shown this once."""
    return {} if given is not None or hook.secret is None else {"secret": hook.secret}


def of_new_job(hooks: Sequence[Hook], asked: Sequence[NewHook]) -> list[dict[str, Any]]:
    return [shown(it) | made_secret(it, new.secret) for it, new in zip(hooks, asked, strict=False)]


def shown_url(url: str, *, secret_path: bool) -> str:
    """The URL without what may be a secret: user, password, query, and the last part of a chat's
    path."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    path = parts.path
    if secret_path and "/" in path.rstrip("/"):
        path = f"{path.rstrip('/').rpartition('/')[0]}/…"
    return f"{parts.scheme}://{host}{path}{'?…' if parts.query else ''}"
