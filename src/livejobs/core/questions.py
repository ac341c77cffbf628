"""What a question may look like, and whether an answer fits it.

A schema comes from a worker, and an answer from whoever may cancel the job. So both have bounds:
nothing is fetched, patterns take linear time, and neither references nor a long answer can multiply
the work. The library holds the event loop while it works.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec

from livejobs.core.decoding import pointer_to
from livejobs.core.errors import BatchTooLarge, FieldError, Invalid

if TYPE_CHECKING:
    from jsonschema_rs import Draft202012Validator, ValidationError

PROMPT_BYTES: Final = 4 * 1024
SCHEMA_BYTES: Final = 16 * 1024
VALUE_BYTES: Final = 16 * 1024
LEVELS: Final = 16  # of a schema, with what its references name
# In the schemas of one call: lists, objects and other values, counted wherever a reference names
# them. Some checks take as long as many others.
PLACES: Final = 5_000
HEAVY: Final = 50
PATTERNS: Final = 20
PATTERN_BYTES: Final = 64 * 1024  # of a compiled pattern; one of a letter of any language takes 40
STEPS: Final = (1e-9, 1e15)  # of `multipleOf`; others are compared as fractions of many digits
# Each part of a schema may meet each part of an answer, as in a list of alternatives. Past WORK the
# answer is refused. An error of alternatives lists all of their errors, which takes longer: past
# FIRST it is not described, and past EVERY only the first one is.
WORK: Final = 60_000
FIRST: Final = 20_000
EVERY: Final = 1_000
ERRORS: Final = 20
WORDS: Final = 300  # characters of an error

# These name another document, or depend on how the validator came to them.
REFUSED: Final = frozenset({"$id", "$anchor", "$dynamicRef", "$dynamicAnchor", "$recursiveRef"})


class Room:
    """What the schemas of one call may still take. A schema that fits alone but not after others is
    no mistake of its own: its sender divides the call."""

    __slots__ = ("patterns", "places", "shared")

    def __init__(self) -> None:
        self.places, self.patterns, self.shared = PLACES, PATTERNS, False

    def take(self, place: Any, at: str) -> None:
        self.places -= _cost(place)
        self.patterns -= _patterns(place)
        if self.places < 0 or self.patterns < 0:
            detail = (
                f"The schemas of one call take at most {PLACES} values and {PATTERNS} patterns, "
                "counted again for each $ref to them."
            )
            error = BatchTooLarge if self.shared else Invalid
            raise error(detail, errors=[FieldError(at, detail)])


def check_question(
    prompt: str, schema: Mapping[str, Any] | None, at: str, room: Room | None = None
) -> None:
    """Raise Invalid for a question that nobody could answer, or that could take too long. `room`:
    what the questions before it in the same call have left."""
    _check_size(len(prompt.encode()), PROMPT_BYTES, f"{at}/prompt", "A prompt")
    if schema is not None:
        _check_schema(schema, f"{at}/schema", room or Room())


def check_answer(value: Any, schema: Mapping[str, Any] | None) -> None:
    """Raise Invalid with a pointer into the value for each place that does not fit."""
    size = len(msgspec.json.encode(value))
    _check_size(size, VALUE_BYTES, "/value", "An answer")
    if schema is None:
        return
    work = sum(map(_cost, _places(schema, schema, 0, ""))) * _values(value)
    if work > WORK:
        raise Invalid.at("/value", "The answer is too large to compare it with this schema.")
    validator = _validator(schema)
    if not validator.is_valid(value):
        errors = _errors(validator, value, work)
        raise Invalid("The answer does not fit the question's schema.", errors=errors)


def _check_size(size: int, most: int, at: str, what: str) -> None:
    if size > most:
        raise Invalid.at(at, f"{what} takes at most {most} bytes; this one has {size}.")


def _check_schema(schema: Mapping[str, Any], at: str, room: Room) -> None:
    _check_size(len(msgspec.json.encode(schema)), SCHEMA_BYTES, at, "A schema")
    for place in _places(schema, schema, 0, at):
        room.take(place, at)
    room.shared = True
    _check_meaning(schema, at)


def _places(value: Any, root: Mapping[str, Any], depth: int, at: str) -> Iterator[Any]:
    """Each value in the schema, also those that a reference names."""
    yield value
    if not isinstance(value, dict | list):
        return
    if depth > LEVELS:
        raise Invalid.at(
            at, f"A schema may be nested at most {LEVELS} levels deep, and may not contain itself."
        )
    if isinstance(value, dict):
        _check_step(value.get("multipleOf"), at)
        referred = _referred(value, root, at)
        if referred is not None:
            yield from _places(referred, root, depth + 1, at)
        value = list(value.values())
    for inner in value:
        yield from _places(inner, root, depth + 1, at)


def _check_step(step: Any, at: str) -> None:
    if isinstance(step, int | float) and not STEPS[0] <= step <= STEPS[1]:
        raise Invalid.at(at, "The value of multipleOf is from 1e-9 to 1e15.")


def _cost(place: Any) -> int:
    if not isinstance(place, dict):
        return 1
    heavy = isinstance(place.get("multipleOf"), float)
    slow = str(place.get("format")).startswith(("idn-", "uri-template"))
    return HEAVY if heavy or slow else 1


def _values(value: Any) -> int:
    """How many values are in the answer. Numbers with many digits count as many."""
    if isinstance(value, dict | list):
        return 1 + sum(map(_values, value.values() if isinstance(value, dict) else value))
    heavy = isinstance(value, float) and value != 0 and not STEPS[0] <= abs(value) <= STEPS[1]
    return HEAVY if heavy else 1


def _patterns(place: Any) -> int:
    if not isinstance(place, dict):
        return 0
    named = place.get("patternProperties")
    return isinstance(place.get("pattern"), str) + (len(named) if isinstance(named, dict) else 0)


def _referred(value: Mapping[str, Any], root: Mapping[str, Any], at: str) -> Any:
    """What the schema at this place refers to, or None."""
    odd = next((name for name in REFUSED if isinstance(value.get(name), str)), None)
    if odd is not None:
        raise Invalid.at(at, f"A schema may not contain {odd!r}.")
    reference = value.get("$ref")
    if not isinstance(reference, str):  # a property may have this name
        return None
    for group in ("$defs", "definitions"):
        name = reference.removeprefix(f"#/{group}/")
        known = root.get(group)
        if name != reference and isinstance(known, dict) and name in known:
            return known[name]
    raise Invalid.at(at, "A $ref may only name a schema in '#/$defs/'.")


def _check_meaning(schema: Mapping[str, Any], at: str) -> None:
    # Loaded on use, as below.
    from jsonschema_rs import ValidationError  # noqa: PLC0415 - most servers never need it

    try:
        _validator(schema)
    except ValidationError as error:
        path = pointer_to(error.instance_path)
        detail = f"This is no JSON Schema: {_shown(error.message)}"
        if path.endswith("/pattern"):
            detail += " Patterns have no look-around and no back-references, and are short."
        raise Invalid.at(at + path, detail) from None
    except ValueError as error:
        raise Invalid.at(at, f"This is no JSON Schema: {_shown(str(error))}") from None


def _validator(schema: Mapping[str, Any]) -> Draft202012Validator:
    # It takes 15 MB and 50 ms to load, so a server that gets no question does without.
    from jsonschema_rs import Draft202012Validator, RegexOptions  # noqa: PLC0415 - see above

    said = {name: value for name, value in schema.items() if name != "$schema"}
    # This engine takes linear time for every pattern; it has no look-around and no back-references.
    patterns = RegexOptions(size_limit=PATTERN_BYTES, dfa_size_limit=PATTERN_BYTES)
    return Draft202012Validator(
        said, pattern_options=patterns, offline=True, validate_formats=True, mask="This"
    )


def _errors(validator: Draft202012Validator, value: Any, work: int) -> list[FieldError]:
    # Loaded on use, as above.
    from jsonschema_rs import ValidationError  # noqa: PLC0415 - most servers never need it

    if work <= EVERY:
        return [_described(it) for it in list(validator.iter_errors(value))[:ERRORS]]
    if work > FIRST:
        return [
            FieldError(
                "/value", "This value does not fit the schema, and is too large to name the place."
            )
        ]
    try:
        validator.validate(value)
    except ValidationError as error:
        return [_described(error)]
    return []


def _described(error: ValidationError) -> FieldError:
    return FieldError(f"/value{pointer_to(error.instance_path)}", _sentence(error))


def _sentence(error: ValidationError) -> str:
    """For alternatives, why each of them does not fit: the library names only the keyword."""
    branches = getattr(error.kind, "context", None)
    reasons = dict.fromkeys(branch[0].message for branch in branches or () if branch)
    if reasons and error.kind.name in ("anyOf", "oneOf"):
        return _shown(f"Fits none of the choices: {'; '.join(reasons)}")
    return _shown(error.message)


def _shown(text: str) -> str:
    text = text if len(text) <= WORDS else text[:WORDS] + "…"
    return text if text.endswith((".", "…")) else f"{text}."
