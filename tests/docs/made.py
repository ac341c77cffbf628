"""The reference pages that are made from the code: reports, events and commands.

`scripts/docs reference` writes them again after a change; a test compares them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, get_args

import click
import msgspec

from livejobs.cli.main import SECTIONS, main
from livejobs.config import TABLE
from livejobs.core.reports import AnyReport
from livejobs.web.documents import asyncapi
from tests.docs.words import COMMON, EXAMPLES, FIELDS, REPORTS

DOCS: Final = Path(__file__).parents[2] / "docs"
Schema = dict[str, Any]

MADE: Final = "<!-- Made from the code: `scripts/docs reference` writes this page again. -->\n"
REPORTS_HEAD: Final = """# Reports

A worker sends reports to `POST /v1/jobs/{id}/reports`: one object, an array, or a line for each
(NDJSON). Each has a `type` and the fields below. An unknown field is refused with 422.
[Report from any language](workers.md) shows how a worker sends them safely.
"""
EVENTS_HEAD: Final = """# Events

What a stream sends, and what a WebSocket takes. `/asyncapi.json` of a running server has the
same as schemas, and the [API reference](reference.md#streams) has the exact behaviour.
"""
COMMANDS_HEAD: Final = """# Commands

Every command and option of `livejobs`. [Jobs in the terminal](terminal.md) shows how to use those
for jobs.

`livejobs COMMAND --help` prints the same with examples and exit codes. Commands for jobs take
`--url` and `--key`, or `LIVEJOBS_URL` and `LIVEJOBS_KEY`. Other users of a machine can read
options, so set the key in the variable.
"""


def table(*heads: str, rows: Sequence[tuple[str, ...]]) -> str:
    lines = [heads, ("---",) * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |".replace("|---|", "|---|") for line in lines) + "\n"


# Reports


def reports() -> str:
    common = fields(get_args(AnyReport)[0], lambda name: name in COMMON)
    parts = [REPORTS_HEAD, "## Every report\n", common]
    for kind in get_args(AnyReport):
        tag = kind.__struct_config__.tag
        parts += [f"## {tag}\n", REPORTS[tag] + "\n", f"```json\n{EXAMPLES[tag]}\n```\n"]
        own = fields(kind, lambda name: name not in COMMON, f"{tag}.")
        parts += [own] if own else []
    return "\n".join(parts)


def fields(kind: type, wanted: Callable[[str], bool], prefix: str = "") -> str:
    _, found = msgspec.json.schema_components([kind])
    schema = found[kind.__name__]
    rows = [
        (
            f"`{name}`",
            takes(one),
            "yes" if name in schema["required"] else "",
            FIELDS[prefix + name],
        )
        for name, one in schema["properties"].items()
        if name != "type" and wanted(name)
    ]
    return table("field", "takes", "required", "meaning", rows=rows) if rows else ""


def takes(schema: Schema) -> str:
    if "enum" in schema:
        return "one of " + " ".join(f"`{word}`" for word in schema["enum"])
    if "$ref" in schema:
        return "an object with `message`, `code`, `detail`"
    if "anyOf" in schema:
        kinds = [one for one in schema["anyOf"] if one.get("type") not in ("null", "integer")]
        return " or ".join(takes(one) for one in kinds or schema["anyOf"][:1])
    if not schema.get("type"):
        return "any JSON"
    return NOUNS[schema["type"]] + limits(schema)


NOUNS: Final = {
    "string": "text", "number": "a number", "integer": "a whole number", "object": "an object",
}  # fmt: skip


def limits(schema: Schema) -> str:
    if schema.get("format"):
        return ", a time with its zone"
    if "maxLength" in schema:
        return f" of at most {schema['maxLength']}"
    if schema.get("maximum") == 100:
        return " from 0 to 100"
    return f", at least {schema['minimum']}" if "minimum" in schema else ""


# Events


def events() -> str:
    messages = asyncapi.document("1")["components"]["messages"].items()
    streams = [
        (f"`{name}`", says.rstrip(), members(data), "yes" if has_id else "")
        for name, (says, data, has_id) in asyncapi.EVENTS.items()
    ]
    parts = [EVENTS_HEAD, "## Server-Sent Events\n"]
    parts += ["An event with a cursor has it as its `id`: send that back to resume.\n"]
    parts += [table("event", "meaning", "data", "cursor", rows=streams)]
    for side, title in (("server", "WebSocket: messages of the server"),
                        ("client", "WebSocket: messages of a client")):  # fmt: skip
        rows = [
            (f"`{it['name']}`", it["summary"], members(whole(it["payload"])))
            for name, it in messages
            if name.startswith(side)
        ]
        parts += [f"## {title}\n", "`op` names the message.\n"]
        parts += [table("op", "meaning", "other fields", rows=rows)]
    return "\n".join(parts)


def whole(schema: Schema) -> Schema:
    schemas = asyncapi.document("1")["components"]["schemas"]
    name = schema.get("$ref", "").rpartition("/")[2]
    return schemas[name] if name else schema


def members(schema: Schema) -> str:
    ref = schema.get("$ref", "").rpartition("/")[2]
    if ref:
        return f"a {ref.lower()}"
    if schema.get("type") == "array":
        return f"an array: {members(schema['items'])} each"
    names = [name for name in schema.get("properties", {}) if name != "op"]
    return " ".join(f"`{name}`" for name in names) or "none"


# Commands


def commands() -> str:
    parts = [COMMANDS_HEAD]
    for section, places in SECTIONS.items():
        parts.append(f"## {section}\n")
        for name in places:
            context = click.Context(main, info_name="livejobs")
            command = main.get_command(context, name)
            assert command is not None
            parts += [one for found in leaves(command, f"livejobs {name}") for one in about(*found)]
    return "\n".join(parts)


def leaves(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    if not isinstance(command, click.Group):
        yield path, command
        return
    for name, one in command.commands.items():
        yield from leaves(one, f"{path} {name}")


def about(path: str, command: click.Command) -> Iterator[str]:
    context = click.Context(command, info_name=path)
    pieces = [piece for piece in command.collect_usage_pieces(context) if piece != "[OPTIONS]"]
    yield f"### {path}\n"
    yield " ".join((command.help or "").partition("\n\n")[0].split()) + "\n"
    yield f"`{' '.join([path, *pieces])}`\n"
    yield from options(command)


def options(command: click.Command) -> Iterator[str]:
    settings = {row.name for row in TABLE}
    found = [one for one in command.params if isinstance(one, click.Option)]
    # Commands that take all settings are given none in the table.
    takes_all = settings - {"config"} <= {str(one.name) for one in found}
    own = [one for one in found if not (takes_all and one.name in settings)]
    rows = [("`" + "` `".join(one.opts + one.secondary_opts) + "`", says(one)) for one in own]
    if rows:
        yield table("option", "meaning", rows=rows)
    if takes_all:
        yield "Takes all [settings](settings.md).\n"


def says(option: click.Option) -> str:
    return (option.help or "").partition("  [default")[0].replace("|", "\\|").replace("*", "\\*")


PAGES: Final = {"reports.md": reports, "events.md": events, "commands.md": commands}


def page(name: str) -> str:
    title, _, rest = PAGES[name]().partition("\n\n")
    return f"{title}\n\n{MADE}\n{rest}"


if __name__ == "__main__":
    for name in PAGES:
        (DOCS / name).write_text(page(name))
