"""A question of a job as a form of MCP, and the filled-in form as an answer.

MCP's forms (`elicitation/create`) are flat: an object of texts, numbers, yes or no, and choices of
texts. A question for one such value becomes a form of one field. Only what a client needs to draw a
form is passed on: the service compares the answer with the question's whole schema.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from livejobs.core.errors import Invalid

ONE: Final = "answer"  # the field of a form for a single value

NUMBER: Final = frozenset({"minimum", "maximum"})
ABOUT: Final = frozenset({"title", "description", "default"})
# What MCP's schemas of fields have, by type.
KEPT: Final[Mapping[str, frozenset[str]]] = {
    "string": ABOUT | {"minLength", "maxLength", "pattern", "enum"},
    "number": ABOUT | NUMBER,
    "integer": ABOUT | NUMBER,
    "boolean": ABOUT,
}
FORMATS: Final = frozenset({"date", "date-time", "email", "uri"})
# A field with these is more than its type says.
COMPLEX: Final = frozenset({"$ref", "allOf", "anyOf", "oneOf", "not", "if"})

Schema = Mapping[str, Any]


class Form(NamedTuple):
    schema: dict[str, Any]  # `requestedSchema`
    single: bool  # the answer is the value of the one field

    def answer(self, content: Mapping[str, Any]) -> Any:
        if self.single and ONE not in content:  # null would be the answer of nobody
            raise Invalid.at(f"/{ONE}", "The answer is missing.")
        return content[ONE] if self.single else content


def form_of(schema: Schema | None) -> Form | None:
    """The form for a question with this schema. None: it is too complex for a form of MCP."""
    if schema is None:  # any JSON: a text is some
        return _single({"type": "string"})
    if schema.get("type") != "object":
        field = _field(schema)
        return None if field is None else _single(field)
    fields = _fields(schema)
    return None if fields is None else Form(fields, single=False)


def _single(field: Schema) -> Form:
    properties = {ONE: {"title": "Answer", **field}}
    return Form({"type": "object", "properties": properties, "required": [ONE]}, single=True)


def _fields(schema: Schema) -> dict[str, Any] | None:
    properties, required = schema.get("properties"), schema.get("required", [])
    if COMPLEX & schema.keys() or not properties or not isinstance(properties, dict):
        return None
    fields = {name: _field(inner) for name, inner in properties.items()}
    if (
        None in fields.values()
        or not isinstance(required, list)
        or not fields.keys() >= {*required}
    ):
        return None
    return {"type": "object", "properties": fields, **({"required": required} if required else {})}


def _field(schema: Any) -> dict[str, Any] | None:
    if not isinstance(schema, dict) or COMPLEX & schema.keys():
        return None
    choices = schema.get("enum")
    if choices is not None and not _texts(choices):
        return None
    type = schema.get("type", "string" if choices else None)
    if not isinstance(type, str) or type not in KEPT or (choices and type != "string"):
        return None
    kept = {name: value for name, value in schema.items() if name in KEPT[type]}
    if type == "string" and schema.get("format") in FORMATS:
        kept["format"] = schema["format"]
    return {"type": type, **kept}


def _texts(choices: Any) -> bool:
    return isinstance(choices, list) and all(isinstance(choice, str) for choice in choices)
