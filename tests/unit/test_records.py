"""What is read where the API's JSON says less than it may, and that both sides keep the same bounds."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import yaml

from tcf.core.fencing import silence_needed
from tcf.core.lease_content import IDLE_DURATION, REGISTRATION_DURATION
from tcf.core.liveness import LONGEST_HELD_BY, LONGEST_NAME, MOST_NAMES
from tcf.core.model import (
    HISTORY_LENGTH,
    LONGEST_LEASE,
    LONGEST_MESSAGE,
    Application,
    Condition,
    Failover,
    FailoverMode,
    Isolation,
    Member,
    MemberStatus,
    Role,
    Spec,
    Status,
)
from tcf.hub import records
from tcf.hub.answers import Json
from tcf.options import LONGEST_IDENTITY
from tcf.runtime.text import LONGEST_TEXT

CRD = yaml.safe_load(
    (Path(__file__).parents[2] / "crds" / "clusterfederations.tcf.dev.yaml").read_text(encoding="utf-8")
)


def schema(path: str) -> Any:
    """What the CRD says of a field, such as `status.history.message`; lists are passed through."""
    found = CRD["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    for name in path.split("."):
        found = found.get("items", found)["properties"][name]
    return found


def test_the_limit_of_what_is_said_of_holders_is_that_of_the_schema() -> None:
    assert schema("status.clusters.heldBy")["maxLength"] == LONGEST_HELD_BY


SPARSE: Json = {
    "metadata": {"namespace": "ns", "name": "shop", "uid": "u", "resourceVersion": "7"},
    "spec": {"clusters": [{"id": "c1", "name": "one"}, {"id": "c2", "name": "two"}]},
    "status": {
        "protocol": 1,
        "term": 5,
        "clusters": [{"id": "c1", "name": "one", "status": "active"}],
        "conditions": [
            {"type": "Ready", "status": "True", "reason": "R", "message": "m", "lastTransitionTime": "t"}
        ],
    },
}


def test_what_an_object_does_not_say() -> None:
    found = records.federation(SPARSE)
    assert found.spec == Spec(
        clusters=(Member("c1", "one", 0), Member("c2", "two", 0)),
        active_cluster=None,
        lease_duration=15,
        switchover_timeout=30,
        isolation=Isolation.FENCE,
        failover=Failover(FailoverMode.MANUAL, 20, 300),
        paused=False,
    )
    assert found.status == Status(
        protocol=1,
        term=5,
        clusters=(MemberStatus("c1", "one", Role.ACTIVE, 0, 0, None),),
        active_cluster="",
        observed_generation=0,
        observed_active_cluster="",
        conditions=(Condition("Ready", "True", "R", "m", "t", 0),),
    )
    assert (found.generation, dict(found.annotations)) == (0, {})


@pytest.mark.parametrize(
    ("field", "read"),
    [
        ("spec.leaseDuration", lambda spec: f"{spec.lease_duration}s"),
        ("spec.switchoverTimeout", lambda spec: f"{spec.switchover_timeout}s"),
        ("spec.isolation", lambda spec: spec.isolation),
        ("spec.failover.mode", lambda spec: spec.failover.mode),
        ("spec.failover.timeout", lambda spec: f"{spec.failover.timeout}s"),
        ("spec.failover.cooldown", lambda spec: f"{spec.failover.cooldown // 60}m"),
        ("spec.failover.priority", lambda spec: spec.failover.priority),
        ("spec.clusters.priority", lambda spec: spec.clusters[0].priority),
        ("spec.paused", lambda spec: spec.paused),
    ],
)
def test_the_crd_has_the_same_defaults(field: str, read: Any) -> None:
    assert read(records.federation(SPARSE).spec) == schema(field)["default"]


def test_a_lease_under_which_nothing_was_granted_has_the_usual_durations() -> None:
    """The shortest one at first, and without a federation that of one that says nothing else."""
    assert REGISTRATION_DURATION == 1
    assert records.seconds(schema("spec.leaseDuration")["default"]) == IDLE_DURATION


@pytest.mark.parametrize(
    ("field", "bound", "value"),
    [
        ("status.history", "maxItems", HISTORY_LENGTH),
        ("status.history.message", "maxLength", LONGEST_MESSAGE),
        ("status.switchover.reason", "maxLength", LONGEST_TEXT),
        ("status.longestLeaseSeconds", "maximum", LONGEST_LEASE),
        ("status.operator", "maxLength", LONGEST_IDENTITY),
        ("status.inDoubt.seconds", "maximum", math.ceil(silence_needed(LONGEST_LEASE))),
        ("status.unfenceable", "maxItems", MOST_NAMES),
        ("status.unfenceable.holder", "maxLength", LONGEST_NAME),
        ("status.strangers", "maxItems", MOST_NAMES),
    ],
)
def test_the_crd_has_the_same_bounds(field: str, bound: str, value: int) -> None:
    assert schema(field)[bound] == value


@pytest.mark.parametrize(
    ("annotations", "report"),
    [
        ({"tcf.dev/application": "Healthy"}, Application.HEALTHY),
        ({"tcf.dev/application": "Unhealthy"}, Application.UNHEALTHY),
        ({"tcf.dev/application": "healthy"}, None),
        ({"tcf.dev/application": ""}, None),
        ({"tcf.dev/application": None}, None),
        ({}, None),
        (None, None),
    ],
)
def test_a_lease_says_how_the_application_is_in_one_of_two_words(annotations: Any, report: Any) -> None:
    value = {"metadata": {**SPARSE["metadata"], "annotations": annotations}}
    assert records.lease(value).application is report
