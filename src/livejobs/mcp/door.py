"""The Model Context Protocol over Streamable HTTP: `POST /mcp`.

One POST has one message. Nothing is kept between two of them, so any node can answer any of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from livejobs.access.keyring import unauthorized
from livejobs.mcp import answers, rpc
from livejobs.mcp.call import MODERN, Call, Era, call_of, cancelled_id, key_of
from livejobs.mcp.lasting import Lasting
from livejobs.mcp.listening import LISTENERS, Listener, Listening
from livejobs.mcp.methods import LEGACY_ONLY, MODERN_ONLY, Method, agreed, ping
from livejobs.mcp.resources import JOBS, Document, Resources, Template
from livejobs.mcp.rpc import RpcError
from livejobs.mcp.tools.changing import CHANGING
from livejobs.mcp.tools.reading import READING
from livejobs.mcp.tools.tool import Tool, Tools
from livejobs.mcp.tools.waiting import WAITING
from livejobs.web import http
from livejobs.web.guard import find_credential, read, refuse_foreign
from livejobs.web.resource import Resource

TOOLS: Final[Sequence[Tool]] = (*READING, WAITING, *CHANGING)
TEMPLATES: Final[Sequence[Template]] = (JOBS,)
# A legacy client gets no updates of resources: it would need a session.
CAPABILITIES: Final[Mapping[Era, Mapping[str, Any]]] = {
    "modern": {"tools": {}, "resources": {"subscribe": True}},
    "legacy": {"tools": {}, "resources": {}},
}
INSTRUCTIONS: Final = (
    "livejobs shows long-running jobs that run elsewhere. Find a job with list_jobs, then call "
    "wait_for_job until it has ended. If a job is waiting, ask your user and call answer."
)
LASTING: Final = 300_000  # ms; tools and templates change only with a new version of the server


class Mcp:
    """The door. Each table can be extended: what is added has the place of our own."""

    def __init__(
        self,
        *,
        tools: Sequence[Tool] = TOOLS,
        resources: Sequence[Document] = (),
        templates: Sequence[Template] = TEMPLATES,
        listeners: Mapping[str, Listener] = LISTENERS,
        methods: Mapping[str, Method] | None = None,
        capabilities: Mapping[Era, Mapping[str, Any]] = CAPABILITIES,
    ) -> None:
        has, shown, listening = Tools(tools), Resources(resources, templates), Listening(listeners)
        self._capabilities = capabilities
        self._lasting = Lasting()
        self._methods: Mapping[str, Method] = {
            "server/discover": Method(self._discover, MODERN_ONLY, kept_ms=LASTING),
            "initialize": Method(self._initialize, LEGACY_ONLY),
            "ping": Method(ping, LEGACY_ONLY),
            "tools/list": Method(has.list, kept_ms=LASTING),
            "tools/call": Method(has.call, named="name"),
            "resources/list": Method(shown.list, kept_ms=0),
            "resources/templates/list": Method(shown.templates, kept_ms=LASTING),
            "resources/read": Method(shown.read, named="uri", kept_ms=0),
            "subscriptions/listen": Method(listening.listen, MODERN_ONLY),
            **(methods or {}),
        }

    @property
    def route(self) -> Resource:
        return Resource("/mcp", POST=read("view", self.post))

    # Opening

    async def _discover(self, call: Call) -> Mapping[str, Any]:
        return {
            "supportedVersions": MODERN,
            "capabilities": self._capabilities["modern"],
            "instructions": INSTRUCTIONS,
        }

    async def _initialize(self, call: Call) -> Mapping[str, Any]:
        return {
            "protocolVersion": agreed(call),
            "capabilities": self._capabilities["legacy"],
            "serverInfo": answers.SERVER,
            "instructions": INSTRUCTIONS,
        }

    # One message

    async def post(self, request: Request) -> Response:
        live = http.service(request)
        refuse_foreign(live, request.scope)
        keyring = live.keyring
        if keyring.closed and find_credential(request.scope)[1] != "header":
            raise unauthorized("Send the key in a header: Authorization: Bearer …")
        http.check_json(request.scope)
        body = await http.read_body(request.scope, request.receive, live.bounds.body)
        try:
            message = rpc.parse(body)
        except RpcError as error:
            return answers.refused(error, rpc.id_of(body))
        if message.notification:
            return self._take(request, message)
        return await self._answer(request, message)

    async def _answer(self, request: Request, message: rpc.Message) -> Response:
        method = self._methods.get(message.method)
        named = None if method is None else method.named
        try:
            call = call_of(request, message, self._lasting, named=named)
        except RpcError as error:
            return answers.refused(error, bytes(message.id).strip())
        try:
            return await self._run(call, method)
        except RpcError as error:
            return answers.refused(error, call.form.id, legacy=not call.modern)

    def _take(self, request: Request, message: rpc.Message) -> Response:
        """A notification. It gets no answer, whatever is in it."""
        if message.method == "notifications/cancelled":
            self._lasting.cancel(key_of(request, cancelled_id(message)))
        return Response(status_code=202)

    async def _run(self, call: Call, method: Method | None) -> Response:
        if method is None or call.era not in method.eras:
            raise RpcError(rpc.METHOD_NOT_FOUND, f"There is no method {call.method!r}.")
        found = await method.answer(call)
        if isinstance(found, Response):
            return found
        return answers.json(call.form, {**found, **method.hints(call)})
