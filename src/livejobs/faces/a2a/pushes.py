"""Push notification configs: webhooks of a job, in the format a2a."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Annotated, Any, Final

from msgspec import Meta as Bound
from msgspec import Struct
from starlette.responses import Response

from livejobs.core.access import require
from livejobs.core.errors import Invalid, NotFound
from livejobs.core.hooks import Event, Hook
from livejobs.core.model import ID_PATTERN
from livejobs.faces.base import Call
from livejobs.hooks.making import NewPush
from livejobs.jobs.state import Slot

EVENTS: Final[list[Event]] = ["started", "progress", "waiting", "stalled", "finished"]

NAME: Final = "default"  # of a config in a message, if it has none

# What a header can carry.
Token = Annotated[str, Bound(max_length=200, pattern=r"^[\x21-\x7e]*\Z")]
Scheme = Annotated[str, Bound(max_length=40, pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]*\Z")]
Credentials = Annotated[str, Bound(max_length=4000, pattern=r"^[\x20-\x7e]*\Z")]


class Authentication(Struct, rename="camel"):
    scheme: Scheme
    credentials: Credentials | None = None


class PushConfig(Struct, rename="camel"):
    url: Annotated[str, Bound(min_length=1, max_length=2000)]
    id: Annotated[str, Bound(pattern=f"{ID_PATTERN}|^\\Z")] | None = None
    task_id: str | None = None
    token: Token | None = None
    authentication: Authentication | None = None


def asked(config: PushConfig, name: str) -> NewPush:
    """The webhook that a config asks for."""
    auth, authorization = config.authentication, None
    if auth is not None and auth.scheme and auth.credentials:
        authorization = f"{auth.scheme} {auth.credentials}"
    return NewPush(
        config.url, EVENTS, config.token or None, "a2a", name=name, authorization=authorization
    )


def shown(hook: Hook, *, secrets: bool = False) -> dict[str, Any]:
    """A config as clients see it. Like every secret, its token and credentials are shown once."""
    config: dict[str, Any] = {"id": hook.name, "taskId": hook.job, "url": hook.url}
    if hook.secret is not None and secrets:
        config["token"] = hook.secret
    if hook.authorization is not None:
        scheme, _, credentials = hook.authorization.partition(" ")
        config["authentication"] = {"scheme": scheme}
        if secrets:
            config["authentication"]["credentials"] = credentials
    return config


# The ways


async def create(call: Call) -> Response:
    slot, config = await call.job(), await call.body(PushConfig)
    if config.task_id and config.task_id != slot.head.id:
        raise Invalid.at("/taskId", "The address names another task.")
    hook = await attach(call, slot, config, config.id or os.urandom(8).hex())
    return call.json(shown(hook, secrets=True))


async def attach(call: Call, slot: Slot, config: PushConfig, name: str) -> Hook:
    require(call.by, "create")  # as for the webhooks of a new job
    hooks = call.live.hooks
    return await hooks.attach(slot, asked(config, name), call.by)


async def listing(call: Call) -> Response:
    found = await _all(call)
    return call.json({"configs": [shown(it) for it in found], "nextPageToken": ""})


async def show(call: Call) -> Response:
    name = call.request.path_params["config"]
    found = [it for it in await _all(call) if it.name == name]
    if not found:
        raise NotFound(f"There is no config {name!r}.", code="webhook_not_found")
    return call.json(shown(found[-1]))


async def delete(call: Call) -> Response:
    slot, hooks = await call.job(), call.live.hooks
    await hooks.detach(slot, call.request.path_params["config"], call.by)
    return call.json({})


async def _all(call: Call) -> Sequence[Hook]:
    slot, hooks = await call.job(), call.live.hooks
    found = await hooks.list(call.by, slot.head)
    return [it for it in found if it.name is not None]
