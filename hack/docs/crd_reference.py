"""`docs/reference/clusterfederation.md`: every field of the resource, from the descriptions in the CRD."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from docs.markdown import WIDTH, choice, code, row, written

Json = dict[str, Any]

_INTRODUCTION = """\
# Reference: ClusterFederation

<!-- Generated from crds/clusterfederations.tcf.dev.yaml by `make fmt`. Edit the descriptions there. -->

Every field of the resource `{kind}` ({group}/{version}), with its type, default, bounds and rules.
`kubectl explain {short}.spec` shows the same text.
[../../examples/shop-full.yaml](../../examples/shop-full.yaml) has every field of the spec to copy from.
"""
_QUOTED = re.compile(r"'((?:[^'\\]|\\.)*)'")


@dataclass(frozen=True, slots=True)
class _Rule:
    """A rule that the API server checks."""

    expression: str
    message: str


def reference(crd: Json) -> str:
    """The page."""
    spec = crd["spec"]
    names, version = spec["names"], spec["versions"][0]
    schema = version["schema"]["openAPIV3Schema"]
    parts = [
        _INTRODUCTION.format(
            kind=names["kind"],
            group=spec["group"],
            version=version["name"],
            short=names["shortNames"][0],
        ),
        f"{written(schema['description'])}\n",
        *_rules("the whole object", _own_rules(schema)),
        _columns(version["additionalPrinterColumns"]),
    ]
    for name, field in schema["properties"].items():
        parts += _object(name, field)
    return "\n".join(parts)


def _columns(columns: list[Json]) -> str:
    """The columns of `kubectl get`."""
    lines = ["## Columns of kubectl get\n", row("Column", "Shown", "Meaning"), "|---|---|---|"]
    for column in columns:
        shown = "with `--output wide`" if column.get("priority") else "always"
        lines.append(row(column["name"], shown, column.get("description", "The age of the object.")))
    return "\n".join(lines) + "\n"


def _object(path: str, schema: Json) -> Iterator[str]:
    """An object with its fields, then the objects in it."""
    item = schema.get("items", schema)
    yield f"## {path}\n"
    for described in (schema, item) if item is not schema else (schema,):
        yield f"{written(described['description'])}\n"
    yield "\n".join(_table(item)) + "\n"
    yield from _rules(path, [*_own_rules(schema), *(_own_rules(item) if item is not schema else [])])
    for name, field in item["properties"].items():
        if not _has_fields(field):
            yield from _rules(f"{path}.{name}", _own_rules(field))
    for name, field in item["properties"].items():
        if _has_fields(field):
            yield from _object(f"{path}.{name}" + ("[]" if "items" in field else ""), field)


def _has_fields(field: Json) -> bool:
    return "properties" in field.get("items", field)


def _table(schema: Json) -> Iterator[str]:
    yield row("Field", "Type", "Default", "Bounds", "Meaning")
    yield "|---|---|---|---|---|"
    required = schema.get("required", [])
    for name, field in schema["properties"].items():
        default = code(_value(field["default"])) if "default" in field else ""
        yield row(
            code(name),
            _type(field),
            "required" if name in required else default,
            ", ".join(_bounds(field)),
            field["description"],
        )


def _type(field: Json) -> str:
    if "items" in field:
        return f"list of {_type(field['items'])}s"
    return str(field["type"])


def _bounds(field: Json) -> Iterator[str]:
    """What a value may be, in words."""
    if "enum" in field:
        yield choice(field["enum"])
    for least, most, unit in (
        ("minimum", "maximum", ""),
        ("minLength", "maxLength", " characters"),
        ("minItems", "maxItems", " items"),
    ):
        if least in field and most in field:
            yield f"{field[least]:,} to {field[most]:,}{unit}"
        elif least in field:
            yield f"at least {field[least]:,}{unit}"
        elif most in field:
            yield f"at most {field[most]:,}{unit}"
    if "pattern" in field:
        yield code(field["pattern"])
    if field.get("format") == "date-time":
        yield "RFC 3339"


def _own_rules(schema: Json) -> list[_Rule]:
    return [
        _Rule(" ".join(rule["rule"].split()), _message(rule))
        for rule in schema.get("x-kubernetes-validations", [])
    ]


def _message(rule: Json) -> str:
    """What the API server answers; `...` stands for what depends on the object."""
    if "message" in rule:
        return " ".join(rule["message"].split())
    expression = " ".join(rule["messageExpression"].split())
    quoted = _QUOTED.match(expression)
    if not quoted:
        raise ValueError(f"a messageExpression has to begin with a text in quotes, not {expression!r}")
    return re.sub(r"%[sd]", "...", quoted[1])


def _rules(what: str, rules: list[_Rule]) -> Iterator[str]:
    """The rules of a field, if it has any."""
    if rules:
        name = code(what) if "." in what or " " not in what else what
        yield f"Rules for {name}:\n"
    for rule in rules:
        refusal = textwrap.fill(f"- Refused with *{rule.message}*, unless:", WIDTH, subsequent_indent="  ")
        yield f"{refusal}\n\n  ```\n  {rule.expression}\n  ```\n"


def _value(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
