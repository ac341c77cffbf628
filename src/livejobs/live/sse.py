"""The event encoder of sse-starlette, loaded without the rest of the package.

Importing the package replaces `uvicorn.Server.handle_exit`, and that would change every uvicorn
server of a process into which livejobs is mounted. The encoder's module needs nothing else of
the package. A host that uses sse-starlette imports it as usual.
"""

from __future__ import annotations

from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sse_starlette.event import ServerSentEvent


def _load() -> Any:
    package = find_spec("sse_starlette")  # finds it, and does not run it
    assert package is not None
    assert package.submodule_search_locations
    path = Path(package.submodule_search_locations[0], "event.py")
    spec = spec_from_file_location(f"{__name__}_event", path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.ServerSentEvent


if not TYPE_CHECKING:
    ServerSentEvent = _load()

__all__ = ["ServerSentEvent"]
