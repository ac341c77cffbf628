"""`/docs`: the OpenAPI document as a page to read, made once. Its one script adds a form to each
call (static/pages/tryout.js)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any, Final

from livejobs.web.documents.asyncapi import document as asyncapi
from livejobs.web.documents.schemas import Schema
from livejobs.web.http import JSON

METHODS: Final = ("get", "head", "post", "put", "patch", "delete", "options")
EVERYWHERE: Final = frozenset({"token"})  # explained once, at the top
PROBLEM: Final = "application/problem+json"
LARGEST: Final = 2**53  # larger bounds are not worth showing
SHOWN: Final = ("Job", "Receipt", "Problem")
# Options of curl, by the media type of the answer.
OPTIONS: Final = {
    "text/event-stream": "-N",
    "*/*": "-OJ",
    "application/zip": "-OJ",
}
LIVE: Final = {
    "Events": ("event", "event_", "Server-Sent Events, by event name."),
    "Messages from the client": ("op", "client_", "WebSocket livejobs.v1, by op."),
    "Messages from the server": ("op", "server_", "WebSocket livejobs.v1, by op."),
    "Messages to webhooks": ("", "webhook", "By POST, in the format `standard`."),
}


def page(frame: str, rest: Mapping[str, Any]) -> str:
    """The frame, filled from both documents; `rest` is the OpenAPI one."""
    live = asyncapi("")
    tags = [tag["name"] for tag in rest["tags"]]
    contents = "".join(_contents(rest, tag) for tag in tags)
    groups = "".join(_group(rest, live, tag) for tag in tags)
    schemas = "".join(_schema(rest, name) for name in SHOWN)
    contents += '<h2><a href="#schemas">Schemas</a></h2>'
    contents += _list(f'<a href="#{name}">{name}</a>' for name in SHOWN)
    groups += f'<section class="group"><h2 id="schemas">Schemas</h2>{schemas}</section>'
    return frame.replace("<!-- contents -->", contents).replace("<!-- operations -->", groups)


def _anchor(tag: str) -> str:
    return tag.lower().replace(" ", "-")


def _list(items: Iterator[str]) -> str:
    return "<ul>" + "".join(f"<li>{item}</li>" for item in items) + "</ul>"


def _operations(rest: Mapping[str, Any], tag: str) -> Iterator[tuple[str, str, Any]]:
    for path, methods in rest["paths"].items():
        for method in METHODS:
            if tag in methods.get(method, {}).get("tags", ()):
                yield method, path, methods[method]


def _contents(rest: Mapping[str, Any], tag: str) -> str:
    links = (
        f'<a href="#{operation["operationId"]}">{escape(operation["summary"])}</a>'
        for _, _, operation in _operations(rest, tag)
    )
    return f'<h2><a href="#{_anchor(tag)}">{escape(tag)}</a></h2>' + _list(links)


def _group(rest: Mapping[str, Any], live: Mapping[str, Any], tag: str) -> str:
    inner = "".join(_operation(rest, *it) for it in _operations(rest, tag))
    if tag == "Live":
        inner += "".join(_messages(live, title) for title in LIVE)
    title = f'<h2 id="{_anchor(tag)}">{escape(tag)}</h2>'
    return f'<section class="group">{title}{inner}</section>'


def _operation(rest: Mapping[str, Any], method: str, path: str, operation: Any) -> str:
    address = re.sub(r"(\{\w+\})", r"<i>\1</i>", escape(path))
    return (
        f'<article class="operation" id="{operation["operationId"]}"><div>'
        f"<h3>{escape(operation['summary'])}</h3>"
        f'<p class="address"><span class="method {method}">{method.upper()}</span>'
        f"<code>{address}</code></p>"
        f"{_parameters(operation)}{_body(rest, operation)}{_answers(rest, operation)}</div>"
        f'<div class="example code"><pre tabindex="0">{escape(curl(method, path, operation))}</pre>'
        "</div></article>"
    )


# Requests


def _parameters(operation: Any) -> str:
    rows = [
        (_code(it["name"]), _prose(it["description"]), _kind(it["schema"]), _where(it))
        for it in operation["parameters"]
        if it["name"] not in EVERYWHERE and it["in"] != "path"
    ]
    return _fields("Parameters", rows)


def _where(parameter: Any) -> str:
    return "header" if parameter["in"] == "header" else ""


def _body(rest: Mapping[str, Any], operation: Any) -> str:
    content = operation.get("requestBody", {}).get("content", {})
    if JSON not in content:
        return _fields("Body", [(_code(media), "", "", "") for media in content])
    schema = content[JSON]["schema"]
    title = (
        "Body: a report of one of these types, or an array of reports"
        if "anyOf" in schema
        else "Body"
    )
    title += "".join(f"; or {media}" for media in content if media != JSON)
    return _fields(title, [*_members(rest, schema)])


Field = tuple[str, str, str, str]  # name, description, kind, where; all but the last as HTML


def _members(rest: Mapping[str, Any], schema: Schema) -> Iterator[Field]:
    schema = _found(rest, schema)
    if "anyOf" in schema:
        variants = [_found(rest, it) for it in _flat(schema)]
        yield from _variants([it for it in variants if "properties" in it])
    for name, member in schema.get("properties", {}).items():
        must = ' <small class="must">required</small>' if name in schema.get("required", ()) else ""
        yield _code(name) + must, _prose(member.get("description", "")), _kind(member), ""


def _variants(variants: list[Schema]) -> Iterator[Field]:
    """A row for the members of each struct, then one for the members that all have."""
    common = set.intersection(*(set(it["properties"]) for it in variants))
    for variant in variants:
        own = [name for name in variant["properties"] if name not in common]
        names = " ".join(f'<code class="more">{_star(variant, name)}</code>' for name in own)
        yield _code(variant["properties"]["type"]["enum"][0]), names, "", ""
    shared = [name for name in variants[0]["properties"] if name in common - {"type"}]
    if shared:
        names = " ".join(f'<code class="more">{escape(name)}</code>' for name in shared)
        yield "all types", names, "", ""


def _star(schema: Schema, name: str) -> str:
    return escape(name) + ("" if name in schema.get("required", ()) else "?")


def _flat(schema: Schema) -> Iterator[Schema]:
    for one in schema["anyOf"]:
        if "anyOf" in one:
            yield from _flat(one)
        elif one.get("type") != "array":  # which only repeats the others
            yield one


def _found(rest: Mapping[str, Any], schema: Schema) -> Schema:
    if "$ref" in schema:
        found: Schema = rest["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        return found
    return schema


def _kind(schema: Schema) -> str:
    """A schema in a word or two, as HTML."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f'<a href="#{name}">{name}</a>' if name in SHOWN else escape(name)
    if "anyOf" in schema:
        kinds = dict.fromkeys(_kind(it) for it in schema["anyOf"] if it.get("type") != "null")
        if any(kind.startswith("number") for kind in kinds):
            kinds = dict.fromkeys(it for it in kinds if not it.startswith("integer"))
        return " or ".join(kinds)
    if "enum" in schema or "const" in schema:
        return escape(", ".join(map(str, schema.get("enum", [schema.get("const")]))))
    if schema.get("type") == "array":
        return "array of " + (_kind(_unbound(schema.get("items", {}))) or "values")
    named = schema.get("type", "")
    kind = " or ".join(named) if isinstance(named, list) else named
    return escape(kind + _bounds(schema))


def _unbound(schema: Schema) -> Schema:
    if "anyOf" in schema:
        return {"anyOf": [_unbound(it) for it in schema["anyOf"]]}
    return {name: value for name, value in schema.items() if name != "maxLength"}


def _bounds(schema: Schema) -> str:
    if "maxLength" in schema:
        return f", up to {schema['maxLength']}"
    least, most = schema.get("minimum"), schema.get("maximum", LARGEST)
    if most < LARGEST:
        return f" {least or 0}\u2013{most}"
    return f" from {least}" if least else ""


# Responses


def _answers(rest: Mapping[str, Any], operation: Any) -> str:
    good, problems, shapes = [], [], set()
    for status, answer in sorted(operation["responses"].items()):
        content = answer.get("content", {})
        if status >= "400" and content:
            problems.append(f"<b>{status}</b>")
            shapes |= content.keys()
        else:
            good.append(f"<li><b>{status}</b><span>{_content(rest, content)}</span></li>")
    link = '<a href="#Problem">Problem</a>' if shapes == {PROBLEM} else ""
    bad = f'<li class="problems">{"".join(problems)}{link}</li>' if problems else ""
    return f'<h4>Responses</h4><ul class="answers">{"".join(good)}{bad}</ul>'


def _content(rest: Mapping[str, Any], content: Mapping[str, Any]) -> str:
    for media, value in content.items():
        if media != JSON:
            return f"<small>{escape(media)}</small>"
        schema = value["schema"]
        if schema.get("$ref", "").rpartition("/")[2] in SHOWN:
            return _kind(schema)
        members = _found(rest, schema).get("properties", {})
        return " ".join(f'<code class="more">{escape(name)}</code>' for name in members)
    return "<small>no body</small>"


def _schema(rest: Mapping[str, Any], name: str) -> str:
    fields = _fields("", [*_members(rest, rest["components"]["schemas"][name])])
    return f'<article class="operation schema" id="{name}"><h3>{name}</h3>{fields}</article>'


def _messages(live: Mapping[str, Any], title: str) -> str:
    key, prefix, summary = LIVE[title]
    rows = [
        (_code(message["name"]), _prose(message["summary"]), _other_members(message, key), "")
        for name, message in live["components"]["messages"].items()
        if name.startswith(prefix)
    ]
    fields = _fields(summary, rows)
    return f'<article class="operation schema"><h3>{title}</h3>{fields}</article>'


def _other_members(message: Any, key: str) -> str:
    members = message["payload"].get("properties", {})
    return " ".join(_code(name) for name in members if name != key)


# Pieces of HTML


def _prose(text: str) -> str:
    """Text as HTML, with `code` marked up."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def _code(text: str) -> str:
    return f"<code>{escape(text)}</code>"


def _fields(title: str, rows: list[Field]) -> str:
    if not rows:
        return ""
    lines = []
    for name, description, *notes in rows:
        small = "".join(f" <small>{note}</small>" for note in notes if note)
        lines.append(f"<div><dt>{name}</dt><dd>{description}{small}</dd></div>")
    heading = f"<h4>{escape(title)}</h4>" if title else ""
    return f'{heading}<dl class="fields">{"".join(lines)}</dl>'


def curl(method: str, path: str, operation: Any) -> str:
    """The command line that calls the operation."""
    address = re.sub(r"\{(\w+)\}", lambda it: "$" + it[1].upper(), path)
    answers = {media for it in operation["responses"].values() for media in it.get("content", ())}
    content = operation.get("requestBody", {}).get("content", {})
    options, lines = [], []
    if "token" in {it["name"] for it in operation["parameters"]}:
        lines.append('-H "Authorization: Bearer $LIVEJOBS_KEY"')
    headers = [it for it in operation["parameters"] if it["in"] == "header"]
    lines += [
        f'-H "{it["name"]}: {value}"'
        for it in headers
        for value in it["schema"].get("examples", ())
    ]
    if JSON in content:
        example = content[JSON].get("example", {})
        lines.append(f"--json '{json.dumps(example)}'")
    elif content:
        lines += [f'-H "Content-Type: {media}"' for media in content]
        lines.append("-T file")
    if method == "head":
        options.append("-I")
    elif method not in ("get", "post" if JSON in content else "put" if content else ""):
        options.append(f"-X {method.upper()}")
    options += [option for media, option in OPTIONS.items() if media in answers]
    first = " ".join(["curl", *options, f'"$LIVEJOBS_URL{address}"'])
    return " \\\n  ".join([first, *lines])
