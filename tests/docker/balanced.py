"""The proxies of docker/, each in front of three nodes, with its configuration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Final

from tests.interop.proxies import Caddy, HAProxy, Nginx, Proxy
from tests.support.server import Running

DOCKER: Final = Path(__file__).parents[2] / "docker"


class Balanced(Proxy):
    """In front of `others` too. Without others, all three nodes are the first one."""

    folder = DOCKER
    also: ClassVar[Mapping[str, str]] = {}  # what else the test changes in the file
    noticed: ClassVar[str] = ""  # in the log, once no node is ready

    def __init__(
        self,
        upstream: Running,
        home: Path,
        changes: Mapping[str, str] | None = None,
        *,
        others: Sequence[int] = (),
    ) -> None:
        self.ports = (upstream.port, *(others or (upstream.port, upstream.port)))
        super().__init__(upstream, home, {**self.also, **(changes or {})})

    def to(self, port: int) -> dict[str, str]:
        return {f"livejobs{n}:8000": f"127.0.0.1:{each}" for n, each in enumerate(self.ports, 1)}

    @property
    def log(self) -> str:
        return (self.home / "log").read_text()


class BalancedNginx(Balanced, Nginx):
    also: ClassVar = {
        " resolve ": " ",  # Debian's nginx is older, and these nodes have no names
        "/run/nginx.pid": "nginx.pid",
        "http {": "http {\n" + "".join(f"{kind}_temp_path {kind};\n" for kind in Nginx.kinds),
    }

    def prepare(self) -> list[str]:
        return ["-p", str(self.home), "-c", self.file, "-g", "daemon off; master_process off;"]


class BalancedCaddy(Balanced, Caddy):
    listens = "http://127.0.0.1:{} {{"
    also: ClassVar = {
        "grace_period 10s": "admin off",
        "health_interval 2s": "health_interval 200ms",
    }
    noticed = "status code out of tolerances"


class BalancedHAProxy(Balanced, HAProxy):
    also: ClassVar = {"inter 2s": "inter 200ms"}
    noticed = " unready/"


BALANCED: Final[tuple[type[Balanced], ...]] = (BalancedNginx, BalancedCaddy, BalancedHAProxy)
