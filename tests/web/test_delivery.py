"""Downloads as they go over the wire: the right bytes in the right form, or the right refusal,
whatever is asked for and whatever happens to the file meanwhile."""

from __future__ import annotations

import email
import hashlib
import os
import re
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from email.utils import parsedate_to_datetime
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import unquote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from livejobs.core.errors import Invalid
from livejobs.files.names import checked_name, disposition
from tests.support.desk import Desk, eventually, problem
from tests.support.examples import examples
from tests.web.test_ranges import Date, Same, Tags, dates, model, ranges, runs, sames, tags

SIZES: Final = (0, 1, 60, 5_000_000)  # the last takes several pieces
PAUSE: Final = 0.02  # seconds between two looks at something that moves with the time
FIELDS: Final = (
    "range", "if-range", "if-match", "if-none-match", "if-modified-since", "if-unmodified-since",
    "accept", "accept-encoding", "accept-language", "want-repr-digest", "want-content-digest",
    "prefer", "origin", "referer", "te", "cookie", "user-agent", "content-type",
)  # fmt: skip


LONG: Final = (b"x" * 9000, b'"' * 3000, b"bytes=" + b"0-0," * 2000, b'W/"a",' * 1000)


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


class Wire:
    """One connection that says whatever it is told to."""

    def __init__(self, port: int) -> None:
        self._connection = HTTPConnection("127.0.0.1", port, timeout=30)

    def ask(
        self, method: str, path: str, fields: list[tuple[str, bytes]], body: bytes | None = None
    ) -> Answer:
        self._connection.putrequest(method, path, skip_accept_encoding=True)
        for name, value in fields:
            self._connection.putheader(name, value)
        if body is not None:
            self._connection.putheader("content-length", str(len(body)))
        self._connection.endheaders(body)
        try:
            answer = self._connection.getresponse()
            headers = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, headers, answer.read())
        except HTTPException:
            self.close()
            raise

    def close(self) -> None:
        self._connection.close()


class Shelf:
    """Files of each size, and the wire to ask for them."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.job = desk.job()
        self.bytes = {f"f{size}": os.urandom(size) for size in SIZES}
        self.tags: dict[str, str] = {}
        for name, data in self.bytes.items():
            desk.put(self.job, name, data).raise_for_status()
            self.tags[name] = desk.http.head(f"{self.job}/files/{name}").headers["etag"]
        self.wire = Wire(desk.server.port)

    def ask(
        self, name: str, fields: list[tuple[str, bytes]], method: str = "GET", query: str = ""
    ) -> Answer:
        return self.wire.ask(method, f"{self.job}/files/{name}{query}", fields)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    desk = Desk(tmp_path_factory.mktemp("desk"))
    yield desk
    desk.close()


@pytest.fixture(scope="module")
def shelf(desk: Desk) -> Iterator[Shelf]:
    shelf = Shelf(desk)
    yield shelf
    shelf.wire.close()


over_the_wire = settings(max_examples=examples(60), suppress_health_check=[HealthCheck.too_slow])
names = st.sampled_from([f"f{size}" for size in SIZES])


# What is asked for


@over_the_wire
@given(names, ranges.map(str.strip), st.booleans())
def test_an_answer_has_exactly_the_bytes_it_says(
    shelf: Shelf, name: str, said: str, inline: bool
) -> None:
    field = ("range", "".join(it for it in said if it.isprintable()).encode("latin-1", "replace"))
    data = shelf.bytes[name]
    answer = shelf.ask(name, [field], query="?inline=1" if inline else "")
    asked = model(field[1].decode("latin-1").strip(" \t"), len(data)) if len(data) < 100 else ...
    if asked is not ...:
        wanted = set().union(*asked) if asked else set()
        unheard = asked is None or runs(wanted) > 16
        assert answer.status == (200 if unheard else 206 if wanted else 416)
    if answer.status == 416:
        assert answer.headers["content-range"] == f"bytes */{len(data)}"
        assert answer.headers["content-type"] == "application/problem+json"
        return
    assert answer.headers["etag"] == shelf.tags[name]
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["content-length"] == str(len(answer.body))
    if answer.status == 200:
        assert answer.body == data
        assert "content-range" not in answer.headers
    else:
        assert answer.status == 206
        check_parts(answer, data)


def check_parts(answer: Answer, data: bytes) -> None:
    """Each part is what its Content-Range says; one alone comes bare."""
    if "content-range" in answer.headers:
        assert answer.body == part(data, answer.headers["content-range"])
        assert not answer.headers["content-type"].startswith("multipart/")
        return
    kind = answer.headers["content-type"]
    message = email.message_from_bytes(f"content-type: {kind}\r\n\r\n".encode() + answer.body)
    assert message.get_content_type() == "multipart/byteranges"
    parts = message.get_payload()
    assert isinstance(parts, list)
    assert 2 <= len(parts) <= 16
    boundary = b"\r\n--" + str(message.get_boundary()).encode()
    bodies = [it.partition(b"\r\n\r\n")[2] for it in answer.body.split(boundary)[1:-1]]
    for it, body in zip(parts, bodies, strict=True):
        assert it["content-type"] == "application/octet-stream"
        assert body == part(data, it["content-range"])
    assert answer.body.endswith(boundary + b"--\r\n")


def part(data: bytes, content_range: str) -> bytes:
    unit, _, rest = content_range.partition(" ")
    where, _, size = rest.partition("/")
    first, _, last = where.partition("-")
    assert (unit, int(size)) == ("bytes", len(data))
    assert 0 <= int(first) <= int(last) < len(data)
    return data[int(first) : int(last) + 1]


@over_the_wire
@given(
    names,
    st.none() | tags(),
    st.none() | dates(),
    st.none() | tags(),
    st.none() | dates(),
    st.none() | sames,
    st.sampled_from(["bytes=0-", "bytes=1-3,5-8", "bytes=-1", "bytes=9999999-", "x"]),
)
def test_head_has_the_headers_of_get_and_is_never_partial(
    shelf: Shelf,
    name: str,
    match: Tags | None,
    unmodified: Date | None,
    none_match: Tags | None,
    modified: Date | None,
    same: Same | None,
    asked: str,
) -> None:
    conditions = {
        "if-match": match, "if-unmodified-since": unmodified, "if-none-match": none_match,
        "if-modified-since": modified,
    }  # fmt: skip
    fields = [
        (header, one.replace('"01a2,b"', shelf.tags[name]).encode("latin-1", "replace"))
        for header, field in {**conditions, "if-range": same}.items()
        for one in (field.values if field is not None else ())
    ]
    whole = shelf.ask(name, fields)
    head = shelf.ask(name, [*fields, ("range", asked.encode())], "HEAD")
    assert head.body == b""
    assert head.status == whole.status
    assert head.status in (200, 304, 412)
    for moment in ("date", "traceparent", "x-request-id"):
        head.headers.pop(moment, None)
        whole.headers.pop(moment, None)
    assert head.headers == whole.headers
    if whole.status == 304:
        assert whole.body == b""
        assert {"etag", "last-modified", "cache-control", "vary"} <= whole.headers.keys()
        assert "content-type" not in whole.headers
    if whole.status == 412:
        assert b'"precondition_failed"' in whole.body


def test_each_refusal_has_its_shape(shelf: Shelf) -> None:
    url, tag = f"{shelf.job}/files/f60", shelf.tags["f60"]
    ask = shelf.desk.http.get
    assert ask(url, headers={"if-none-match": f'"x", W/{tag}'}).status_code == 304
    problem(ask(url, headers={"if-match": '"x"'}), 412, "precondition_failed")
    past = problem(ask(url, headers={"range": "bytes=60-"}), 416, "range_not_satisfiable")
    assert "60 bytes" in past["detail"]
    old = "Thu, 01 Jan 2015 00:00:00 GMT"
    problem(ask(url, headers={"if-unmodified-since": old}), 412, "precondition_failed")
    stale = ask(url, headers={"range": "bytes=0-3", "if-range": '"of another"'})
    assert (stale.status_code, stale.content) == (200, shelf.bytes["f60"])


@over_the_wire
@given(
    st.sampled_from(["GET", "HEAD"]),
    st.lists(
        st.tuples(st.sampled_from(FIELDS), st.binary(max_size=60) | st.sampled_from(LONG)),
        max_size=4,
    ),
    st.text(max_size=20),
)  # fmt: skip
def test_no_header_makes_it_fail(
    desk: Desk, shelf: Shelf, method: str, fields: list[tuple[str, bytes]], query: str
) -> None:
    wire = Wire(desk.server.port)
    quoted = "".join(f"%{byte:02x}" for byte in query.encode())
    whole = [(name, value.translate(None, b"\r\n")) for name, value in fields]
    answer = wire.ask(method, f"{shelf.job}/files/f60?inline={quoted}", whole)
    wire.close()
    assert answer.status < 500


@over_the_wire
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["content-type", "content-digest", "repr-digest", "content-encoding",
                             "content-range", "expect", "if-match", "content-disposition"]),
            st.binary(max_size=60) | st.text("sha-256=:A;, /+", max_size=60).map(str.encode),
        ),
        max_size=3,
    ),
    st.binary(max_size=20),
)  # fmt: skip
def test_no_header_of_an_upload_makes_it_fail(
    desk: Desk, shelf: Shelf, fields: list[tuple[str, bytes]], body: bytes
) -> None:
    wire = Wire(desk.server.port)
    whole = [(name, value.translate(None, b"\r\n")) for name, value in fields]
    answer = wire.ask("PUT", f"{shelf.job}/files/put", whole, body)
    wire.close()
    assert answer.status < 500
    if answer.status in (200, 201):
        assert desk.http.get(f"{shelf.job}/files/put").content == body


# Names


DISPOSITION: Final = re.compile(
    r"""attachment; filename="([^"\\]*)"(?:; filename\*=UTF-8''([A-Za-z0-9!#$&+.^_`|~%-]*))?"""
)


def name_in(header: str) -> str:
    """As RFC 6266 has it read."""
    found = DISPOSITION.fullmatch(header)
    assert found is not None, header
    plain, extended = found.groups()
    return plain if extended is None else unquote(extended, errors="strict")


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=80))
def test_a_hostile_name_stays_in_its_quotes(said: str) -> None:
    try:
        name = checked_name(said)
    except Invalid:
        return
    header = disposition(name)
    assert header.isascii()
    assert header.isprintable()
    assert name_in(header) == name


@pytest.mark.parametrize("name", ['a"b', "100%.txt", "größe", "a;b=c", "é" * 127, "'", "ﬀ", " x "])
def test_a_name_of_any_kind_arrives_in_the_header(desk: Desk, name: str) -> None:
    job = desk.job()
    quoted = "".join(f"%{byte:02X}" for byte in name.encode())
    assert desk.put(job, quoted, b"x").json()["name"] == name
    header = desk.http.get(f"{job}/files/{quoted}").headers["content-disposition"]
    assert name_in(header) == name


# When it was modified


def said_date(headers: Mapping[str, str], name: str) -> float:
    return parsedate_to_datetime(headers[name]).timestamp()


def test_last_modified_never_moves_and_is_never_later_than_the_date(desk: Desk) -> None:
    """From the first moment on, for a young file, and for one that says it is from the future."""
    job, future = desk.job(), lay(desk, "future", 0)
    os.utime(future, (10**10, 10**10))
    desk.attach(job, path=str(future)).raise_for_status()
    desk.put(job, "young", b"x").raise_for_status()
    urls = [f"{job}/files/{name}" for name in ("young", "future")]
    first = {url: desk.http.head(url).headers for url in urls}
    end = said_date(first[urls[-1]], "date") + 2
    while True:
        for url in urls:
            then = desk.http.head(url).headers
            assert said_date(then, "last-modified") == said_date(first[url], "last-modified")
            assert said_date(then, "last-modified") <= said_date(then, "date")
        if said_date(then, "date") >= end:
            break
        time.sleep(PAUSE)
    for url in urls:
        same = {"if-modified-since": first[url]["last-modified"]}
        assert desk.http.get(url, headers=same).status_code == 304


def test_a_file_written_just_now_is_no_younger_than_its_answer(desk: Desk) -> None:
    """Whatever part of a second it is: the server's clock for Date must not run behind."""
    job, path = desk.job(), lay(desk, "growing", 0)
    desk.attach(job, path=str(path)).raise_for_status()
    seen: set[float] = set()
    while len(seen) < 3:
        os.utime(path)
        headers = desk.http.head(f"{job}/files/growing").headers
        assert said_date(headers, "last-modified") <= said_date(headers, "date")
        seen.add(said_date(headers, "last-modified"))
        time.sleep(PAUSE)


# While it is served


def started(desk: Desk, path: str, fields: str = "") -> socket.socket:
    """A download that has begun and is not read any further."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
    sock.settimeout(30)
    sock.connect(("127.0.0.1", desk.server.port))
    sock.sendall(f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n{fields}\r\n".encode())
    assert sock.recv(9, socket.MSG_PEEK).startswith(b"HTTP/1.1 ")
    return sock


def rest(sock: socket.socket, length: int = 1 << 60) -> bytes:
    """What comes until that much has come or the connection ends."""
    got = bytearray()
    try:
        while len(got) < length and (more := sock.recv(1 << 20)):
            got += more
    except ConnectionResetError:
        pass
    return bytes(got)


def body_of(sock: socket.socket) -> tuple[bytes, int]:
    """The body, and how long it was said to be."""
    with sock.makefile("rb") as file:
        said = -1
        while line := file.readline().strip():
            if line.lower().startswith(b"content-length:"):
                said = int(line.partition(b":")[2])
        try:
            return file.read(said), said
        except ConnectionResetError:
            return b"", said


LARGE: Final = 30 << 20  # more than the kernel takes from us at once


def lay(desk: Desk, name: str, size: int = LARGE) -> Path:
    path = desk.root / name
    with path.open("wb") as file:
        for _ in range(size >> 20):
            file.write(os.urandom(1 << 20))
    return path


def test_a_file_deleted_while_it_is_served_is_served_to_its_end(desk: Desk) -> None:
    job, path = desk.job(), lay(desk, "deleted")
    expected = hashlib.sha256(path.read_bytes()).hexdigest()
    desk.attach(job, path=str(path)).raise_for_status()
    with started(desk, f"{job}/files/deleted") as sock:
        path.unlink()
        data, _ = body_of(sock)
    assert hashlib.sha256(data).hexdigest() == expected


def test_a_client_that_leaves_before_its_second_answer_leaves_nothing_open(desk: Desk) -> None:
    job, path = desk.job(), lay(desk, "left")
    desk.attach(job, path=str(path)).raise_for_status()
    url = f"{job}/files/left"
    with started(desk, url, f"\r\nGET {url} HTTP/1.1\r\nhost: 127.0.0.1\r\n") as sock:
        sock.recv(1000)

    def open_files() -> list[str]:
        found = []
        for fd in Path(f"/proc/{desk.server.process.pid}/fd").iterdir():
            with suppress(FileNotFoundError):  # closed since it was listed
                found.append(str(fd.readlink()))
        return found

    eventually(lambda: str(path) not in open_files())


@pytest.mark.parametrize("asked", ["", "range: bytes=0-9,100-\r\n"])
def test_a_file_cut_short_while_it_is_served_is_an_answer_cut_short(desk: Desk, asked: str) -> None:
    job, path = desk.job(), lay(desk, "truncated")
    desk.attach(job, path=str(path)).raise_for_status()
    before = len(desk.server.stderr)
    with started(desk, f"{job}/files/truncated", asked) as sock:
        os.truncate(path, 25 << 20)
        data, said = body_of(sock)
    assert said >= LARGE
    assert len(data) < said
    assert b"\0" * 1000 not in data
    assert desk.http.get("/healthz").status_code == 200
    assert "Traceback" not in desk.server.stderr[before:]


def test_a_zip_is_cut_off_when_one_of_its_files_goes(desk: Desk) -> None:
    job, first, second = desk.job(), lay(desk, "first"), lay(desk, "second", 1 << 20)
    for path in (first, second):
        desk.attach(job, path=str(path)).raise_for_status()
    before = len(desk.server.stderr)
    with started(desk, f"{job}/files.zip") as sock:
        second.unlink()
        data = rest(sock)
    assert not data.endswith(b"\r\n0\r\n\r\n")
    assert "Traceback" not in desk.server.stderr[before:]


# What counts


def test_only_what_reached_the_end_counts(desk: Desk) -> None:
    job = desk.job()
    desk.put(job, "a", os.urandom(LARGE)).raise_for_status()
    url = f"{job}/files/a"
    tag = desk.http.head(url).headers["etag"]
    assert desk.http.get(url, headers={"if-none-match": tag}).status_code == 304
    assert desk.http.get(url, headers={"range": "bytes=0-99"}).status_code == 206
    assert desk.http.get(url, headers={"range": "bytes=0-9,50-59"}).status_code == 206
    assert desk.http.get(url, headers={"range": f"bytes={LARGE}-"}).status_code == 416
    started(desk, url).close()

    def acts() -> list[dict[str, int]]:
        found = desk.http.get("/v1/audit").json()["acts"]
        return [it["detail"] for it in found if it["job"] == job.rpartition("/")[2]]

    eventually(lambda: sum(it.get("answers", 1) for it in acts()) == 3)
    assert 120 <= sum(it["bytes"] for it in acts()) < LARGE

    def downloads() -> int:
        return int(desk.http.get(f"{job}/files").json()["files"][0]["downloads"])

    assert downloads() == 0
    assert desk.http.get(url, headers={"range": "bytes=-1"}).status_code == 206
    eventually(lambda: downloads() == 1)
