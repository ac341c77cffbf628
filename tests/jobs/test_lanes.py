"""Places in a queue and their estimates. A place moves without a change of its job."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from livejobs.core.model import Head
from livejobs.core.wire import Queue
from livejobs.jobs.lanes import Lane, Lanes, Ticket


def head(type: str | None = "render", project: str = "default", queued_at: int = 0) -> Head:
    return Head("j", project, "me", 0, 0, queued_at, type=type)


def places(lane: Lane, tickets: list[Ticket], now: int = 0) -> list[Queue]:
    return [lane.place(ticket, now) for ticket in tickets]


@dataclass
class Waiting:
    lane: Lane
    tickets: list[Ticket] = field(default_factory=list)


class AnyQueue(RuleBasedStateMachine):
    """Lanes beside plain lists of the waiting jobs."""

    def __init__(self) -> None:
        super().__init__()
        self.lanes = Lanes()
        self.waiting: dict[str, Waiting] = {}
        self.now = 0
        self.gone = 0  # milliseconds in all, clocks set back left out

    @rule(type=st.sampled_from(["a", "b"]))
    def join(self, type: str) -> None:
        lane, ticket = self.lanes.join(head(type))
        waiting = self.waiting.setdefault(type, Waiting(lane))
        assert waiting.lane is lane
        waiting.tickets.append(ticket)

    @precondition(lambda self: any(w.tickets for w in self.waiting.values()))
    @rule(data=st.data(), started=st.booleans(), passed=st.sampled_from([0, 1, 1000, 10**9, -5000]))
    def leave(self, data: st.DataObject, started: bool, passed: int) -> None:
        self.now += passed
        self.gone += max(0, passed)
        lane = data.draw(st.sampled_from([w for w in self.waiting.values() if w.tickets]))
        ticket = data.draw(st.sampled_from(lane.tickets))
        lane.tickets.remove(ticket)
        moves = lane.lane.moves
        self.lanes.leave(lane.lane, ticket, self.now, started=started)
        assert lane.lane.moves > moves

    @invariant()
    def everyone_has_the_place_they_came_in(self) -> None:
        for waiting in self.waiting.values():
            for n, place in enumerate(places(waiting.lane, waiting.tickets, self.now), 1):
                assert (place.position, place.length) == (n, len(waiting.tickets))
                # no interval is longer than the whole time; the estimate is rounded
                assert 0 <= (place.eta_seconds or 0) <= n * self.gone / 1000 + 0.1

    @invariant()
    def all_who_wait_are_counted(self) -> None:
        assert self.lanes.queued == sum(len(w.tickets) for w in self.waiting.values())


TestAnyQueue = AnyQueue.TestCase


def test_a_lane_is_a_project_and_a_type() -> None:
    lanes = Lanes()
    alone = [lanes.join(h)[0] for h in (head("a"), head(None), head("a", "other"))]
    assert len({id(lane) for lane in alone}) == 3
    assert lanes.join(head("a"))[0] is alone[0]


def test_a_job_of_another_server_takes_its_place_by_the_time_it_was_queued() -> None:
    lanes = Lanes()
    late, early, between = [lanes.join(head(queued_at=at)) for at in (30, 10, 20)]
    lane = late[0]
    tickets = [early[1], between[1], late[1]]
    assert [place.position for place in places(lane, tickets)] == [1, 2, 3]


def started(*times: int, waiting: int = 9) -> tuple[Lane, list[Ticket]]:
    """A lane with many jobs, where one started at each of these times."""
    lanes = Lanes()
    joined = [lanes.join(head()) for _ in range(len(times) + waiting)]
    lane, tickets = joined[0][0], [ticket for _, ticket in joined]
    for now in times:
        lanes.leave(lane, tickets.pop(0), now, started=True)
    return lane, tickets


def test_there_is_no_estimate_before_some_have_started() -> None:
    lane, tickets = started(0, 10_000)
    assert lane.place(tickets[0], 10_000).eta_seconds is None


def test_the_estimate_is_the_pace_of_starts_times_the_place() -> None:
    lane, tickets = started(0, 10_000, 20_000)
    etas = [place.eta_seconds for place in places(lane, tickets, 20_000)]
    assert etas[:3] == [10.0, 20.0, 30.0]


def test_the_estimate_shrinks_as_time_passes_down_to_zero() -> None:
    lane, tickets = started(0, 10_000, 20_000)
    etas = [lane.place(tickets[0], now).eta_seconds for now in (20_000, 24_000, 31_000)]
    assert etas == [10.0, 6.0, 0.0]


def test_a_cancelled_job_does_not_change_the_pace() -> None:
    lane, tickets = started(0, 10_000, 20_000)
    lane.leave(tickets.pop(0), 20_001, started=False)
    assert lane.place(tickets[0], 20_000).eta_seconds == 10.0


def test_an_idle_lane_measures_its_pace_again_when_it_fills() -> None:
    lane, _ = started(0, 10_000, 20_000, waiting=0)
    first, second = (0, 100), (0, 101)
    lane.join(first)
    assert lane.place(first, 10**9).eta_seconds is None
    lane.join(second)
    lane.leave(first, 10**9, started=True)
    assert lane.place(second, 10**9).eta_seconds == 10.0


def test_a_clock_that_is_set_back_makes_no_negative_pace() -> None:
    lane, tickets = started(0, 10_000, 20_000, 5_000)
    assert lane.place(tickets[0], 0).eta_seconds == 10.0
