"""What docker/ has for container engines, systemd and Kubernetes, as far as it can be checked
without them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any, Final

import httpx2
import pytest
import yaml  # type: ignore[import-untyped]  # schemathesis brings it

from livejobs.config import TABLE
from tests.docker.balanced import DOCKER
from tests.support.needs import need
from tests.support.server import LONG_ENOUGH, Server, hold_port

CHECKOUT: Final = DOCKER.parent
STOP_SECONDS: Final = 10  # a stop takes at most this long
DOCKERFILE: Final = (DOCKER / "Dockerfile").read_text()


def loaded(name: str) -> Any:
    return yaml.safe_load((DOCKER / name).read_text())


FILES: Final = sorted(path for path in DOCKER.rglob("*") if path.is_file())


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_its_variables_are_settings(path: Path) -> None:
    used = set(re.findall(r"LIVEJOBS_[A-Z_0-9]+", path.read_text()))
    assert used <= {row.variable for row in TABLE}


# The image


def test_the_image_has_all_extras() -> None:
    extras = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    expected = ",".join(sorted(extras["optional-dependencies"]))
    assert re.findall(r"\[([a-z0-9,]+)\]\"", DOCKERFILE) == [expected, expected]


def test_what_the_image_is_built_from_is_there_and_not_ignored() -> None:
    lines = re.findall(r"^COPY (?!--from)(.*) \S+$", DOCKERFILE, re.MULTILINE)
    copied = {name for line in lines for name in line.split()}
    assert all((CHECKOUT / name).exists() for name in copied)
    ignored = (DOCKER / "Dockerfile.dockerignore").read_text().splitlines()
    assert {line[1:] for line in ignored if line.startswith("!")} == copied


def test_the_check_of_the_image_knows_whether_the_server_answers(shared: Server) -> None:
    [command] = re.findall(r"^HEALTHCHECK .*\\\n  CMD (\[.*\])$", DOCKERFILE, re.MULTILINE)
    program, *arguments = json.loads(command)
    assert program == "python"
    with hold_port() as nobody:
        for port, code in ((shared.port, 0), (nobody.getsockname()[1], 1)):
            done = subprocess.run(
                [sys.executable, *arguments],
                env={**os.environ, "LIVEJOBS_PORT": str(port)},
                stderr=subprocess.DEVNULL, check=False, timeout=LONG_ENOUGH,
            )  # fmt: skip
            assert done.returncode == code


# Compose


@pytest.fixture(params=["compose.yaml", "compose.scale.yaml"])
def compose(request: pytest.FixtureRequest) -> Any:
    return loaded(request.param)


def test_ports_are_published_on_this_machine_only(compose: Any) -> None:
    ports = [port for each in compose["services"].values() for port in each.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_nodes_have_no_rights_and_time_to_stop(compose: Any) -> None:
    nodes = [it for name, it in compose["services"].items() if name.startswith("livejobs")]
    for node in nodes:
        assert (node["read_only"], node["cap_drop"]) == (True, ["ALL"])
        assert int(node["stop_grace_period"].removesuffix("s")) > STOP_SECONDS
        [volume] = node["volumes"]
        assert volume.partition(":")[0] in compose["volumes"]
    volumes = [node["volumes"][0] for node in nodes]
    assert len(set(volumes)) == len(nodes)


def test_nodes_share_the_database_and_the_files() -> None:
    nodes = [it for name, it in loaded("compose.scale.yaml")["services"].items() if "jobs" in name]
    assert len(nodes) == 3
    assert all(node["environment"] == nodes[0]["environment"] for node in nodes)
    assert {"LIVEJOBS_DATABASE", "LIVEJOBS_FILES"} <= nodes[0]["environment"].keys()


# Kubernetes


@pytest.fixture(scope="module")
def kubernetes() -> dict[str, Any]:
    text = (DOCKER / "kubernetes.yaml").read_text()
    return {document["kind"]: document for document in yaml.safe_load_all(text)}


def test_the_service_and_the_budget_are_about_the_pods(kubernetes: dict[str, Any]) -> None:
    deployment = kubernetes["Deployment"]["spec"]
    labels = deployment["template"]["metadata"]["labels"]
    budget = kubernetes["PodDisruptionBudget"]["spec"]
    assert deployment["selector"]["matchLabels"] == labels
    assert kubernetes["Service"]["spec"]["selector"] == labels
    assert budget["selector"]["matchLabels"] == labels
    assert budget["minAvailable"] < deployment["replicas"]


def test_the_pod_runs_the_image_as_it_is_built(kubernetes: dict[str, Any]) -> None:
    pod = kubernetes["Deployment"]["spec"]["template"]["spec"]
    [container] = pod["containers"]
    user = pod["securityContext"]
    assert f"USER {user['runAsUser']}:{user['runAsGroup']}\n" in DOCKERFILE
    assert f"EXPOSE {container['ports'][0]['containerPort']}\n" in DOCKERFILE
    assert [f"VOLUME {it['mountPath']}" in DOCKERFILE for it in container["volumeMounts"]] == [True]
    assert pod["enableServiceLinks"] is False  # else LIVEJOBS_PORT is an address
    waits = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert waits + STOP_SECONDS < pod["terminationGracePeriodSeconds"]


def test_the_probes_are_answered(kubernetes: dict[str, Any], shared: Server) -> None:
    [container] = kubernetes["Deployment"]["spec"]["template"]["spec"]["containers"]
    paths = {name: it["httpGet"]["path"] for name, it in container.items() if "Probe" in name}
    assert paths == {
        "startupProbe": "/healthz", "readinessProbe": "/readyz", "livenessProbe": "/healthz",
    }  # fmt: skip
    for path in set(paths.values()):
        assert httpx2.get(shared.url + path).status_code == 200


# Traefik, which Debian does not have


def test_traefik_s_routers_lead_to_three_nodes() -> None:
    http = loaded("traefik-livejobs.yaml")["http"]
    services = http["services"]
    for router in http["routers"].values():
        assert set(router.get("middlewares", [])) <= http["middlewares"].keys()
        failover = services[router["service"]].get("failover", {"service": router["service"]})
        for name in failover.values():
            urls = [server["url"] for server in services[name]["loadBalancer"]["servers"]]
            assert urls == [f"http://livejobs{n}:8000" for n in (1, 2, 3)]
    static = loaded("traefik.yaml")
    assert Path(static["providers"]["file"]["filename"]).name == "traefik-livejobs.yaml"


# systemd


@pytest.fixture(scope="module")
def unit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unit, with a program that is there."""
    need(shutil.which("systemd-analyze"), "systemd is not installed")
    text = (DOCKER / "livejobs.service").read_text()
    path = tmp_path_factory.mktemp("unit") / "livejobs.service"
    program = Path(sys.executable).with_name("livejobs")
    path.write_text(text.replace("/opt/livejobs/bin/livejobs", str(program)))
    return path


def test_systemd_knows_all_of_the_unit(unit: Path) -> None:
    done = analyze("verify", "--man=no", "--recursive-errors=no", str(unit))
    assert (done.returncode, done.stdout) == (0, "")


def test_the_service_is_shut_in(unit: Path) -> None:
    """systemd gives 0 (safe) to 10."""
    done = analyze("security", "--offline=true", "--threshold=15", "--no-pager", str(unit))
    assert done.returncode == 0, done.stdout


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        timeout=LONG_ENOUGH,
    )  # fmt: skip


def test_systemd_waits_for_a_stop(unit: Path) -> None:
    [seconds] = re.findall(r"^TimeoutStopSec=(\d+)$", unit.read_text(), re.MULTILINE)
    assert int(seconds) > STOP_SECONDS
