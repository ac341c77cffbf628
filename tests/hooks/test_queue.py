"""The queue in memory: lanes in order, receivers within their bounds."""

from __future__ import annotations

from collections import Counter, defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import livejobs.hooks.queue
from livejobs.core.hooks import Event
from livejobs.hooks.queue import OF_RECEIVER, Queue
from livejobs.hooks.schedule import DAY, JITTER, PAUSES, pause
from livejobs.store.hooks import Waiting
from tests.support.examples import examples


def waiting(
    n: int, job: str = "a", receiver: str = "r", event: Event = "created", next_at: int = 0
) -> Waiting:
    return Waiting(n, f"hook-{receiver}", "default", job, event, receiver, 0, 0, next_at)


def test_a_lane_sends_one_after_another() -> None:
    queue = Queue()
    for n in (1, 2):
        assert queue.add(waiting(n))
    [first] = queue.start(0)
    assert queue.start(0) == []
    queue.done(first, again_at=None, failing=False)
    [second] = queue.start(0)
    assert (first.n, second.n) == (1, 2)
    queue.done(second, again_at=None, failing=False)
    assert (len(queue), queue.next_at(), queue.oldest()) == (0, None, None)


def test_what_waits_holds_up_its_lane_and_no_other() -> None:
    queue = Queue()
    for it in (waiting(1), waiting(2), waiting(3, "b")):
        queue.add(it)
    first, other = queue.start(0)
    queue.done(first, again_at=50, failing=False, attempts=1)
    queue.done(other, again_at=None, failing=False)
    assert (queue.start(49), queue.next_at()) == ([], 50)
    [again] = queue.start(50)
    assert (again.n, again.attempts) == (1, 1)


def test_a_failing_receiver_gets_one_request_at_a_time() -> None:
    queue = Queue()
    for n in range(20):
        queue.add(waiting(n + 1, job=f"j{n}"))
    started = queue.start(0)
    assert len(started) == OF_RECEIVER
    for it in started:
        queue.done(it, again_at=1_000, failing=True)
    [one] = queue.start(0)
    assert queue.start(0) == []
    queue.done(one, again_at=None, failing=False)
    assert len(queue.start(0)) == OF_RECEIVER


def test_a_slow_receiver_leaves_room_for_others() -> None:
    queue = Queue()
    for n in range(10):
        queue.add(waiting(n + 1, job=f"j{n}", receiver="slow"))
    assert len(queue.start(0)) == OF_RECEIVER
    queue.add(waiting(99, receiver="quick"))
    assert [it.n for it in queue.start(0)] == [99]


def test_progress_keeps_its_pace_and_other_events_do_not() -> None:
    queue = Queue()
    queue.add(waiting(1, event="progress"))
    [it] = queue.start(0)
    queue.done(it, again_at=None, failing=False, pace=500)
    queue.add(waiting(2, event="progress"))
    assert (queue.start(499), queue.next_at()) == ([], 500)
    [it] = queue.start(500)
    queue.done(it, again_at=None, failing=False, pace=1_000)
    queue.add(waiting(3, event="finished"))
    assert [it.n for it in queue.start(501)] == [3]


def test_a_clock_that_is_set_back_holds_up_nothing() -> None:
    queue, now, hour = Queue(), 10_000_000, 3_600_000
    queue.add(waiting(1, event="progress", next_at=now))
    [it] = queue.start(now)
    queue.done(it, again_at=None, failing=False, pace=now + 500)
    queue.add(waiting(2, event="progress", next_at=now))
    for n in range(OF_RECEIVER + 1):  # one more than may be under way
        queue.add(waiting(3 + n, job=f"j{n}", next_at=now))
    failed, *others = queue.start(now)
    queue.done(failed, again_at=now + 5_000, failing=False, attempts=1)
    now -= hour
    started = [*others, *queue.start(now), *queue.start(now + 5_000)]
    while started:
        queue.done(started.pop(), again_at=None, failing=False)
        started += queue.start(now + 5_000)
    assert len(queue) == 0


def test_a_receiver_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(livejobs.hooks.queue, "MOST_WAITING", 2)
    queue = Queue()
    assert [queue.add(waiting(n, receiver="r")) for n in (1, 2, 3)] == [True, True, False]
    assert queue.add(waiting(4, receiver="other"))
    [it, _] = queue.start(0)
    queue.done(it, again_at=None, failing=False)
    assert queue.add(waiting(5))


@settings(max_examples=examples(60), deadline=None)
@given(data=st.data())
def test_every_delivery_is_started_in_order_and_within_the_bounds(data: st.DataObject) -> None:
    queue, now, n = Queue(), 1_000_000, 0
    under_way: list[Waiting] = []
    sent: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    for _ in range(data.draw(st.integers(1, 60))):
        what = data.draw(st.sampled_from(("add", "start", "done", "later", "back")))
        if what == "add":
            n += 1
            receiver, job = data.draw(st.sampled_from("rs")), data.draw(st.sampled_from("abcdef"))
            event: Event = data.draw(st.sampled_from(("progress", "created")))
            queue.add(waiting(n, job, receiver, event, next_at=now))
        elif what == "done" and under_way:
            it = under_way.pop(data.draw(st.integers(0, len(under_way) - 1)))
            again = now + data.draw(st.integers(0, 9)) if data.draw(st.booleans()) else None
            failing, pace = data.draw(st.booleans()), data.draw(st.sampled_from((0, now + 5)))
            queue.done(it, again_at=again, failing=failing, pace=pace)
            if again is None:
                sent[it.hook, it.job].append(it.n)
        elif what == "later":
            now += data.draw(st.integers(0, 10))
        elif what == "back":
            now -= 2_000
        under_way += queue.start(now)
        assert max(Counter(it.receiver for it in under_way).values(), default=0) <= OF_RECEIVER
        assert max(Counter((it.hook, it.job) for it in under_way).values(), default=0) <= 1
    while len(queue):
        now += 100
        under_way += queue.start(now)
        assert under_way, "something waits, and nothing is started"
        for it in under_way:
            queue.done(it, again_at=None, failing=False)
            sent[it.hook, it.job].append(it.n)
        under_way = []
    assert all(numbers == sorted(set(numbers)) for numbers in sent.values())
    assert sum(map(len, sent.values())) == n


def test_the_pauses_begin_with_5_seconds_and_last_about_a_day() -> None:
    waits = [pause(n, 0.5) for n in range(1, len(PAUSES) + 2)]
    assert waits[0] == 5_000
    assert waits[-1] is None
    known = [it for it in waits if it is not None]
    assert known == sorted(known)
    assert 0.9 * DAY < sum(known) <= DAY
    assert [pause(1, chance) for chance in (0, 1)] == [5_000 * (1 - JITTER), 5_000 * (1 + JITTER)]


def test_a_receiver_may_ask_for_up_to_an_hour() -> None:
    assert pause(1, 0.5, 60) == 60_000
    assert pause(1, 0.5, 1) == 5_000
    assert pause(1, 0.5, 10**9) == 3_600_000
