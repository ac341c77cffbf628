"""Tables: loaded into a warehouse, with a step for each and rows that are refused."""

from __future__ import annotations

import json
import random
from typing import Any, Final

from livejobs.demo.scene import Scene, Stage

TABLES: Final = ("customers", "products", "orders", "payments")
CITIES: Final = ("Lisboa", "Kraków", "Malmö", "Αθήνα", "大阪", "São Paulo")


def new_load(dice: random.Random) -> dict[str, Any]:
    shop = dice.choice(("Shop EU", "Shop Brasil", "Κατάστημα GR", "Marketplace"))
    return {
        "title": f"{shop} → warehouse, hour {dice.randrange(24):02}",
        "meta": {"source": "postgres", "target": "warehouse.sales"},
        "tags": ["etl"],
    }


def load(stage: Stage) -> Any:
    job, dice = stage.job, stage.dice
    loaded = 0
    for table in job.track(TABLES, unit="tables"):
        job.progress(message=f"Loading {table}")
        for _ in job.track(range(dice.randrange(2, 5)), name=table):
            stage.takes(dice.uniform(1, 2))
            rows = dice.randrange(400, 2000)
            loaded += rows
            job.count(rows=rows)
            job.log(f"COPY {rows} \x1b[2m→ sales.{table}\x1b[0m", source=table)
        if dice.random() < 0.3:
            refuse_a_row(stage, table)
    job.upload(sample(dice).encode(), "orders.csv", media_type="text/csv")
    summary = {"tables": len(TABLES), "rows": loaded}
    job.upload(json.dumps(summary, indent=2).encode(), "summary.json")
    return summary


def refuse_a_row(stage: Stage, table: str) -> None:
    row = stage.dice.randrange(1, 9000)
    why = "date/time field value out of range: 2026-02-30"
    stage.job.item_error(why, item=f"{table}:{row}", detail={"column": "created_at"})
    stage.job.log(f"{table} row {row}: {why}", "warning", source=table)


def sample(dice: random.Random) -> str:
    rows = [
        f"{100_000 + at},{dice.choice(CITIES)},{dice.randrange(1, 9)},{dice.uniform(5, 300):.2f}"
        for at in range(60)
    ]
    return "\n".join(["order,city,items,total", *rows, ""])


SCENES: Final = (
    Scene(
        "etl", new_load, load, ("retries", "well", "well", "fails"),
        "Connection to the warehouse was lost",
    ),
)  # fmt: skip
