"""Compare Autobahn's results with the expected ones: `python -m tests.interop.autobahn REPORT`."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

FINE = {"OK", "INFORMATIONAL"}
EXPECTED = Path(__file__).with_name("autobahn-expected.json")


def main(report: Path) -> int:
    servers = json.loads(report.read_text())
    return max(compared(name, results) for name, results in servers.items())


def compared(name: str, results: Mapping[str, Mapping[str, str]]) -> int:
    verdicts = {
        case: sorted({result["behavior"], result["behaviorClose"]} - FINE)
        for case, result in results.items()
    }
    expected = json.loads(EXPECTED.read_text())
    deviant = {case: said for case, said in verdicts.items() if said}
    unexpected = {
        case: said
        for case, said in deviant.items()
        if case not in expected or set(said) - set(expected[case]["verdicts"])
    }
    for case, said in sorted(unexpected.items()):
        print(f"{name} {case}: {', '.join(said)}")
    counted = Counter("OK" if not said else " ".join(said) for said in verdicts.values())
    print(f"{name}, {len(verdicts)} cases:", dict(counted), f"{len(unexpected)} unexpected")
    return 1 if unexpected else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
