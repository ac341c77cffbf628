"""How JSON is read into a type. A body that does not fit is refused with a pointer to the field."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from livejobs.core.errors import BadJson, FieldError, Invalid

DEPTH: Final = 32  # levels of nesting in a field

# A JSON path as msgspec writes it: `$[3].set[...]` ends in the last name that msgspec knows.
_PATH = re.compile(r" - at `(?:key in )?`?\$([^`]*)`?`?\Z")
_FIELD = re.compile(r"field `([^`]*)`")


def decoded(decoder: msgspec.json.Decoder[Any], body: bytes) -> Any:
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise _invalid(str(error)) from None
    except UnicodeDecodeError:
        raise _not_utf8() from None
    except msgspec.DecodeError as error:
        raise _bad_json(str(error), body) from None
    except RecursionError:
        raise Invalid.at("", f"A value may be nested at most {DEPTH} levels deep.") from None


def _not_utf8() -> BadJson:
    detail = "The body is not UTF-8. Send JSON encoded as UTF-8."
    return BadJson(detail, errors=[FieldError("", detail)])


def _bad_json(message: str, body: bytes) -> BadJson:
    error = _almost_json(body) or FieldError("", message.removeprefix("JSON is malformed: "))
    return BadJson(f"The body is not JSON: {error.detail}.", errors=[error])


_SURROGATE = re.compile("[\ud800-\udfff]")


class _Odd(str):
    """NaN or an infinity, which are JSON to Python and to nobody else."""

    __slots__ = ()


def _almost_json(body: bytes) -> FieldError | None:
    """The field at fault, if Python's own reader, which is less strict, can read the body."""
    try:
        path: list[str] = []  # to the fault, the innermost name first
        wrong = _oddity(json.loads(body, parse_constant=_Odd), path)
    except (ValueError, RecursionError):
        return None
    if wrong is None:
        return None
    return FieldError(pointer_to(reversed(path)), wrong)


def _oddity(value: Any, path: list[str]) -> str | None:
    """The fault in a value, if there is one. The path is written only on the way back: a path for
    each value would copy a long name once for every value below it."""
    if isinstance(value, str):
        return _odd_text(value)
    if isinstance(value, dict):
        return _oddity_within(value.items(), path)
    return _oddity_within(enumerate(value), path) if isinstance(value, list) else None


def _oddity_within(items: Iterable[tuple[str | int, Any]], path: list[str]) -> str | None:
    for name, inner in items:
        if isinstance(name, str) and (wrong := _odd_text(name)) is not None:
            return wrong
        if (wrong := _oddity(inner, path)) is not None:
            path.append(str(name))
            return wrong
    return None


def _odd_text(text: str) -> str | None:
    if isinstance(text, _Odd):
        return f"{text} is not a number in JSON"
    return "half of a surrogate pair is not a character" if _SURROGATE.search(text) else None


def _invalid(message: str) -> Invalid:
    found = _PATH.search(message)
    sentence = message[: found.start()] if found else message
    pointer = _pointer(found[1] if found else "")
    # msgspec names an unknown or missing field in the sentence, not in the path.
    named = _FIELD.search(sentence)
    if named:
        pointer += pointer_to([named[1]])
    return Invalid.at(pointer, sentence.replace("`", "'") + ".")


def _pointer(path: str) -> str:
    # `[...]` is a key of an object, which msgspec does not name.
    parts = re.findall(r"\[(\d+)\]|\.([^.\[\]]+)", path.partition("[...]")[0])
    return pointer_to(index or name for index, name in parts)


def pointer_to(names: Iterable[object]) -> str:
    """A JSON pointer to the value that these keys and indexes lead to."""
    return "".join("/" + str(name).replace("~", "~0").replace("/", "~1") for name in names)
