"""Whatever JSON an API server answers, or something on the way to it: it is read, or MalformedError."""

from __future__ import annotations

import copy
import dataclasses
import json
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tcf.hub import answers, errors, pods, records
from tcf.hub.answers import Json

ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=True)
    | st.text(max_size=20)
    | st.sampled_from(
        ["", "0", "-1", "9" * 30, "²", "1e3", "true", "9" * 400, "2026-13-40T99:99:99Z", "15s"]
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
METADATA = {
    "namespace": "ns",
    "name": "shop",
    "uid": "u-1",
    "resourceVersion": "7",
    "generation": 3,
    "labels": {"tcf.dev/federation": "shop", "tcf.dev/cluster": "c1", "tcf.dev/role": "active"},
    "annotations": {
        "tcf.dev/acknowledged": "u-1/5",
        "tcf.dev/isolation": "Fence",
        "tcf.dev/last-active": "c1/5",
        "tcf.dev/application": "Healthy",
    },
}
FEDERATION: Json = {
    "metadata": METADATA,
    "spec": {
        "clusters": [{"id": "c1", "name": "one", "priority": 1}, {"id": "c2", "name": "two"}],
        "activeCluster": "c1",
        "leaseDuration": "15s",
        "isolation": "Fence",
        "failover": {"mode": "Automatic", "timeout": "20s", "cooldown": "5m"},
        "paused": False,
    },
    "status": {
        "protocol": 1,
        "term": 5,
        "clusters": [{"id": "c1", "name": "one", "status": "active", "workers": 1, "liveWorkers": 1}],
        "activeCluster": "c1",
        "switchover": {"id": "r1", "from": "c1", "to": "c2", "trigger": "api", "force": False},
        "unfenceable": [{"cluster": "c1", "holder": "h"}],
        "strangers": [{"lease": "l", "cluster": "c", "problem": "p"}],
        "inDoubt": {"since": "2026-11-26T10:00:00.000000+00:00", "seconds": 12},
        "longestLeaseSeconds": 15,
        "operator": "tcf-operator-1",
        "history": [
            {
                "id": "r0",
                "term": 4,
                "from": "",
                "to": "c1",
                "trigger": "bootstrap",
                "requestedBy": "",
                "reason": "",
                "startedAt": "",
                "finishedAt": "",
                "outcome": "Succeeded",
            }
        ],
        "conditions": [
            {"type": "Ready", "status": "True", "reason": "R", "message": "m", "lastTransitionTime": "t"}
        ],
    },
}
LEASE: Json = {
    "metadata": METADATA,
    "spec": {"holderIdentity": "h", "leaseDurationSeconds": 15, "renewTime": "2026-11-26T10:00:00.000000Z"},
}
POD: Json = {
    "metadata": METADATA,
    "spec": {"readinessGates": [{"conditionType": "tcf.dev/active"}]},
    "status": {"conditions": [{"type": "tcf.dev/active", "status": "True", "reason": "Active"}]},
}
STATUS: Json = {
    "kind": "Status",
    "apiVersion": "v1",
    "status": "Failure",
    "code": 403,
    "message": "no",
    "details": {"name": "n", "kind": "namespaces", "causes": [{"reason": "NamespaceTerminating"}]},
}


def refused(value: Json) -> object:
    code = value.get("code")
    status = code if isinstance(code, int) and code in range(300, 600) else 403
    return answers.refusal(status, json.dumps(value).encode(), "PUT", "/x", "the hub", "https://hub")


READERS: dict[str, tuple[Json, Callable[[Json], object]]] = {
    "federation": (FEDERATION, records.federation),
    "lease": (LEASE, records.lease),
    "leases": ({"kind": "LeaseList", "items": [LEASE]}, records.leases),
    "first": (
        {"kind": "XList", "items": [{"metadata": METADATA}]},
        lambda value: records.first(value, "XList"),
    ),
    "list version": ({"metadata": {"resourceVersion": "7"}}, records.list_version),
    "deleted": ({"kind": "Status", "status": "Success"}, lambda value: records.check_deleted(value, "l")),
    "pod": (POD, pods._pod),
    "refusal": (STATUS, refused),
}


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every container in a value with each of its keys or indices."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in pairs:
        yield value, key
        yield from places(inner)


def read(reader: Callable[[Json], object], value: Json) -> None:
    """MalformedError says what is wrong in one line of bounded length; else all has its type."""
    complaint = ""
    try:
        check_types(reader(value))
    except errors.MalformedError as error:
        complaint = str(error)
    assert complaint.isprintable()
    assert len(complaint) < 1000


def check_types(record: object) -> None:
    """As far as the record says them."""
    if isinstance(record, tuple):
        for each in record:
            check_types(each)
    if dataclasses.is_dataclass(record):
        hints = typing.get_type_hints(type(record))
        for field in dataclasses.fields(record):
            found, allowed = getattr(record, field.name), hints[field.name]
            kinds = [typing.get_origin(kind) or kind for kind in typing.get_args(allowed) or (allowed,)]
            if typing.get_origin(allowed) in {tuple, Mapping}:
                kinds = [typing.get_origin(allowed)]
            assert isinstance(found, tuple(kinds)), f"{field.name} is {found!r}, not {allowed}"
            assert isinstance(found, bool) == (bool in kinds) or found is None, f"{field.name} is {found!r}"
            check_types(found)


@pytest.mark.parametrize("name", READERS)
def test_what_is_well_formed_is_read(name: str) -> None:
    value, reader = READERS[name]
    reader(copy.deepcopy(value))


@pytest.mark.parametrize("name", READERS)
@settings(deadline=None, max_examples=25, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_json_in_any_place(name: str, data: st.DataObject) -> None:
    original, reader = READERS[name]
    count = len(list(places(original)))
    for index in range(count):
        value = copy.deepcopy(original)
        container, key = list(places(value))[index]
        if data.draw(st.booleans(), label=f"{key} is missing") and isinstance(container, dict):
            del container[key]
        else:
            container[key] = data.draw(ANYTHING, label=str(key))
        read(reader, value)


@pytest.mark.parametrize("name", READERS)
@given(value=st.dictionaries(st.sampled_from(["metadata", "spec", "status", "items", "kind"]), ANYTHING))
def test_any_json_at_all(name: str, value: Json) -> None:
    read(READERS[name][1], value)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"null",
        b"[]",
        b"<html>",
        b"{",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"\xff\xfe",
        b"1" * 10_000,
        b'{"a": ' + b"9" * 10_000 + b"}",
    ],
    ids=range(10),
)
def test_any_bytes_at_all(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"not (a )?JSON"):
        answers.decoded(text)
    assert isinstance(answers.refusal(403, text, "GET", "/", "the hub", "https://hub"), errors.HubError)
