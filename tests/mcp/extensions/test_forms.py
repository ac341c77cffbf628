"""Questions of jobs as forms of MCP."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livejobs.core.questions import check_answer
from livejobs.mcp.extensions.forms import KEPT, ONE, form_of
from tests.support.strategies import json_values

texts = st.text(max_size=5)
fields: st.SearchStrategy[tuple[dict[str, Any], Any]] = st.one_of(
    st.tuples(st.just({"type": "boolean"}), st.booleans()),
    st.tuples(st.just({"type": "string"}), texts),
    st.tuples(st.just({"type": "integer", "minimum": 0}), st.integers(0, 9)),
    st.tuples(st.just({"type": "number", "multipleOf": 0.5}), st.sampled_from([0, 1.5])),
    st.tuples(st.just({"enum": ["a", "b"], "title": "Which?"}), st.sampled_from("ab")),
    st.tuples(st.just({"type": "string", "format": "time"}), st.just("08:00:00Z")),
)


@given(st.dictionaries(texts, fields, min_size=1, max_size=4), st.booleans())
def test_a_filled_in_form_is_an_answer(drawn: Any, strict: bool) -> None:
    schema = {
        "type": "object",
        "properties": {name: field for name, (field, _) in drawn.items()},
        "required": list(drawn),
        "additionalProperties": not strict,
    }
    form = form_of(schema)
    assert form is not None
    check_answer(form.answer({name: value for name, (_, value) in drawn.items()}), schema)


@given(fields)
def test_a_question_for_one_value_is_a_form_of_one_field(drawn: Any) -> None:
    schema, value = drawn
    form = form_of(schema)
    assert form is not None
    assert list(form.schema["properties"]) == [ONE]
    check_answer(form.answer({ONE: value}), schema)


@given(st.dictionaries(st.sampled_from(["type", "properties", "required", "enum"]), json_values))
def test_a_form_is_flat_whatever_the_schema(schema: dict[str, Any]) -> None:
    form = form_of(schema)
    if form is None:
        return
    assert form.schema["type"] == "object"
    assert {*form.schema.get("required", [])} <= form.schema["properties"].keys()
    for field in form.schema["properties"].values():
        assert field.keys() - {"type", "format"} <= KEPT[field["type"]]
    json.dumps(form.schema, allow_nan=False)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "array"},
        {"type": "object"},
        {"type": "object", "properties": {}},
        {"type": "object", "properties": {"a": {"type": "object"}}},
        {"type": "object", "properties": {"a": True}},
        {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["b"]},
        {"type": "object", "properties": {"a": {"$ref": "#/$defs/a"}}},
        {"type": "object", "properties": {"a": {"type": "string"}}, "anyOf": [{}]},
        {"type": ["string", "null"]},
        {"enum": [1, 2]},
        {"enum": ["a", None]},
        {"const": 1},
        {"oneOf": [{"const": "a"}]},
        {},
    ],
)
def test_a_question_of_another_form_is_left_to_others(schema: dict[str, Any]) -> None:
    assert form_of(schema) is None


def test_a_question_without_a_schema_asks_for_text() -> None:
    form = form_of(None)
    assert form is not None
    assert form.schema["properties"] == {ONE: {"title": "Answer", "type": "string"}}
    assert form.answer({ONE: "yes"}) == "yes"
