"""Progress bars that report."""

from __future__ import annotations

import io
import sys
from typing import Any

import pytest
from rich.console import Console

import livejobs
from livejobs.client.worker import tqdm as module
from tests.client.worker import Worker
from tests.support.api import Api


@pytest.mark.parametrize("disable", [False, True])
def test_a_bar_is_the_jobs_progress_and_one_within_it_a_step(api: Api, disable: bool) -> None:
    nowhere = io.StringIO()
    with livejobs.job("render") as job:
        for _ in livejobs.tqdm(range(3), desc="outer", unit="page", file=nowhere, disable=disable):
            with livejobs.tqdm(total=10, desc="inner", file=nowhere, disable=disable) as bar:
                bar.update(4)
                bar.update(6)
    state = api.job(job.id)
    assert (state["progress"]["current"], state["progress"]["total"]) == (3, 3)
    assert state["progress"]["message"] == "outer"
    (step,) = state["steps"]
    assert (step["current"], step["total"], step["status"]) == (10, 10, "succeeded")
    assert ("outer" in nowhere.getvalue()) != disable


def test_a_bar_left_early_is_as_far_as_it_came(api: Api) -> None:
    with livejobs.job("render") as job:
        for number in livejobs.tqdm(range(10), disable=True):
            if number == 4:
                break
        job.flush()
        assert api.job(job.id)["progress"]["current"] == 4


def test_a_bar_without_a_job_is_a_bar() -> None:
    assert list(livejobs.tqdm([1, 2], disable=True)) == [1, 2]


def test_installing_makes_every_bar_report_once(api: Api, worker: Worker) -> None:
    out, _ = worker.run(
        str(api.base_url),
        """
        from tqdm import tqdm, trange
        from tqdm.auto import tqdm as auto
        import livejobs
        livejobs.tqdm.install()
        livejobs.tqdm.install()
        for bars in (tqdm, auto, livejobs.tqdm):
            with livejobs.job("render") as job:
                for _ in bars(range(7), disable=True):
                    pass
                bar = bars(total=20, disable=True)
                bar.update(5)
                bar.close()
            print(job.id)
        """,
    )
    for id in out.split():
        state = api.job(id)
        assert (state["progress"]["current"], state["progress"]["total"]) == (5, 20)


def test_without_tqdm_it_reports_all_the_same(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tqdm.std", None)
    bars: Any = module.bars()
    with livejobs.job("render") as job:
        for _ in bars(range(3), desc="plain"):
            pass
        bars.write("")
    assert api.job(job.id)["progress"]["total"] == 3
    assert api.job(job.id)["progress"]["current"] == 3


def test_richs_tasks_are_progress_and_steps(api: Api) -> None:
    console = Console(file=io.StringIO())
    with livejobs.job("render") as job, livejobs.RichProgress(console=console) as progress:
        pages = progress.add_task("Pages", total=4)
        words = progress.add_task("Words", total=10)
        progress.advance(pages, 4)
        progress.advance(words, 3)
    state = api.job(job.id)
    assert (state["progress"]["current"], state["progress"]["total"]) == (4, 4)
    (step,) = state["steps"]
    assert (step["title"], step["current"], step["total"]) == ("Words", 3, 10)
