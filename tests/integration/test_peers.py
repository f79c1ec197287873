"""Several operators share the work: each federation has one that acts first, and the others step in."""

from __future__ import annotations

import json
import re

import pytest
from rig.hub_namespace import HubNamespace
from rig.patience import eventually
from rig.tcf_processes import TcfProcess, TcfProcesses

COUNT = 24


def create(hub: HubNamespace, *names: str) -> None:
    clusters = [{"id": f"cluster_{n}", "name": f"cluster{n}"} for n in (1, 2)]
    kind = {"apiVersion": "tcf.dev/v1alpha1", "kind": "ClusterFederation"}
    items = [{**kind, "metadata": {"name": name}, "spec": {"clusters": clusters}} for name in names]
    manifest = {"apiVersion": "v1", "kind": "List", "items": items}
    hub.kubectl("apply", "-f", "-", stdin=json.dumps(manifest))


def await_first_roles(hub: HubNamespace, count: int) -> None:
    def all_of_them() -> bool:
        items = json.loads(hub.kubectl("get", "cfed", "-o", "json").stdout)["items"]
        return sum("term" in item.get("status", {}) for item in items) == count

    eventually(all_of_them, what=f"{count} federations have their first roles")


def counted(operator: TcfProcess, name: str, labels: str = "") -> int:
    """The sum of a counter or gauge; `labels`: those that it has to have."""
    text = operator.get("/metrics").body.decode()
    found = re.findall(rf"^{name}{{([^}}]*)}} (\S+)$", text, re.MULTILINE)
    return sum(int(float(value)) for having, value in found if labels in having)


def writes(operator: TcfProcess) -> int:
    return counted(operator, "tcf_hub_requests_total", 'resource="clusterfederations/status",verb="update"')


@pytest.fixture
def operators(hub: HubNamespace, programs: TcfProcesses) -> list[TcfProcess]:
    """Two that know each other."""
    create(hub, "first")
    started = [programs.operator("--identity", f"operator-{n}") for n in (1, 2)]
    eventually(lambda: all(counted(each, "tcf_peers") == 1 for each in started), what="they know each other")
    await_first_roles(hub, 1)
    return started


def test_each_does_a_part_and_nothing_is_done_twice(hub: HubNamespace, operators: list[TcfProcess]) -> None:
    before = [writes(each) for each in operators]
    create(hub, *(f"f{n}" for n in range(COUNT)))
    await_first_roles(hub, COUNT + 1)
    done = [writes(each) - earlier for each, earlier in zip(operators, before, strict=True)]
    assert all(done), done
    # A machine that is busy for half a second makes the other one step in, and that may cost a write.
    assert sum(counted(each, "tcf_conflicts_total") for each in operators) <= COUNT // 4


def test_when_one_dies_the_other_takes_over_its_share(hub: HubNamespace, operators: list[TcfProcess]) -> None:
    operators[0].kill()
    create(hub, *(f"f{n}" for n in range(COUNT)))
    await_first_roles(hub, COUNT + 1)
    assert counted(operators[1], "tcf_peers") == 1, "its mark is still there"


def test_the_marks_are_on_the_heartbeat(hub: HubNamespace, operators: list[TcfProcess]) -> None:
    lease = json.loads(hub.kubectl("get", "lease", "tcf-operator-heartbeat", "-o", "json").stdout)
    marks = [mark for name, mark in lease["metadata"]["annotations"].items() if "tcf.dev/operator-" in name]
    assert sorted(mark.partition("/")[0] for mark in marks) == ["operator-1", "operator-2"]
