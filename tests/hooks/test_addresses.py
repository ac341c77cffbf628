"""Webhooks reach public addresses only, and the one that was checked."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from livejobs.hooks.addresses import Allowed
from livejobs.hooks.formats import CannotSend, Request
from livejobs.hooks.sending import Sender
from tests.support.certificate import Certificate
from tests.support.receiver import Got, Receiver, Reply

NOT_PUBLIC = [
    "0.0.0.0", "10.1.2.3", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.8.8.8",
    "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.192", "192.168.1.1", "198.18.0.1",
    "203.0.113.9", "224.0.0.1", "239.1.1.1", "255.255.255.255", "168.63.129.16",
    "::", "::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::10.0.0.1", "64:ff9b::a00:1",
    "2002:a00:1::", "2001:db8::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fe80::1%eth0", "ff02::1",
    "2001::1",
]  # fmt: skip
PUBLIC = [
    "8.8.8.8",
    "172.32.0.1",
    "100.128.0.1",
    "2606:4700::1",
    "::ffff:8.8.8.8",
    "2002:808:808::",
]


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_special_addresses_are_not_reached(address: str) -> None:
    assert not Allowed().address(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_reached(address: str) -> None:
    assert Allowed().address(address)


def test_the_operator_can_allow_hosts_addresses_and_networks() -> None:
    allowed = Allowed(["10.0.0.0/8", "127.0.0.1", "Hooks.Internal", "fd00::/8"])
    for address in ("10.9.9.9", "::ffff:10.9.9.9", "127.0.0.1", "fd00::1"):
        assert allowed.address(address)
    for address in ("127.0.0.2", "192.168.0.1", "fe80::1"):
        assert not allowed.address(address)
    assert allowed.host("hooks.internal")
    assert allowed.host("HOOKS.internal.")
    assert not allowed.host("other.internal")
    assert allowed.may_begin("hooks.internal")
    assert allowed.may_begin("localhost")
    assert not Allowed().may_begin("localhost")
    assert not Allowed().may_begin("a.localhost.")
    assert Allowed().may_begin("example.org")


class Names:
    """A name server whose answers change."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        if not (answer := self.answers.pop(0)):
            raise OSError("no such name")
        return answer


def request(receiver: Receiver, host: str) -> Request:
    url = receiver.url.replace("127.0.0.1", host)
    return Request("POST", f"{url}/in", {"content-type": "application/json"}, b"{}")


HERE = Allowed(["127.0.0.1"])


async def test_the_request_goes_to_the_address_that_was_checked() -> None:
    names = Names(["127.0.0.1"], ["127.0.0.2"])
    sender = Sender(HERE, resolve=names)
    with Receiver() as receiver:
        assert (await sender.send(request(receiver, "rebind.example"))).status == 204
        [got] = receiver.got
        assert got.headers["host"] == f"rebind.example:{receiver.port}"
        assert names.asked == ["rebind.example"]
        await sender.close()  # the next request looks the name up again
        with pytest.raises(CannotSend, match="not public"):
            await sender.send(request(receiver, "rebind.example"))
        assert len(receiver.got) == 1
    await sender.close()


async def test_of_several_addresses_only_allowed_ones_are_tried() -> None:
    sender = Sender(HERE, resolve=Names(["127.0.0.2", "10.0.0.1", "127.0.0.1"], []))
    with Receiver() as receiver:
        assert (await sender.send(request(receiver, "many.example"))).status == 204
        with pytest.raises(CannotSend, match="has no address"):
            await sender.send(request(receiver, "none.example"))
    await sender.close()


async def test_numbers_that_are_addresses_are_checked_as_such() -> None:
    sender = Sender(Allowed())
    with Receiver() as receiver:
        for host in ("2130706433", "127.1", "0x7f.0.0.1", "localhost", "[::ffff:127.0.0.1]"):
            with pytest.raises(CannotSend, match=r"not public|no address"):
                await sender.send(request(receiver, host))
        assert receiver.got == []
    await sender.close()


async def test_the_certificate_must_be_of_the_name(certificate: Certificate) -> None:
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate.cert, certificate.key)
    sender = Sender(HERE, resolve=lambda host, port: ["127.0.0.1"], tls=certificate.trust)
    with Receiver(tls=server) as receiver:
        assert (await sender.send(request(receiver, "localhost"))).status == 204
        with pytest.raises(CannotSend, match="certificate"):
            await sender.send(request(receiver, "other.example"))
        assert len(receiver.got) == 1
    await sender.close()


async def test_credentials_of_the_url_are_sent_as_a_header() -> None:
    sender = Sender(HERE)
    with Receiver() as receiver:
        url = receiver.url.replace("127.0.0.1", "us%40er:pass@127.0.0.1")
        await sender.send(Request("POST", f"{url}/in", {}, b""))
        assert receiver.got[0].headers["authorization"] == "Basic dXNAZXI6cGFzcw=="
        assert "@" not in receiver.got[0].headers["host"]
    await sender.close()


async def test_a_receiver_that_does_not_answer_has_its_time() -> None:
    over = threading.Event()

    def hold(_: Got) -> Reply:
        over.wait(60)
        return Reply()

    sender = Sender(HERE, timeout=0.2)
    with Receiver(hold) as receiver:
        with pytest.raises(CannotSend, match=r"No answer within 0\.2 s"):
            await sender.send(request(receiver, "127.0.0.1"))
        over.set()
    await sender.close()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"", "not HTTP|connection failed"),
        (b"junk\r\n\r\n", "not HTTP"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n", "not HTTP"),
        (b"HTTP/1.1 200 OK\r\na: " + b"x" * 1_000_000, "not HTTP"),
        (b"HTTP/1.1 101 Switching\r\n\r\n", "not HTTP"),
    ],
)
async def test_an_answer_that_is_no_http_is_a_failure(answer: bytes, words: str) -> None:
    async with raw(answer) as url:
        sender = Sender(HERE)
        with pytest.raises(CannotSend, match=words):
            await sender.send(Request("POST", url, {}, b"{}"))
        await sender.close()


async def test_an_answer_whose_body_is_cut_is_an_answer() -> None:
    async with raw(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc") as url:
        sender = Sender(HERE)
        answer = await sender.send(Request("POST", url, {}, b"{}"))
        assert (answer.status, answer.body) == (200, b"abc")
        await sender.close()


@asynccontextmanager
async def raw(answer: bytes) -> AsyncIterator[str]:
    """A server that sends these bytes to each connection, and closes it."""

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(respond, "127.0.0.1")
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/in"
    server.close()


async def test_of_a_large_answer_only_the_beginning_is_read() -> None:
    sender = Sender(HERE)
    with Receiver(lambda _: Reply(200, b"x" * 1_000_000)) as receiver:
        answer = await sender.send(request(receiver, "127.0.0.1"))
        assert (answer.status, len(answer.body)) == (200, 64 * 1024)
    await sender.close()
