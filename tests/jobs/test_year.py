"""The simulated year (bench/year) with few jobs: what it leaves behind does not grow."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

from tests.support.server import LONG_ENOUGH

YEAR = Path(__file__).parents[2] / "bench" / "year.py"
JOBS, SAMPLES = 1040, 26


def test_a_year_of_jobs_leaves_no_more_than_its_last_week(tmp_path: Path) -> None:
    figures, picture = tmp_path / "year.json", tmp_path / "year.svg"
    size = ("--jobs", str(JOBS), "--samples", str(SAMPLES), "--every", "0.02")
    output = ("--json", str(figures), "--picture", str(picture), "--dir", str(tmp_path))
    command = (sys.executable, str(YEAR), *size, *output)
    subprocess.run(command, check=True, timeout=2 * LONG_ENOUGH, capture_output=True)
    rows = json.loads(figures.read_text())["rows"]
    assert [row["jobs"] for row in rows] == list(range(JOBS // SAMPLES, JOBS + 1, JOBS // SAMPLES))
    # Those of a week, those that wait for the sweeper, and those that are not finished.
    assert max(row["kept"] for row in rows) <= JOBS // 52 + 200 + 3 * 64 + 50
    first, last = rows[SAMPLES // 2], rows[-1]
    assert last["descriptors"] <= first["descriptors"] + 4
    assert last["disk_mb"] <= first["disk_mb"] * 1.5
    assert len(ET.parse(picture).findall(".//{*}polyline")) == 4
