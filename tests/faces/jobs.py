"""Jobs for faces without a server: what was reported, folded as the server does it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from jsonschema import Draft202012Validator, FormatChecker  # type: ignore[import-untyped]  # it has no types
from msgspec import Raw
from msgspec.structs import replace

from livejobs.core import reducer
from livejobs.core import reports as say
from livejobs.core.model import Entry, File, Head
from livejobs.core.reducer import ErrorLine, LogLine
from livejobs.core.wire import encode
from livejobs.faces.given import Around, Listed, ResultLine, Shape

BOUNDS = say.Bounds()
CREATED = 1_700_494_245_000  # 2023-11-20T15:30:45Z


class Told(NamedTuple):
    head: Head
    entries: tuple[Entry, ...] = ()

    def values(self, kind: str) -> list[Raw]:
        return [entry.value for entry in self.entries if entry.kind == kind]

    def around(self, base: str = "") -> Around:
        logs = [msgspec.json.decode(value, type=LogLine) for value in self.values("logs")]
        results = Listed(ResultLine, self.values("results"))
        return Around(results, Listed(ErrorLine, self.values("errors")), logs, base)

    def later(self, ms: int, *reports: Mapping[str, Any]) -> Told:
        """The same job, `ms` after it was created, once it was told this too."""
        decoded = say.decode_body(encode(reports), BOUNDS)
        folded = reducer.fold(self.head, decoded, CREATED + ms)
        return Told(folded.head, self.entries + folded.entries)

    def cancelled(self, ms: int) -> Told:
        return self._replace(head=reducer.cancel(self.head, CREATED + ms, force=True))

    def with_file(self, name: str, media_type: str = "application/octet-stream") -> Told:
        file = File(name, 3, media_type)
        return self._replace(head=replace(self.head, files=(*self.head.files, file)))

    def seen(self, shape: Shape, base: str = "") -> Any:
        """As its client reads it."""
        return json.loads(encode(shape(self.head, self.around(base))))


def created(**fields: Any) -> Told:
    id = fields.pop("id", "j")
    new = say.decode_new_job(encode(fields))
    head = reducer.create(new, id=id, project="default", owner="anonymous", now=CREATED)
    return Told(head)


def schema(name: str) -> Draft202012Validator:
    said = json.loads((Path(__file__).parent / f"{name}.schema.json").read_text())
    Draft202012Validator.check_schema(said)
    return Draft202012Validator(said, format_checker=TIMES)


TIMES = FormatChecker(formats=())


@TIMES.checks("date-time", raises=ValueError)  # type: ignore[untyped-decorator]  # it has no types
def is_time(said: object) -> bool:
    return not isinstance(said, str) or datetime.fromisoformat(said).tzinfo is not None
