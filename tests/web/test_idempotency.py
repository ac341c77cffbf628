"""A key makes a repeated create safe: one job for one value."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import httpx2 as httpx
import pytest

from tests.support.api import Api, problem
from tests.web.sent import SUCCEED


def test_an_idempotency_key_gives_the_same_job_again(api: Api) -> None:
    key = {"idempotency-key": "k-1"}
    first = api.post("/v1/jobs", json={"title": "x"}, headers=key)
    api.report(first.json()["id"], SUCCEED)
    again = api.post("/v1/jobs", json={"title": "x"}, headers=key)
    other = api.post("/v1/jobs", json={"title": "x"}, headers={"idempotency-key": "k-2"})
    assert [r.status_code for r in (first, again, other)] == [201, 200, 201]
    assert (again.json()["id"], again.json()["status"]) == (first.json()["id"], "succeeded")
    assert other.json()["id"] != first.json()["id"]
    mismatch = api.post("/v1/jobs", json={"title": "y"}, headers=key)
    problem(mismatch, 422, "idempotency_mismatch")


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (
            '{"title":"x","meta":{"a":1,"b":[1,2]}}',
            '{ "meta" : {"b":[1, 2],\n"a":1}, "title":"x" }',
        ),
        ('{"title":"\\u00e9"}', '{"title":"é"}'),
        ('{"total":1,"meta":{"a":[2.0]}}', '{"total":1.0,"meta":{"a":[2]}}'),
        ("", "{}"),
        ("{}", '{"title":null,"tags":[],"project":"default"}'),
    ],
)
def test_an_idempotency_key_is_for_values_not_for_how_they_are_written(
    api: Api, first: str, second: str
) -> None:
    said = first.encode().hex()
    key = {"idempotency-key": f"value-{said}", "content-type": "application/json"}
    made = api.post("/v1/jobs", content=first, headers=key)
    again = api.post("/v1/jobs", content=second, headers=key)
    assert (made.status_code, again.status_code) == (201, 200), again.text
    assert again.json()["id"] == made.json()["id"]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ('{"meta":{"a":[1,2]}}', '{"meta":{"a":[2,1]}}'),
        ('{"meta":{"a":1}}', '{"meta":{"a":"1"}}'),
        ('{"meta":{"a":1}}', '{"meta":{"a":true}}'),
        ('{"meta":{"a":null}}', '{"meta":{}}'),
        ('{"meta":{"a":9007199254740993}}', '{"meta":{"a":9007199254740992.0}}'),
        ('{"total":0}', "{}"),
        ('{"project":"another"}', "{}"),
    ],
)
def test_an_idempotency_key_with_another_value_is_refused(
    api: Api, first: str, second: str
) -> None:
    said = (first + second).encode().hex()
    key = {"idempotency-key": f"other-{said}", "content-type": "application/json"}
    assert api.post("/v1/jobs", content=first, headers=key).status_code == 201
    mismatch = api.post("/v1/jobs", content=second, headers=key)
    problem(mismatch, 422, "idempotency_mismatch")


def test_an_idempotency_key_of_a_job_that_was_deleted_makes_another(api: Api) -> None:
    key = {"idempotency-key": "k-deleted"}
    first = api.post("/v1/jobs", headers=key).json()
    api.post(f"/v1/jobs/{first['id']}/cancel")
    assert api.delete(f"/v1/jobs/{first['id']}").status_code == 204
    second = api.post("/v1/jobs", headers=key)
    assert (second.status_code, second.json()["id"] == first["id"]) == (201, False)
    assert api.post("/v1/jobs", headers=key).json()["id"] == second.json()["id"]


def test_an_idempotency_key_sent_many_times_at_once_makes_one_job(api: Api) -> None:
    def post(_: int) -> httpx.Response:
        return api.post("/v1/jobs", json={}, headers={"idempotency-key": "race"})

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(post, range(8)))
    assert sorted(answer.status_code for answer in answers) == [200] * 7 + [201]
    assert len({answer.json()["id"] for answer in answers}) == 1


@pytest.mark.parametrize("key", ["", "k" * 256])
def test_an_idempotency_key_has_1_to_255_characters(api: Api, key: str) -> None:
    answer = api.post("/v1/jobs", headers={"idempotency-key": key})
    problem(answer, 422, "invalid", "/Idempotency-Key")
