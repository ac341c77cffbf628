"""Jobs over REST as lists: filters, counts and pages."""

from __future__ import annotations

import httpx2 as httpx
import pytest

from tests.support.api import Api
from tests.web.sent import SUCCEED


def ids(answer: httpx.Response) -> list[str]:
    return [job["id"] for job in answer.json()["jobs"]]


@pytest.fixture(scope="module")
def listed(url: str) -> str:
    """A project of ten jobs: two succeeded, one runs, seven wait."""
    with Api(url) as api:
        api.create(id="l-parent", project="list")
        for n in range(9):
            api.create(
                id=f"l-{n}", project="list", type="even" if n % 2 == 0 else "odd",
                title=f"Title {n}", tags=["all", f"tag{n}"], owner=f"key:{n % 3}",
                parent="l-parent" if n < 2 else None,
            )  # fmt: skip
        api.report("l-3", SUCCEED)
        api.report("l-5", SUCCEED)
        api.report("l-6", {"type": "start"})
    return "list"


@pytest.mark.parametrize(
    ("filter", "found"),
    [
        ("", ["l-8", "l-7", "l-6", "l-5", "l-4", "l-3", "l-2", "l-1", "l-0", "l-parent"]),
        ("&status=succeeded", ["l-5", "l-3"]),
        ("&status=succeeded,running", ["l-6", "l-5", "l-3"]),
        ("&status=succeeded&status=running", ["l-6", "l-5", "l-3"]),
        ("&type=odd", ["l-7", "l-5", "l-3", "l-1"]),
        ("&type=odd&status=queued", ["l-7", "l-1"]),
        ("&tag=tag4", ["l-4"]),
        ("&parent=l-parent", ["l-1", "l-0"]),
        ("&owner=key:1", ["l-7", "l-4", "l-1"]),
        ("&q=title%207", ["l-7"]),
        ("&q=L-PAR", ["l-parent"]),
        ("&q=%25%25%25", []),
        ("&q=%22%22%22", []),
        ("&q=%00%00%00", []),
        ("&type=even&tag=all&owner=key:0&status=running", ["l-6"]),
        ("&type=none", []),
        ("&tag=%00", []),
    ],
)
def test_a_list_has_what_fits_newest_first(
    api: Api, listed: str, filter: str, found: list[str]
) -> None:
    answer = api.get(f"/v1/jobs?project={listed}{filter}")
    assert ids(answer) == found
    assert answer.json()["next"] is None
    assert "link" not in answer.headers


def test_counts_ignore_the_status_filter_and_no_other(api: Api, listed: str) -> None:
    counts = api.get(f"/v1/jobs?project={listed}&status=succeeded&type=odd").json()["counts"]
    assert counts == {"queued": 2, "running": 0, "succeeded": 2, "failed": 0, "cancelled": 0}


def test_pages_follow_each_other_without_gap_or_repeat(api: Api, listed: str) -> None:
    found, target = [], f"/v1/jobs?project={listed}&limit=4&type=even&tag=all"
    sizes = []
    while target:
        answer = api.get(target)
        found += ids(answer)
        sizes.append(len(ids(answer)))
        target = answer.links.get("next", {}).get("url", "")
        assert bool(target) == (answer.json()["next"] is not None)
    assert found == ["l-8", "l-6", "l-4", "l-2", "l-0"]
    assert sizes == [4, 1]


def test_a_page_stays_where_it_was_while_new_jobs_come(api: Api) -> None:
    made = [api.create(project="paged") for _ in range(3)]
    first = api.get("/v1/jobs?project=paged&limit=2")
    api.create(project="paged")
    rest = api.get(f"/v1/jobs?project=paged&after={first.json()['next']}")
    assert [*ids(first), *ids(rest)] == made[::-1]


def test_a_list_is_of_one_project_unless_all_are_asked_for(api: Api, listed: str, id: str) -> None:
    assert "l-0" not in ids(api.get("/v1/jobs?limit=1000"))
    everything = ids(api.get("/v1/jobs?project=*&limit=1000"))
    assert {"l-0", id} <= set(everything)
    assert ids(api.get("/v1/jobs?project=nowhere")) == []


def test_a_list_shows_heads_without_entries(api: Api, id: str) -> None:
    api.report(id, {"type": "result", "value": 1})
    [listed] = [job for job in api.get("/v1/jobs?limit=1000").json()["jobs"] if job["id"] == id]
    job = api.job(id)
    assert listed == {k: v for k, v in job.items() if k not in ("results", "errors")}
