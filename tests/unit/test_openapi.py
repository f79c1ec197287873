"""The OpenAPI description: it is valid, its examples fit, and it has the reasons that workers give."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest
import schemathesis
from support.openapi import DESCRIPTION, description

from tcf.core.reasons import Outcome, Reason
from unit.test_reasons import documented, values

DOCUMENT = description()
COMPONENTS = DOCUMENT["components"]
ONLY_IN_LOGS = {Reason.CRD_OUTDATED, Reason.NOT_WATCHING, Reason.PAUSED}


def parts(value: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every object in a document, with the way to it."""
    if isinstance(value, dict):
        yield path, value
    for key, part in value.items() if isinstance(value, dict) else enumerate(value):
        if isinstance(part, dict | list):
            yield from parts(part, f"{path}/{key}")


def check(value: Any, schema: Any) -> None:
    jsonschema_rs.validate({"components": COMPONENTS, "allOf": [schema]}, value)


def test_it_is_a_description() -> None:
    schemathesis.openapi.from_path(DESCRIPTION).validate()


@pytest.mark.parametrize(
    "path", [path for path, part in parts(DOCUMENT) if {"schema", "example"} <= part.keys()]
)
def test_examples_of_parameters_headers_and_bodies(path: str) -> None:
    part = dict(parts(DOCUMENT))[path]
    check(part["example"], part["schema"])


@pytest.mark.parametrize(
    "name", [name for name, schema in COMPONENTS["schemas"].items() if "examples" in schema]
)
def test_examples_of_schemas(name: str) -> None:
    schema = COMPONENTS["schemas"][name]
    for example in schema["examples"]:
        check(example, schema)


def test_every_component_is_used() -> None:
    used = {part["$ref"] for _, part in parts(DOCUMENT) if "$ref" in part}
    events = {"RolesEvent", "UnknownEvent"}  # in a stream, of which OpenAPI 3.1 describes no parts
    for kind, components in COMPONENTS.items():
        if kind != "securitySchemes":
            assert {f"#/components/{kind}/{name}" for name in components.keys() - events} <= used


def test_the_reasons_are_those_of_workers() -> None:
    known = set(COMPONENTS["schemas"]["Reason"]["enum"])
    assert known == values(Reason, Outcome) - {Outcome.SUCCEEDED} - ONLY_IN_LOGS
    assert known <= documented("http-api.md", "| `X-TCF-Reason`")


def test_each_reason_has_its_answers() -> None:
    """MethodNotAllowed is the answer to methods that no path describes."""
    headers = [
        part["X-TCF-Reason"]["schema"] for _, part in parts(COMPONENTS["responses"]) if "X-TCF-Reason" in part
    ]
    reasons = {word for schema in headers for word in words(schema)}
    assert reasons == set(COMPONENTS["schemas"]["Reason"]["enum"]) - {"MethodNotAllowed"}


def words(schema: dict[str, Any]) -> Iterator[str]:
    """The values that a schema of words allows."""
    if "$ref" in schema:
        schema = COMPONENTS["schemas"][schema["$ref"].rpartition("/")[2]]
    yield from schema.get("enum", [])
    if "const" in schema:
        yield schema["const"]
    for one in schema.get("anyOf", []):
        yield from words(one)
