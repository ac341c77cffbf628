"""Which lines are entries of their own, and what is kept of the output."""

from __future__ import annotations

from livejobs.cli.run.account import BURST, LAST_BYTES, RATE, Account, Budget, Stream
from livejobs.cli.run.lines import Lines
from livejobs.cli.run.progress import Recognizer
from livejobs.client.worker.block import silent


def test_a_burst_is_allowed_and_then_so_many_lines_a_second() -> None:
    budget = Budget(0.0)
    assert budget.take(BURST, 0.0)
    assert not budget.take(1, 0.0)
    assert budget.take(int(RATE), 1.0)
    assert not budget.take(1, 1.0)
    assert budget.take(BURST, 1000.0)
    assert not budget.take(1, 1000.0)


def test_the_last_lines_are_kept_within_bounds() -> None:
    account = Account(silent(), Recognizer())
    stream = Stream("stdout", Lines())
    for number in range(1000):
        account.see(stream, b"line %d\n" % number)
    account.see(stream, b"\r 10%\r 20%")
    account.end(stream)
    assert account.last.split("\n")[-2:] == ["line 999", " 20%"]
    assert len(account.last.split("\n")) == 20
    account.see(stream, "é".encode() * 50_000 + b"\n")
    assert len(account.last.encode()) <= LAST_BYTES
