"""The Grafana dashboard and the alert rules of Prometheus name what a real server exposes."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Any, Final, TypeAlias

import httpx2
import promql_parser as promql
import pytest
import yaml  # type: ignore[import-untyped]  # schemathesis brings it
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard
from prometheus_client.parser import text_string_to_metric_families

from tests.docker.balanced import DOCKER
from tests.support.server import Server

ALERTS: Final = yaml.safe_load((DOCKER / "prometheus" / "alerts.yml").read_text())
RULES: Final = ALERTS["groups"][0]["rules"]
BOARD: Final = json.loads((DOCKER / "grafana" / "livejobs.json").read_text())
OPERATIONS: Final = (DOCKER.parent / "docs" / "operations.md").read_text()

# What Grafana itself writes, and its published types do not know.
NOT_IN_THE_TYPES: Final = {
    "/annotations/list/0/titleFormat",
    "/templating/list/1/definition",
    "/templating/list/2/definition",
}
OF_PROMETHEUS: Final = {"job", "instance"}  # labels that it adds itself
Exposed: TypeAlias = dict[str, dict[str, set[str]]]  # by name and label, the label's values


@pytest.fixture(scope="module")
def exposed(shared: Server) -> Exposed:
    found: Exposed = {"up": {}}
    for family in text_string_to_metric_families(httpx2.get(shared.url + "/metrics").text):
        for sample in family.samples:
            labels = found.setdefault(sample.name, defaultdict(set))
            for label, value in sample.labels.items():
                labels[label].add(value)
    return found


def panels() -> Iterator[Any]:
    return (panel for panel in BOARD["panels"] if panel["type"] != "row")


def expressions() -> Iterator[tuple[str, str, str]]:
    """Each with where it is, and with the text that shows its labels."""
    for rule in RULES:
        yield rule["alert"], rule["expr"], " ".join(rule["annotations"].values())
    for panel in panels():
        for target in panel["targets"]:
            yield panel["title"], target["expr"], target["legendFormat"]
    for note in BOARD["annotations"]["list"]:
        yield note["name"], note["expr"], note["titleFormat"]


CASES: Final = [pytest.param(*case[1:], id=case[0]) for case in expressions()]


def parsed(expression: str) -> Any:
    return promql.parse(expression.replace("$__rate_interval", "5m"))


def selectors_of(expression: Any) -> list[promql.VectorSelector]:
    found: list[promql.VectorSelector] = []

    def note(node: Any) -> bool:
        if isinstance(node, promql.VectorSelector):
            found.append(node)
        return True

    promql.walk(expression, note)
    return found


@pytest.mark.parametrize(("expression", "shown"), CASES)
def test_what_is_asked_for_is_exposed(exposed: Exposed, expression: str, shown: str) -> None:
    known = set(OF_PROMETHEUS)
    selectors = selectors_of(parsed(expression))
    assert selectors
    for selector in selectors:
        labels = exposed[str(selector.name)]
        known |= labels.keys()
        for matcher in selector.matchers.matchers:
            assert matcher.name in labels.keys() | OF_PROMETHEUS
            if matcher.name in labels:
                assert matcher.value in labels[matcher.name]
    grouped = re.findall(r"\b(?:by|on|ignoring|without|group_left)\s*\(([^)]*)\)", expression)
    assert {label.strip() for names in grouped for label in names.split(",")} <= known
    assert set(re.findall(r"\{\{\s*(?:\$labels\.)?(\w+)\s*\}\}", shown)) <= known


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_says_what_it_is_and_what_to_do(rule: Any) -> None:
    assert rule.keys() <= {"alert", "expr", "for", "labels", "annotations"}
    assert rule["labels"]["severity"] in {"critical", "warning", "info"}
    assert rule["annotations"]["summary"]
    assert f"\n### {rule['alert']}\n" in OPERATIONS


def test_the_docs_have_no_other_alerts() -> None:
    documented = re.findall(r"^### (Livejobs\w+)$", OPERATIONS, re.MULTILINE)
    assert documented == [rule["alert"] for rule in RULES]


def test_prometheus_loads_the_alerts() -> None:
    config = yaml.safe_load((DOCKER / "prometheus" / "prometheus.yml").read_text())
    assert config["rule_files"] == ["alerts.yml"]
    [scraped] = config["scrape_configs"]
    assert scraped["job_name"] == "livejobs"  # which alerts select


def test_the_panels_fill_the_rows_and_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in BOARD["panels"]:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not cells & taken
        taken |= cells
    lowest = 1 + max(y for _, y in taken)
    assert len(taken) == 24 * lowest
    rows = [panel["title"] for panel in BOARD["panels"] if panel["type"] == "row"]
    assert rows == ["Traffic", "Latency", "Viewers", "Store", "Nodes"]
    ids = [panel["id"] for panel in BOARD["panels"]]
    assert len(set(ids)) == len(ids)


def lost(before: Any, after: Any, at: str = "") -> Iterator[str]:
    """Where the second does not have what the first has."""
    if isinstance(before, dict) and isinstance(after, dict):
        for name, value in before.items():
            yield from lost(value, after.get(name), f"{at}/{name}")
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for n, (one, other) in enumerate(zip(before, after, strict=True)):
            yield from lost(one, other, f"{at}/{n}")
    elif before != after:
        yield at


def through_the_types(board: Any) -> set[str]:
    """What is lost if Grafana's own types read the dashboard and write it."""
    register_default_plugins()
    written = JSONEncoder().encode(Dashboard.from_json(json.loads(json.dumps(board))))
    return set(lost(board, json.loads(written)))


def test_grafana_s_types_know_all_of_the_dashboard() -> None:
    assert through_the_types(BOARD) == NOT_IN_THE_TYPES


def test_the_types_find_what_grafana_does_not_know() -> None:
    panel = next(panels())
    wrong = {**panel, "gridpos": {}, "options": {**panel["options"], "colourMode": "value"}}
    found = through_the_types({**BOARD, "panels": [wrong]})
    assert found - NOT_IN_THE_TYPES == {"/panels/0/gridpos", "/panels/0/options/colourMode"}


def test_every_panel_uses_the_variables_and_their_source() -> None:
    for panel in panels():
        for target in panel["targets"]:
            assert target["datasource"]["uid"] == "${datasource}"
            for selector in re.findall(r"\{([^{}]*)\}", target["expr"]):
                assert 'job=~"$job", instance=~"$instance"' in selector
    names = [variable["name"] for variable in BOARD["templating"]["list"]]
    assert names == ["datasource", "job", "instance"]
