"""What a scene is: jobs of one type, the work on them, and what goes wrong with them."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, Protocol

from livejobs.client.worker.block import Block

MEDIA: Final = Path(__file__).with_name("media")

Fate = Literal["well", "fails", "retries", "stalls", "is cancelled"]


class Scene(NamedTuple):
    type: str
    new: Callable[[random.Random], dict[str, Any]]  # arguments of livejobs.job
    play: Callable[[Stage], object]  # the work; its value is the job's result
    fates: tuple[Fate, ...]  # job after job, and again from the first
    trouble: str = "The storage does not answer"  # why a job stalls, is retried or fails
    every: tuple[float, float] | None = (10.0, 22.0)  # seconds; None: other scenes add the jobs
    workers: int = 1


class Ticket:
    """A job from the moment it is queued until its end."""

    def __init__(self, scene: Scene, about: Mapping[str, Any], fate: Fate, job: Block) -> None:
        self.scene = scene
        self.about = about
        self.fate: Fate = fate
        self.job = job
        self.failed: str | None = None
        self.ended = threading.Event()


class Again(Exception):
    """The job went back to its queue."""


class Office(Protocol):
    """What a scene asks of its process."""

    pace: float

    def add(self, type: str, fate: Fate | None = None, **about: Any) -> Ticket:
        """Queue a job. Without a fate it gets the next of its scene."""

    def cancel(self, id: str) -> None:
        """As a visitor would."""


class Stage:
    """A job that is worked on."""

    def __init__(self, ticket: Ticket, office: Office, dice: random.Random) -> None:
        self.job = ticket.job
        self.about = ticket.about
        self.dice = dice
        self.add = office.add
        self._ticket = ticket
        self._office = office
        self._fate: Fate = ticket.fate
        self._left = dice.uniform(3, 9)  # seconds of work until its fate

    def span(self, seconds: float) -> float:
        """So long at the pace of this demo."""
        return seconds / self._office.pace

    def takes(self, seconds: float) -> None:
        """Let time pass. What goes wrong with the job goes wrong in it."""
        time.sleep(self.span(seconds))
        self._left -= seconds
        if self._left < 0 and self._fate != "well":
            fate, self._fate = self._fate, "well"
            self._meet(fate)

    def _meet(self, fate: Fate) -> None:
        trouble = self._ticket.scene.trouble
        if fate == "is cancelled":
            self._office.cancel(self.job.id)
        elif fate == "retries":
            self.job.log(f"\x1b[31m{trouble}\x1b[0m; another worker tries again", "error")
            self.job.retry(trouble)
            raise Again
        elif fate == "fails":
            self.job.log(f"\x1b[1;31mfatal:\x1b[0m {trouble}", "error")
            raise RuntimeError(trouble)
