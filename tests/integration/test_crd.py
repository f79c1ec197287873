"""The CRD on a real API server: what it refuses and in which words, what it accepts, fills in and shows."""

import dataclasses
import json
import re
import secrets
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from enum import EnumType
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any, get_type_hints

import pytest
import yaml
from rig.files import ROOT
from rig.hub_namespace import HubNamespace, own_namespace
from rig.kubectl import Kubectl
from rig.patience import eventually

from tcf.core import model
from tcf.core.bootstrap import bootstrapped
from tcf.core.conditions import conditions
from tcf.core.liveness import LONGEST_NAME, MOST_NAMES
from tcf.core.model import Role, Trigger
from tcf.core.reasons import Outcome
from tcf.hub import records
from tcf.options import LONGEST_IDENTITY

CRD = ROOT / "crds" / "clusterfederations.tcf.dev.yaml"
EXAMPLES = sorted((ROOT / "examples").glob("shop*.yaml"))

Json = dict[str, Any]


@pytest.fixture(scope="module")
def hub(control_plane: dict[str, str], crd: None) -> Iterator[HubNamespace]:
    """One namespace for all tests here: most of them store nothing, the others under names of their own."""
    with own_namespace(control_plane) as hub:
        yield hub


# --- objects ----------------------------------------------------------------------------------------


def member(id_: str, name: str = "a name", **more: object) -> Json:
    return {"id": id_, "name": name, **more}


def members(*ids: str) -> list[Json]:
    return [member(id_) for id_ in ids]


def numbered(count: int) -> list[Json]:
    return members(*(f"cluster_{n}" for n in range(1, count + 1)))


def merged(base: Any, patch: Any) -> Any:
    """`base` with a JSON merge patch applied: None removes a key, lists are replaced."""
    if not isinstance(patch, dict):
        return patch
    base = base if isinstance(base, dict) else {}
    result = {key: value for key, value in base.items() if key not in patch}
    return result | {k: merged(base.get(k), v) for k, v in patch.items() if v is not None}


def federation(spec: Json | None = None, name: str = "shop") -> Json:
    """A small valid federation with changes to its spec."""
    base = {
        "apiVersion": "tcf.dev/v1alpha1",
        "kind": "ClusterFederation",
        "metadata": {"name": name},
        "spec": {"clusters": numbered(2)},
    }
    changed: Json = merged(base, {"spec": spec or {}})
    return changed


def create(kubectl: Kubectl, spec: Json | None = None, name: str | None = None) -> Json:
    """A federation as the API server has stored it, under a name of its own."""
    text = json.dumps(federation(spec, name or f"shop-{secrets.token_hex(4)}"))
    stored: Json = json.loads(kubectl("create", "-f", "-", "-o", "json", stdin=text).stdout)
    return stored


def name_of(stored: Json) -> str:
    name: str = stored["metadata"]["name"]
    return name


def table(term: int = 5, /, **roles: str) -> Json:
    """A status with the given roles; cluster_1 and cluster_2 are passive unless given."""
    rows = {"cluster_1": "passive", "cluster_2": "passive"} | roles
    return {
        "protocol": 1,
        "term": term,
        "activeCluster": next((id_ for id_, role in rows.items() if role == "active"), ""),
        "clusters": [{"id": id_, "name": "a name", "status": role} for id_, role in rows.items()],
    }


def switchover(from_: str, to: str, /, **more: object) -> Json:
    return {"switchover": {"id": "spec-7", "from": from_, "to": to, "trigger": "api", **more}}


def ended(**more: object) -> Json:
    """An entry of history."""
    entry = {
        "id": "spec-7",
        "term": 4,
        "from": "",
        "to": "cluster_1",
        "trigger": "spec",
        "requestedBy": "spec.activeCluster",
        "reason": "",
        "startedAt": "",
        "finishedAt": "2026-11-23T21:00:00Z",
        "outcome": "Succeeded",
    }
    return entry | more


def condition(type_: str, status: str, **more: object) -> Json:
    base = {
        "type": type_,
        "status": status,
        "reason": "Tested",
        "message": "",
        "lastTransitionTime": "2026-11-23T21:00:00Z",
    }
    return base | more


def patch(
    kubectl: Kubectl, name: str, part: str, change: Json | None, *, check: bool = True
) -> CompletedProcess[str]:
    """Merge a change into the "spec" or the "status" of a federation."""
    where = ["--subresource=status"] if part == "status" else []
    text = json.dumps({part: change})
    return kubectl("patch", "cfed", name, "--type=merge", "-p", text, *where, check=check)


def problems(answer: CompletedProcess[str]) -> list[str]:
    """What the API server has objected to, one text for each."""
    assert answer.returncode == 1, answer
    told = re.split(r"\n\* |is invalid: ", answer.stderr.strip())
    objections = [text.strip() for text in told[1:] or told]
    return [text for text in objections if text and "some validation rules were not checked" not in text]


# --- what is refused --------------------------------------------------------------------------------

LONG = "c" * 64

BAD_SPECS = {
    # members
    "no members": ({"clusters": None}, "spec.clusters: Required value"),
    "empty members": ({"clusters": []}, "spec.clusters in body should have at least 2 items"),
    "one member": ({"clusters": numbered(1)}, "spec.clusters in body should have at least 2 items"),
    "17 members": ({"clusters": numbered(17)}, "spec.clusters: Too many: 17: must have at most 16 items"),
    "same id": ({"clusters": members("a", "b", "a")}, 'spec.clusters[2]: Duplicate value: {"id":"a"}'),
    "ids differ in case": (
        {"clusters": members("Berlin", "berlin")},
        'ids ["Berlin", "berlin"] differ only in upper',
    ),
    "ids differ in _ and -": (
        {"clusters": members("c-1", "d", "c_1")},
        "choose ids that differ in more than that",
    ),
    "members in one word": ({"clusters": "a,b"}, "spec.clusters in body must be of type array"),
    # ids
    "no id": ({"clusters": [member("a"), {"name": "b"}]}, "spec.clusters[1].id: Required value"),
    "empty id": ({"clusters": members("a", "")}, "spec.clusters[1].id in body should be at least 1 chars"),
    "long id": ({"clusters": members("a", LONG)}, "spec.clusters[1].id: Too long"),
    "id with slash": ({"clusters": members("a", "b/c")}, "use letters, digits, _ and -"),
    "id with dot": ({"clusters": members("a", "b.c")}, "use letters, digits, _ and -"),
    "id with blank": ({"clusters": members("a", "b c")}, "use letters, digits, _ and -"),
    "id with query": ({"clusters": members("a", "b?force=true")}, "use letters, digits, _ and -"),
    "id with percent": ({"clusters": members("a", "b%2f")}, "use letters, digits, _ and -"),
    "id with equals": ({"clusters": members("a", "b=c")}, "use letters, digits, _ and -"),
    "id with line break": ({"clusters": members("a", "b\n")}, "use letters, digits, _ and -"),
    "id that is an option": ({"clusters": members("a", "-b")}, "begin and end with a letter or a digit"),
    "id ends in hyphen": ({"clusters": members("a", "b-")}, "begin and end with a letter or a digit"),
    "id begins with _": ({"clusters": members("a", "_b")}, "begin and end with a letter or a digit"),
    "id ends in _": ({"clusters": members("a", "b_")}, "begin and end with a letter or a digit"),
    "id with umlaut": ({"clusters": members("a", "zürich")}, "use letters, digits, _ and -"),
    "id is a number": (
        {"clusters": [member("a"), {"id": 1, "name": "b"}]},
        "spec.clusters[1].id in body must be of type string",
    ),
    # names
    "no name": ({"clusters": [member("a"), {"id": "b"}]}, "spec.clusters[1].name: Required value"),
    "empty name": ({"clusters": [member("a"), member("b", "")]}, "spec.clusters[1].name: Invalid value"),
    "long name": ({"clusters": [member("a"), member("b", "ü" * 254)]}, "spec.clusters[1].name: Too long"),
    "blank name": ({"clusters": [member("a"), member("b", " ")]}, "no blank at the beginning or the end"),
    "padded name": (
        {"clusters": [member("a"), member("b", "b\u3000")]},
        "no blank at the beginning or the end",
    ),
    "name with line break": ({"clusters": [member("a"), member("b", "b\nc")]}, "no line breaks"),
    "name with escape": ({"clusters": [member("a"), member("b", "b\x1b[31mc")]}, "other control characters"),
    "name with line separator": ({"clusters": [member("a"), member("b", "b\u2028c")]}, "no line breaks"),
    # priority
    "negative priority": (
        {"clusters": [member("a"), member("b", priority=-1)]},
        "greater than or equal to 0",
    ),
    "high priority": ({"clusters": [member("a"), member("b", priority=1001)]}, "less than or equal to 1000"),
    "priority in words": (
        {"clusters": [member("a"), member("b", priority="high")]},
        "must be of type integer",
    ),
    # activeCluster
    "active is no member": (
        {"activeCluster": "x"},
        'write the id of a member, one of ["cluster_1", "cluster_2"]',
    ),
    "active by name": ({"activeCluster": "a name"}, "spec.activeCluster: Invalid value"),
    "active in other case": ({"activeCluster": "Cluster_1"}, "spec.activeCluster: Invalid value"),
    "empty active": ({"activeCluster": ""}, "or leave it out"),
    # leaseDuration
    "lease of zero": ({"leaseDuration": "0s"}, 'spec.leaseDuration: Invalid value: "0s": write 1s to 300s'),
    "lease too long": ({"leaseDuration": "301s", "switchoverTimeout": "1h"}, "write 1s to 300s"),
    "lease of days": ({"leaseDuration": "1d"}, "in whole hours, minutes and seconds"),
    "lease of half seconds": ({"leaseDuration": "1.5s"}, "in whole hours, minutes and seconds"),
    "lease in milliseconds": ({"leaseDuration": "15000ms"}, "in whole hours, minutes and seconds"),
    "lease without unit": ({"leaseDuration": "15"}, "in whole hours, minutes and seconds"),
    "lease is a number": ({"leaseDuration": 15}, "spec.leaseDuration in body must be of type string"),
    "negative lease": ({"leaseDuration": "-15s"}, "in whole hours, minutes and seconds"),
    "empty lease": ({"leaseDuration": ""}, "in whole hours, minutes and seconds"),
    "lease with blanks": ({"leaseDuration": "15 s"}, "in whole hours, minutes and seconds"),
    "lease in wrong order": ({"leaseDuration": "5s1m"}, "in whole hours, minutes and seconds"),
    "lease beyond any integer": (
        {"leaseDuration": "999999999999999h"},
        "in whole hours, minutes and seconds",
    ),
    "lease too long to read": ({"leaseDuration": "0" * 16 + "1s"}, "spec.leaseDuration: Too long"),
    "lease with line break": ({"leaseDuration": "15s\n"}, "in whole hours, minutes and seconds"),
    # switchoverTimeout
    "lease grown alone": (
        {"leaseDuration": "300s"},
        "spec.switchoverTimeout: Invalid value: write at least 332s, or a lower leaseDuration than 300s",
    ),
    "timeout just too short": ({"leaseDuration": "10s", "switchoverTimeout": "12s"}, "write at least 13s"),
    "timeout too short by default": ({"switchoverTimeout": "17s"}, "write at least 18s"),
    "timeout of zero": ({"switchoverTimeout": "0s"}, "write at least 18s"),
    "timeout too long": ({"switchoverTimeout": "3601s"}, "write up to 1h"),
    "timeout malformed": (
        {"switchoverTimeout": "soon"},
        'spec.switchoverTimeout: Invalid value: "soon": write up to',
    ),
    # isolation and failover
    "unknown isolation": (
        {"isolation": "fence"},
        'spec.isolation: Unsupported value: "fence": supported values: "Fence"',
    ),
    "unknown mode": ({"failover": {"mode": "Auto"}}, 'supported values: "Manual", "Automatic"'),
    "unknown leader": (
        {"failover": {"follows": "applications"}},
        'supported values: "Workers", "Applications"',
    ),
    "automatic and KeepRole": (
        {"isolation": "KeepRole", "failover": {"mode": "Automatic"}},
        "spec.failover.mode: Invalid value: Automatic needs isolation: Fence",
    ),
    "failover is a word": ({"failover": "Automatic"}, "spec.failover in body must be of type object"),
    "silence of zero": (
        {"failover": {"timeout": "0s"}},
        'spec.failover.timeout: Invalid value: "0s": write 1s to 1h',
    ),
    "silence too long": ({"failover": {"timeout": "1h1s"}}, "write 1s to 1h"),
    "silence malformed": ({"failover": {"timeout": "20"}}, "write 1s to 1h"),
    "cooldown too long": ({"failover": {"cooldown": "24h1s"}}, "write 0s to 24h"),
    "cooldown malformed": ({"failover": {"cooldown": "never"}}, "write 0s to 24h"),
    "cooldown of days": ({"failover": {"cooldown": "1d"}}, "write 0s to 24h"),
    "priority too low": ({"failover": {"priority": -1}}, "should be greater than or equal to 0"),
    "priority too high": ({"failover": {"priority": 1001}}, "should be less than or equal to 1000"),
    # the rest
    "paused in words": ({"paused": "yes"}, "spec.paused in body must be of type boolean"),
    "misspelt field": ({"leaseDurration": "5s"}, 'unknown field "spec.leaseDurration"'),
    "misspelt member field": (
        {"clusters": [member("a"), member("b", weight=1)]},
        'unknown field "spec.clusters[1].weight"',
    ),
}


@pytest.mark.parametrize(("spec", "message"), BAD_SPECS.values(), ids=BAD_SPECS)
def test_bad_spec_is_refused(kubectl: Kubectl, spec: Json, message: str) -> None:
    answer = kubectl("create", "-f", "-", stdin=json.dumps(federation(spec)), check=False)
    told = problems(answer)
    assert len(told) == 1
    assert message in told[0]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "s" * 64,
            "metadata.name is too long: use at most 63 characters, since it becomes the value of a label",
        ),
        ("Shop", "a lowercase RFC 1123 subdomain"),
        ("shop_1", "a lowercase RFC 1123 subdomain"),
        ("-shop", "a lowercase RFC 1123 subdomain"),
    ],
)
def test_bad_object_name_is_refused(kubectl: Kubectl, name: str, message: str) -> None:
    answer = kubectl("create", "-f", "-", stdin=json.dumps(federation(name=name)), check=False)
    told = problems(answer)
    assert len(told) == 1
    assert message in told[0]


def test_object_without_spec_is_refused(kubectl: Kubectl) -> None:
    bare = {key: value for key, value in federation().items() if key != "spec"}
    answer = kubectl("create", "-f", "-", stdin=json.dumps(bare), check=False)
    assert problems(answer) == ["spec: Required value"]


# --- what is accepted -------------------------------------------------------------------------------

GOOD_SPECS: dict[str, Json] = {
    "two members": {},
    "16 members": {"clusters": numbered(16)},
    "names in any script": {
        "clusters": [
            member("a", "Zürich: 第一 データセンター"),
            member("b", "مركز البيانات"),
            member("c", "👩\u200d💻 e\u0301 नमस्ते"),
            member("d", "<b>&\"'\\ {{x}} %s $(y)"),
        ]
    },
    "names shared": {"clusters": [member("a", "same"), member("b", "same")]},
    "longest names": {"clusters": [member("a", "🦊" * 253), member("b", "x")]},
    "longest ids": {"clusters": members("c" * 63, "c" * 62 + "d")},
    "shortest ids": {"clusters": members("0", "A", "b")},
    "ids with all there is": {"clusters": members("Cluster_1-eu__west--2", "2026", "NO", "null", "true")},
    "extreme priorities": {"clusters": [member("a", priority=0), member("b", priority=1000)]},
    "an active member": {"activeCluster": "cluster_2"},
    "shortest times": {
        "leaseDuration": "1s",
        "switchoverTimeout": "3s",
        "failover": {"timeout": "1s", "cooldown": "0s"},
    },
    "longest times": {
        "leaseDuration": "300s",
        "switchoverTimeout": "1h",
        "failover": {"timeout": "1h", "cooldown": "24h"},
    },
    "times in other words": {
        "leaseDuration": "4m60s",
        "switchoverTimeout": "0h5m32s",
        "failover": {"timeout": "3600s", "cooldown": "1h30m"},
    },
    "timeout just long enough": {"leaseDuration": "10s", "switchoverTimeout": "13s"},
    "KeepRole": {"isolation": "KeepRole", "failover": {"mode": "Manual"}},
    "Automatic": {"failover": {"mode": "Automatic"}},
    "Applications": {"failover": {"follows": "Applications"}},
    "paused": {"paused": True},
}


@pytest.mark.parametrize("spec", GOOD_SPECS.values(), ids=GOOD_SPECS)
def test_good_spec_is_accepted_and_understood(kubectl: Kubectl, spec: Json) -> None:
    stored = create(kubectl, spec)
    read = records.federation(stored).spec
    wanted = federation(spec)["spec"]
    assert merged(stored["spec"], wanted) == stored["spec"] | {"clusters": wanted["clusters"]}
    assert [(m.id, m.name, m.priority) for m in read.clusters] == [
        (m["id"], m["name"], m.get("priority", 0)) for m in wanted["clusters"]
    ]
    assert read.lease_duration == records.seconds(wanted.get("leaseDuration", "15s"))
    assert read.switchover_timeout == records.seconds(wanted.get("switchoverTimeout", "30s"))


@pytest.mark.parametrize("name", ["s" * 63, "shop.example-1"])
def test_good_object_name_is_accepted(kubectl: Kubectl, name: str) -> None:
    assert name_of(create(kubectl, name=name)) == name


@pytest.mark.parametrize("spec", [{}, {"failover": {}}], ids=["no failover", "empty failover"])
def test_defaults_are_filled_in_and_are_those_of_the_model(kubectl: Kubectl, spec: Json) -> None:
    stored = create(kubectl, spec)
    assert stored["spec"] == {
        "clusters": [m | {"priority": 0} for m in numbered(2)],
        "leaseDuration": "15s",
        "switchoverTimeout": "30s",
        "isolation": "Fence",
        "failover": {
            "mode": "Manual",
            "follows": "Workers",
            "timeout": "20s",
            "cooldown": "5m",
            "priority": 0,
        },
        "paused": False,
    }
    read = records.federation(stored).spec
    assert read == model.Spec(clusters=read.clusters)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_example_is_accepted(kubectl: Kubectl, example: Path) -> None:
    kubectl("create", "--dry-run=server", "-f", str(example))


def test_full_example_has_every_field() -> None:
    example = yaml.safe_load((ROOT / "examples" / "shop-full.yaml").read_text())
    there = {path for path, _ in fields_of(example["spec"], "spec")}
    assert there == {path for path, _ in FIELDS if path.startswith("spec.")}


# --- changes, given a status ------------------------------------------------------------------------

Change = tuple[Json, str, Json, str]  # the status before (if any); which part to change, and how; the answer

REFUSED_CHANGES: dict[str, Change] = {
    # members that have to stay
    "active member removed": (
        table(cluster_1="active"),
        "spec",
        {"clusters": members("cluster_2", "cluster_3")},
        "cluster_1 is active: it can be neither removed nor given another id until it is passive,",
    ),
    "demoting member removed": (
        table(cluster_2="demoting"),
        "spec",
        {"clusters": members("cluster_1", "cluster_3")},
        "spec.clusters: Forbidden: cluster_2 is demoting: it can be neither removed",
    ),
    "promoting member removed": (
        table(cluster_2="promoting"),
        "spec",
        {"clusters": members("cluster_1", "cluster_3")},
        "spec.clusters: Forbidden: cluster_2 is promoting: it can be neither removed",
    ),
    "active member given another id": (
        table(cluster_1="active"),
        "spec",
        {"clusters": members("Cluster_1", "cluster_2")},
        "spec.clusters: Forbidden: cluster_1 is active: it can be neither removed",
    ),
    "target of a switchover removed": (
        table() | switchover("", "cluster_2"),
        "spec",
        {"clusters": members("cluster_1", "cluster_3")},
        "spec.clusters: Forbidden: a switchover from nobody to cluster_2 is under way: neither can be",
    ),
    "source of a switchover removed": (
        table(cluster_2="promoting") | switchover("cluster_1", "cluster_2"),
        "spec",
        {"clusters": members("cluster_2", "cluster_3")},
        "a switchover from cluster_1 to cluster_2 is under way: neither can be removed",
    ),
    # roles of nobody
    "outsider made active": (
        table(),
        "status",
        table(cluster_3="active"),
        "spec.clusters: Forbidden: cluster_3 is active: it can be neither removed nor given another id",
    ),
    "switchover to an outsider": (
        table(),
        "status",
        switchover("", "cluster_3"),
        "a switchover from nobody to cluster_3 is under way",
    ),
    "switchover from an outsider": (
        table(),
        "status",
        switchover("cluster_3", ""),
        "a switchover from cluster_3 to nobody is under way",
    ),
    # one engaged, at most
    "two active": (
        table(cluster_1="active"),
        "status",
        table(cluster_1="active", cluster_2="active"),
        'at most one member may be active, promoting or demoting, but ["cluster_1", "cluster_2"] are',
    ),
    "active and promoting": (
        table(cluster_1="active"),
        "status",
        table(cluster_1="active", cluster_2="promoting"),
        "at most one member may be active, promoting or demoting",
    ),
    "demoting and promoting": (
        table(cluster_1="demoting"),
        "status",
        table(cluster_1="demoting", cluster_2="promoting"),
        "at most one member may be active, promoting or demoting",
    ),
    "another named active": (
        table(cluster_1="active"),
        "status",
        {"activeCluster": "cluster_2"},
        "activeCluster must name the member whose row in clusters says active",
    ),
    "nobody named active": (
        table(cluster_1="active"),
        "status",
        {"activeCluster": ""},
        "must name the member",
    ),
    "a passive one named active": (table(), "status", {"activeCluster": "cluster_1"}, "empty when none does"),
    # the term
    "term falls": (
        table(5),
        "status",
        {"term": 4},
        "status.term: Invalid value: 4: write at least 5: the term never falls",
    ),
    "term of zero": (
        table(1795457003000),
        "status",
        {"term": 0},
        "write at least 1795457003000: the term never falls",
    ),
    "negative term": (
        {},
        "status",
        table(-1),
        "status.term: Invalid value: -1: term in body should be greater than or equal to 0",
    ),
    "no term": (table(), "status", {"term": None}, "status.term: Required value"),
    # the rest of the table
    "no protocol": (table(), "status", {"protocol": None}, "status.protocol: Required value"),
    "no table": (table(), "status", {"clusters": None}, "status.clusters: Required value"),
    "unknown role": (table(), "status", table(cluster_1="ACTIVE"), 'Unsupported value: "ACTIVE"'),
    "33 rows": (
        table(),
        "status",
        table(**{f"c{n}": "passive" for n in range(31)}),
        "status.clusters: Too many: 33: must have at most 32 items",
    ),
    "a member twice": (
        table(),
        "status",
        {"clusters": [*table()["clusters"], table()["clusters"][0]]},
        'status.clusters[2]: Duplicate value: {"id":"cluster_1"}',
    ),
    "fewer workers than none": (
        table(),
        "status",
        {"clusters": [{"id": "cluster_1", "name": "x", "status": "passive", "workers": -1}]},
        "clusters[0].workers in body should be greater than or equal to 0",
    ),
    # requests
    "unknown trigger": (table(), "status", switchover("", "", trigger="cron"), 'Unsupported value: "cron"'),
    "request without id": (
        table(),
        "status",
        switchover("", "", id=None),
        "status.switchover.id: Required value",
    ),
    "request with a bad id": (
        table(),
        "status",
        switchover("", "", id="A/b"),
        "switchover.id in body should match",
    ),
    "request without target": (
        table(),
        "status",
        switchover("", "", to=None),
        "status.switchover.to: Required value",
    ),
    "long reason": (
        table(),
        "status",
        switchover("", "", reason="r" * 257),
        "status.switchover.reason: Too long",
    ),
    "long author": (table(), "status", switchover("", "", requestedBy="r" * 257), "requestedBy: Too long"),
    # history
    "21 entries": (
        table(),
        "status",
        {"history": [ended()] * 21},
        "status.history: Too many: 21: must have at most 20",
    ),
    "outcome in words": (
        table(),
        "status",
        {"history": [ended(outcome="no live worker")]},
        "history[0].outcome in body should match",
    ),
    "long message": (
        table(),
        "status",
        {"history": [ended(message="m" * 2049)]},
        "status.history[0].message: Too long",
    ),
    # conditions
    "condition twice": (
        table(),
        "status",
        {"conditions": [condition("Ready", "True")] * 2},
        'status.conditions[1]: Duplicate value: {"type":"Ready"}',
    ),
    "condition that is yes": (
        table(),
        "status",
        {"conditions": [condition("Ready", "yes")]},
        'Unsupported value: "yes": supported values: "True", "False", "Unknown"',
    ),
    "condition without reason": (
        table(),
        "status",
        {"conditions": [condition("Ready", "True", reason="no reason")]},
        "conditions[0].reason in body should match",
    ),
    "condition of yesterday": (
        table(),
        "status",
        {"conditions": [condition("Ready", "True", lastTransitionTime="yesterday")]},
        "conditions[0].lastTransitionTime in body must be of type date-time",
    ),
}


@pytest.mark.parametrize(
    ("before", "part", "change", "message"), REFUSED_CHANGES.values(), ids=REFUSED_CHANGES
)
def test_change_is_refused(kubectl: Kubectl, before: Json, part: str, change: Json, message: str) -> None:
    name = name_of(create(kubectl))
    if before:
        patch(kubectl, name, "status", before)
    told = problems(patch(kubectl, name, part, change, check=False))
    assert len(told) == 1
    assert message in told[0]


ALLOWED_CHANGES: dict[str, tuple[Json, str, Json]] = {
    "passive member removed": (
        table(cluster_1="active"),
        "spec",
        {"clusters": members("cluster_1", "cluster_3")},
    ),
    "member added": (table(cluster_1="active"), "spec", {"clusters": numbered(3)}),
    "active member renamed": (
        table(cluster_1="active"),
        "spec",
        {"clusters": [member("cluster_1", "another"), member("cluster_2")]},
    ),
    "order changed": (table(cluster_1="active"), "spec", {"clusters": members("cluster_2", "cluster_1")}),
    "everybody replaced": (table(), "spec", {"clusters": members("a", "b")}),
    "term stays": (table(5), "status", table(5, cluster_1="active")),
    "term rises": (table(5), "status", table(6, cluster_1="active")),
    "switchover to nobody": (table(cluster_1="active"), "status", switchover("cluster_1", "")),
    "switchover ends": (table() | switchover("cluster_1", ""), "status", {"switchover": None}),
    "rows of former members": (table(), "status", table(**{f"c{n}": "passive" for n in range(30)})),
    "table of nobody": (table(), "status", {"clusters": []}),
}


@pytest.mark.parametrize(("before", "part", "change"), ALLOWED_CHANGES.values(), ids=ALLOWED_CHANGES)
def test_change_is_allowed(kubectl: Kubectl, before: Json, part: str, change: Json) -> None:
    name = name_of(create(kubectl))
    patch(kubectl, name, "status", before)
    patch(kubectl, name, part, change)


def test_engaged_member_may_leave_once_it_is_passive(kubectl: Kubectl) -> None:
    name = name_of(create(kubectl))
    patch(kubectl, name, "status", table(5, cluster_1="active"))
    others = {"clusters": members("cluster_2", "cluster_3")}
    assert problems(patch(kubectl, name, "spec", others, check=False))
    patch(kubectl, name, "status", table(6))
    patch(kubectl, name, "spec", others)


def test_removed_status_may_begin_at_any_term(kubectl: Kubectl) -> None:
    """The way out for a person. It is safe: the operator begins above every term that is in use."""
    name = name_of(create(kubectl))
    patch(kubectl, name, "status", table(5, cluster_1="active"))
    patch(kubectl, name, "status", None)
    assert "status" not in json.loads(kubectl("get", "cfed", name, "-o", "json").stdout)
    patch(kubectl, name, "status", table(4))


def test_status_in_a_manifest_is_ignored(kubectl: Kubectl) -> None:
    text = json.dumps(federation(name="with-status") | {"status": table(cluster_9="active")})
    assert "status" not in json.loads(kubectl("create", "-f", "-", "-o", "json", stdin=text).stdout)


# --- the records of the code ------------------------------------------------------------------------

OUTCOMES = [*Outcome, "NoLiveWorker", "ApplicationUnhealthy", "CannotFence", "UnknownCluster"]

FULL = model.Status(
    protocol=model.PROTOCOL,
    term=1795457003000,
    clusters=(
        model.MemberStatus(
            "cluster_1",
            "Zürich: 第一",
            Role.ACTIVE,
            workers=3,
            live_workers=2,
            application=model.Application.UNHEALTHY,
        ),
        model.MemberStatus("cluster_2", "🦊" * 253, Role.PASSIVE, silent_since="2026-11-23T21:00:00Z"),
        model.MemberStatus("c" * 63, "left", Role.PASSIVE),
    ),
    active_cluster="cluster_1",
    observed_generation=7,
    observed_active_cluster="c" * 63,
    switchover=model.Switchover(
        id="0123456789abcdef0123456789abcdef",
        from_="cluster_1",
        to="cluster_2",
        trigger=Trigger.FAILOVER,
        requested_by="🦊" * 256,
        reason="第" * 256,
        force=True,
        requested_at="2026-11-23T21:00:00Z",
        silent_since="2026-11-23T20:59:40Z",
    ),
    unfenceable=tuple(
        model.Unfenceable("c" * 63 if n else "", f"{n:02}" + "ü" * (LONGEST_NAME - 2))
        for n in range(MOST_NAMES)
    ),
    strangers=tuple(model.Stranger(f"{n:02}" + "s" * 251, "c" * 63, "p" * 256) for n in range(MOST_NAMES)),
    longest_lease_seconds=model.LONGEST_LEASE,
    in_doubt=model.Doubt("2026-11-23T21:00:00.000000+00:00", 331),
    operator="o" * LONGEST_IDENTITY,
    history=tuple(
        model.HistoryEntry(
            id=f"bootstrap-{1795457003000 + n}",
            term=n,
            from_="",
            to="cluster_2",
            trigger=list(Trigger)[n % len(Trigger)],
            requested_by="🦊" * 256,
            reason="第" * 256,
            started_at="",
            finished_at="2026-11-23T21:00:00Z",
            outcome=OUTCOMES[n % len(OUTCOMES)],
            message="ü" * 2048,
            silent_since="2026-11-23T20:59:40Z",
        )
        for n in range(model.HISTORY_LENGTH)
    ),
    conditions=tuple(
        model.Condition(type_, "False", "NoActiveCluster", "ü" * 4096, "2026-11-23T21:00:00Z", 7)
        for type_ in ("Ready", "Switching", "SpecAligned", "Degraded")
    ),
)


def _bootstrapped(federation: model.Federation) -> model.Status:
    now = model.Now(boot=0.0, wall=datetime(2026, 11, 23, 21, tzinfo=UTC))
    status = bootstrapped(federation, (), now, seen=0)
    return dataclasses.replace(status, conditions=conditions(federation, status, now))


STATUSES: dict[str, Callable[[model.Federation], model.Status]] = {
    "full": lambda _: FULL,
    "empty": lambda _: model.Status(protocol=model.PROTOCOL, term=0, clusters=()),
    "as from bootstrap": _bootstrapped,
}


@pytest.mark.parametrize("status_for", STATUSES.values(), ids=STATUSES)
def test_status_of_the_records_survives_the_round_trip(
    kubectl: Kubectl, namespace: str, status_for: Callable[[model.Federation], model.Status]
) -> None:
    stored = create(kubectl)
    status = status_for(records.federation(stored))
    name = name_of(stored)
    path = f"/apis/tcf.dev/v1alpha1/namespaces/{namespace}/clusterfederations/{name}/status"
    text = json.dumps(stored | {"status": records.status_json(status)})
    kubectl("replace", "--raw", f"{path}?fieldValidation=Strict", "-f", "-", stdin=text)
    read = records.federation(json.loads(kubectl("get", "cfed", name, "-o", "json").stdout))
    assert read.status == status


# --- the schema -------------------------------------------------------------------------------------

SCHEMA: Json = yaml.safe_load(CRD.read_text())["spec"]["versions"][0]["schema"]["openAPIV3Schema"]


def schema_fields(schema: Json, path: str = "") -> Iterator[tuple[str, Json]]:
    """Every field of a schema with its path, such as `spec.clusters.id`."""
    for name, field in schema.get("properties", {}).items():
        where = f"{path}.{name}".lstrip(".")
        yield where, field
        yield from schema_fields(field.get("items", field), where)


def fields_of(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Every field of an object with its path, as `schema_fields` names it."""
    if isinstance(value, list):
        for item in value:
            yield from fields_of(item, path)
    elif isinstance(value, dict):
        for name, field in value.items():
            yield f"{path}.{name}", field
            yield from fields_of(field, f"{path}.{name}")


FIELDS = list(schema_fields(SCHEMA))

RECORDS = {
    "spec": model.Spec,
    "spec.clusters": model.Member,
    "spec.failover": model.Failover,
    "status": model.Status,
    "status.clusters": model.MemberStatus,
    "status.switchover": model.Switchover,
    "status.history": model.HistoryEntry,
    "status.conditions": model.Condition,
    "status.unfenceable": model.Unfenceable,
    "status.strangers": model.Stranger,
    "status.inDoubt": model.Doubt,
}


def test_every_field_is_described() -> None:
    assert len(FIELDS) > 50
    assert [path for path, field in FIELDS if not field.get("description", "").endswith((".", ")"))] == []


def test_every_field_is_bounded() -> None:
    bounds = {
        "string": {"maxLength", "enum", "format"},
        "integer": {"minimum"},
        "array": {"maxItems"},
        "object": {"properties"},
        "boolean": {"type"},
    }
    assert [path for path, field in FIELDS if not bounds[field["type"]] & field.keys()] == []


@pytest.mark.parametrize(("path", "record"), RECORDS.items(), ids=RECORDS)
def test_schema_has_the_fields_of_the_record(path: str, record: Any) -> None:
    field = dict(FIELDS)[path]
    schema = field.get("items", field)
    wire = {records._wire_name(record, f.name): f for f in dataclasses.fields(record)}
    assert schema["properties"].keys() == wire.keys()
    needed = {
        name
        for name, f in wire.items()
        if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
    }
    assert set(schema.get("required", ())) == needed
    types = get_type_hints(record)
    for name, f in wire.items():
        if isinstance(types[f.name], EnumType):
            assert schema["properties"][name]["enum"] == list(types[f.name])


# --- what people see --------------------------------------------------------------------------------


def explained(kubectl: Kubectl, *args: str) -> str:
    """What kubectl explain prints; the server publishes a new schema a little late."""
    return eventually(lambda: kubectl("explain", *args, check=False).stdout, what=f"kubectl explain {args}")


def test_get_shows_the_roles(kubectl: Kubectl) -> None:
    name = name_of(create(kubectl))
    before = kubectl("get", "cfed", name).stdout.splitlines()
    assert before[0].split() == ["NAME", "ACTIVE", "SWITCHING", "READY", "AGE"]
    assert len(before[1].split()) == len(["NAME", "AGE"])
    rest = {
        "activeCluster": "cluster_1",
        "conditions": [
            condition("Ready", "True", reason="Active"),
            condition("Switching", "False"),
            condition("Degraded", "True"),
        ],
        "history": [
            ended(outcome="TimedOut"),
            ended(id="two", finishedAt="2020-01-01T00:00:00Z"),
            ended(id="three", finishedAt="2010-01-01T00:00:00Z"),
        ],
    }
    patch(kubectl, name, "status", table(1795457003000, cluster_1="active") | rest)
    row = kubectl("get", "cfed", name).stdout.splitlines()[1].split()
    assert row[:-1] == [name, "cluster_1", "False", "True"]
    head, wide = (line.split() for line in kubectl("get", "cfed", name, "-o", "wide").stdout.splitlines())
    assert head[5:] == ["REASON", "DEGRADED", "LAST", "SWITCH", "TERM"]
    assert (wide[5], wide[6], wide[8]) == ("Active", "True", "1795457003000")
    assert re.fullmatch(r"[6-9]y\d+d|[6-9]y", wide[7]), wide[7]
    assert f"clusterfederation.tcf.dev/{name}" in kubectl("get", "all", "-o", "name").stdout


def test_explain_lists_every_field_of_the_spec(kubectl: Kubectl) -> None:
    text = explained(kubectl, "clusterfederation.spec", "--recursive")
    listed = set(re.findall(r"^\s+(\w+)\t<", text, re.MULTILINE))
    assert listed == {path.rpartition(".")[2] for path, _ in FIELDS if path.startswith("spec.")}


@pytest.mark.parametrize("path", ["spec", "spec.clusters.id", "spec.failover", "status.clusters.status"])
def test_explain_describes(kubectl: Kubectl, path: str) -> None:
    text = explained(kubectl, f"cfed.{path}")
    told = text.partition("DESCRIPTION:")[2].split()
    description = dict(FIELDS)[path]["description"].split()
    assert told[: len(description)] == description
