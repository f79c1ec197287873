"""`docs/reference/values.md`: every value of the chart, from the comments in `values.yaml` and its schema."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from docs.markdown import choice, code, row, written

Json = dict[str, Any]

_INTRODUCTION = """\
# Reference: values of the chart

<!-- Generated from charts/tcf-operator/values.yaml by `make fmt`. Edit the comments there. -->

Every value of the chart, with its type and default.
The chart refuses any other value, so a misspelled one is noticed at once.
[../install.md](../install.md) says which ones you are likely to need.
"""
_GENERAL = "General"


@dataclass(frozen=True, slots=True)
class Value:
    """A value, or a group of values, as `values.yaml` has it.

    Attributes:
        path: the keys that lead to it.
        default: as YAML in one line; None for a group.
        text: the sentences of its comment.
        example: the indented lines of its comment.
    """

    path: tuple[str, ...]
    default: str | None
    text: str
    example: str


def reference(values: str, schema: Json) -> str:
    """The page."""
    parts, groups = [_INTRODUCTION], _grouped(read(values, schema))
    for title, group in groups.items():
        parts.append(f"## {title}\n")
        head = group[0]
        if head.path == (title,) and head.default is None:
            group = group[1:]  # noqa: PLW2901 - the rest of it
            if head.text:
                parts.append(f"{written(head.text)}\n")
            if head.example:
                parts.append(f"```yaml\n{head.example}\n```\n")
        parts.append("\n".join(_table(group, schema)) + "\n")
        parts += [
            f"An example for `{'.'.join(value.path)}`:\n\n```yaml\n{value.example}\n```\n"
            for value in group
            if value.example
        ]
    return "\n".join(parts)


def read(values: str, schema: Json) -> list[Value]:
    """All values and groups, in the order of the file."""
    document = yaml.compose(values)
    if not isinstance(document, yaml.MappingNode):
        raise TypeError("values.yaml has to be a mapping")
    return list(_read(document, (), values.splitlines(), schema))


def _read(
    mapping: yaml.MappingNode, path: tuple[str, ...], lines: list[str], schema: Json
) -> Iterator[Value]:
    for key, node in mapping.value:
        here = (*path, str(key.value))
        text, example = _comment(lines, key.start_mark.line)
        inside = _schema_of(here, schema).get("properties")
        if isinstance(node, yaml.MappingNode) and inside:
            yield Value(here, None, text, example)
            yield from _read(node, here, lines, schema)
        else:
            default = yaml.safe_load(yaml.serialize(node))
            yield Value(here, _one_line(default), text, example)


def _comment(lines: list[str], number: int) -> tuple[str, str]:
    """The comment right above a line: its prose, and its example."""
    first = number
    while first and lines[first - 1].lstrip().startswith("#"):
        first -= 1
    comment = [line.lstrip().removeprefix("#").removeprefix(" ") for line in lines[first:number]]
    example = [line for line in comment if line.startswith("  ")]
    prose = " ".join(line for line in comment if not line.startswith("  "))
    prose = re.sub(r"\s*For example:$", "", prose)
    return prose, "\n".join(line.removeprefix("  ") for line in example)


def _one_line(default: object) -> str:
    flow = yaml.safe_dump(default, default_flow_style=True, sort_keys=False, width=1_000_000)
    return flow.removesuffix("\n").removesuffix("\n...").replace("''", '""')


def _schema_of(path: tuple[str, ...], schema: Json) -> Json:
    """What the schema says of a value."""
    found = schema
    for name in path:
        found = _resolved(found.get("properties", {}).get(name, {}), schema)
    return found


def _resolved(part: Json, schema: Json) -> Json:
    reference_to = part.get("$ref")
    return schema["definitions"][reference_to.rpartition("/")[2]] if reference_to else part


def _grouped(values: list[Value]) -> dict[str, list[Value]]:
    """Values by the first of their keys; those that are no groups together."""
    groups: dict[str, list[Value]] = {}
    for value in values:
        alone = len(value.path) == 1 and value.default is not None
        groups.setdefault(_GENERAL if alone else value.path[0], []).append(value)
    return groups


def _table(values: list[Value], schema: Json) -> Iterator[str]:
    yield row("Value", "Type", "Default", "Meaning")
    yield "|---|---|---|---|"
    for value in values:
        about = _schema_of(value.path, schema)
        yield row(
            code(".".join(value.path)),
            "group" if value.default is None else _type(about, schema),
            code(value.default or ""),
            value.text,
        )


def _type(about: Json, schema: Json) -> str:
    if "enum" in about:
        return choice(about["enum"])
    kind = str(about["type"])
    if kind == "array":
        items = _resolved(about.get("items", {}), schema)
        return f"list of {items.get('type', 'value')}s"
    if "minimum" in about and "maximum" in about:
        return f"{kind}, {about['minimum']} to {about['maximum']}"
    return kind
