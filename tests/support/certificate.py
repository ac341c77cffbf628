"""A server certificate, and the authority that its clients must trust."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import NamedTuple

import trustme


class Certificate(NamedTuple):
    cert: Path
    key: Path
    authority: Path

    @property
    def flags(self) -> list[str]:
        return ["--ssl-certfile", str(self.cert), "--ssl-keyfile", str(self.key)]

    def trust(self, *protocols: str) -> ssl.SSLContext:
        """The SSL context of a client that offers these protocols."""
        context = ssl.create_default_context(cafile=self.authority)
        context.set_alpn_protocols(protocols)
        return context


def make_certificate(folder: Path) -> Certificate:
    made = Certificate(folder / "cert.pem", folder / "key.pem", folder / "authority.pem")
    authority = trustme.CA()
    server = authority.issue_cert("localhost", "127.0.0.1")
    server.cert_chain_pems[0].write_to_path(made.cert)
    server.private_key_pem.write_to_path(made.key)
    authority.cert_pem.write_to_path(made.authority)
    return made
