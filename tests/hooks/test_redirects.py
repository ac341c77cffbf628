"""A redirect of a receiver is followed a few times, with the same checks, and with no credentials
for others."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator

import pytest

from livejobs.hooks.addresses import Allowed
from livejobs.hooks.formats import A2A_TOKEN, Answer, CannotSend, Request, by_status
from livejobs.hooks.redirects import MOST, redirected
from livejobs.hooks.sending import Sender
from tests.support.certificate import Certificate
from tests.support.receiver import Got, Receiver, Reply

BODY = b'{"type":"job.test"}'


@pytest.fixture
async def sender() -> AsyncIterator[Sender]:
    sender = Sender(Allowed(["127.0.0.1"]))
    yield sender
    await sender.close()


def request(url: str, **headers: str) -> Request:
    return Request("POST", url, {"content-type": "application/json", **headers}, BODY)


def to(location: str, status: int = 307) -> Reply:
    return Reply(status, headers={"location": location})


def moved(got: Got) -> Reply:
    """Each path leads to the next: /3, /2, /1, /0."""
    left = int(got.path[1:])
    return to(f"/{left - 1}") if left else Reply()


@pytest.mark.parametrize("status", [307, 308])
async def test_the_same_request_goes_to_the_new_address(sender: Sender, status: int) -> None:
    with Receiver() as new, Receiver(lambda _: to(f"{new.url}/in?a=b#c", status)) as old:
        assert (await sender.send(request(old.url, **{"webhook-id": "msg_1"}))).status == 204
        [got] = new.got
    assert (got.method, got.path, got.body) == ("POST", "/in?a=b", BODY)
    assert got.headers["webhook-id"] == "msg_1"
    assert got.headers["host"] == f"127.0.0.1:{new.port}"


async def test_a_chain_has_an_end(sender: Sender) -> None:
    with Receiver(moved) as receiver:
        assert (await sender.send(request(f"{receiver.url}/{MOST}"))).status == 204
        assert len(receiver.got) == MOST + 1
        with pytest.raises(CannotSend, match=f"more than {MOST} times"):
            await sender.send(request(f"{receiver.url}/{MOST + 1}"))
        assert len(receiver.got) == 2 * (MOST + 1)


@pytest.mark.parametrize("status", [300, 301, 302, 303, 304])
async def test_a_redirect_that_would_change_the_method_is_a_failure(
    sender: Sender, status: int
) -> None:
    with Receiver() as new, Receiver(lambda _: to(new.url, status)) as old:
        asked = request(old.url)
        answer = await sender.send(asked)
        assert new.got == []
    assert f"redirects with {status}" in str(by_status(asked, answer).error)


@pytest.mark.parametrize("private", ["127.0.0.2", "localhost.", "2130706434", "[::1]", "10.0.0.1"])
async def test_each_address_of_a_chain_is_checked(private: str) -> None:
    names = {"127.0.0.1": "127.0.0.1", "localhost.": "127.0.0.3", "2130706434": "127.0.0.2"}
    sender = Sender(Allowed(["127.0.0.1"]), resolve=lambda host, port: [names.get(host, host)])
    with Receiver() as secret:
        target = to(f"http://{private}:{secret.port}/latest")
        with Receiver(lambda got: target if got.path == "/1" else to("/1")) as receiver:
            with pytest.raises(CannotSend, match="redirects to an address that is not public"):
                await sender.send(request(f"{receiver.url}/2"))
            assert [it.path for it in receiver.got] == ["/2", "/1"]
        assert secret.got == []
    await sender.close()


async def test_a_credential_stays_with_its_receiver(sender: Sender) -> None:
    with Receiver() as other, Receiver(lambda _: to(f"http://x:y@{other.url[7:]}/")) as receiver:
        await sender.send(request(receiver.url, authorization="Bearer xoxb-1"))
        await sender.send(request(receiver.url.replace("//", "//user:pass@")))
        assert ["authorization" in it.headers for it in receiver.got] == [True, True]
        assert ["authorization" in it.headers for it in other.got] == [False, False]
        await sender.send(request(receiver.url, **{A2A_TOKEN: "t0k"}))
        assert receiver.got[-1].headers[A2A_TOKEN] == "t0k"
        assert A2A_TOKEN not in other.got[-1].headers
    with Receiver(lambda got: Reply() if got.path == "/2" else to("/2")) as receiver:
        await sender.send(request(receiver.url, authorization="Bearer xoxb-1"))
        await sender.send(request(receiver.url.replace("//", "//user:pass@")))
        [_, token, _, basic] = [it.headers["authorization"] for it in receiver.got]
    assert token == "Bearer xoxb-1"
    assert basic.startswith("Basic ")


async def test_tls_is_not_left(certificate: Certificate) -> None:
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate.cert, certificate.key)
    sender = Sender(Allowed(["127.0.0.1", "localhost"]), tls=certificate.trust)
    with Receiver() as plain, Receiver(lambda _: to(plain.url), tls=server) as receiver:
        url = receiver.url.replace("127.0.0.1", "localhost")
        with pytest.raises(CannotSend, match="from https to http"):
            await sender.send(request(url))
        assert plain.got == []
    await sender.close()


WRONG = [
    "", "http://[::1", "http://h:0/", "http://h:99999/", "ftp://h/", "javascript:1", "http://@/",
    "file:///etc/passwd", "http://h/\x00", "http://h/ö", "http://ö.example/", "/a b",
    "/" + 9000 * "a",
]  # fmt: skip


@pytest.mark.parametrize("location", WRONG, ids=ascii)
def test_a_redirect_to_no_address_is_a_failure(location: str) -> None:
    with pytest.raises(CannotSend, match="no address"):
        redirected(request("http://h/in"), Answer(307, {"location": location}, b""))


def test_a_redirect_without_an_address_is_a_failure() -> None:
    with pytest.raises(CannotSend, match="no address"):
        redirected(request("http://h/in"), Answer(308, {}, b""))


@pytest.mark.parametrize(
    ("location", "url"),
    [
        ("there", "http://h/a/there"),
        ("/there", "http://h/there"),
        ("?b", "http://h/a/in?b"),
        ("//other/x", "http://other/x"),
        ("HTTPS://H:443/x", "https://H:443/x"),
    ],
)
def test_an_address_may_be_relative(location: str, url: str) -> None:
    followed = redirected(request("http://h/a/in"), Answer(307, {"location": location}, b""))
    assert followed is not None
    assert followed.url == url
