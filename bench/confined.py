"""What the admission policies cost: the same writes in a namespace with them and in one without them.

Each namespace has the Roles and RoleBindings of the workers of a thousand federations, because RBAC goes
through all bindings of a namespace for each right that is asked for.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from controlplane.plane import ControlPlane
from rig.admission_policies import confine, install_policies
from rig.hub_namespace import HubNamespace, ServiceAccount
from rig.kubectl import install_crd, kubectl_of

from bench.farm import MEMBERS
from bench.hub_tools import a_few_at_a_time, bench_client
from bench.report import Figure, Goal
from tcf.core.admission import Accepted, Command, Kind, admit
from tcf.core.history import withdrawn
from tcf.core.lease_content import Renewal
from tcf.core.model import PROTOCOL, Federation, Isolation, MemberStatus, Principal, Role, Status
from tcf.hub.client import MERGE_PATCH, HubClient
from tcf.hub.federations import Federations
from tcf.hub.worker_leases import Leases, lease_folder
from tcf.runtime.clock import CLOCK

FEDERATIONS = 1000
WRITES = 200
RUNS = 5
_DEADLINE = 30.0
_RBAC = "rbac.authorization.k8s.io"
_RESOURCES = f"/apis/{_RBAC}/v1/namespaces"
_FEDERATION = "f500"
_ACCOUNT = f"{_FEDERATION}-{MEMBERS[0].replace('_', '-')}"
Times = dict[str, tuple[list[float], list[float]]]
"""For each kind of write, the medians of the runs in seconds: with the policies, and without them."""
Right = tuple[str, str, str, str]
"""Group, resource, name ("" for all) and verbs."""
OPERATOR: list[Right] = [
    ("tcf.dev", "clusterfederations", "", "get"),
    ("tcf.dev", "clusterfederations/status", "", "update"),
    ("tcf.dev", "clusterfederations/roles", "", "update"),
    ("coordination.k8s.io", "leases", "", "create,patch"),
]
"""The rights that an operator needs here, and those of an application that keeps a Lease."""


def worker_rights(federation: str, cluster: str) -> list[Right]:
    """Those of a worker, as the chart grants them."""
    return [
        ("tcf.dev", "clusterfederations", federation, "get,watch"),
        ("tcf.dev", "clusterfederations/status", federation, "update"),
        ("coordination.k8s.io", "leases", "", "create,get,patch,delete"),
        ("tcf.dev", "clusterfederations/worker", "", "represent"),
        ("tcf.dev", "clusterfederations/member", f"{federation}:{cluster}", "represent"),
        ("tcf.dev", "clusterfederations/switchover", federation, "create"),
    ]


@dataclass(frozen=True)
class Namespace:
    """A namespace with a federation, and clients with the rights of an operator and of one of its workers."""

    hub: HubNamespace
    operator: HubClient
    worker: HubClient

    async def read(self) -> Federation:
        return await Federations(self.operator).get(self.hub.namespace, _FEDERATION, deadline=_DEADLINE)

    async def renewals(self) -> list[float]:
        """Seconds that each renewal took."""
        leases, where = Leases(self.worker), self.hub.namespace
        lease = await leases.create(
            where,
            f"bench-{time.monotonic_ns()}",
            federation=_FEDERATION,
            cluster=MEMBERS[0],
            holder="bench",
            duration=1,
            deadline=_DEADLINE,
        )
        took = []
        for duration in range(1, WRITES + 1):
            began = time.perf_counter()
            renewal = Renewal(None, Isolation.FENCE, duration)
            lease = await leases.renew(where, lease, renewal, deadline=_DEADLINE)
            took.append(time.perf_counter() - began)
        await leases.delete(where, lease, deadline=_DEADLINE)
        return took

    async def foreign(self) -> list[float]:
        """Seconds that each renewal of an application's Lease took, which is no worker's."""
        name = f"application-{time.monotonic_ns()}"
        path, took = lease_folder(self.hub.namespace), []
        await self.operator.request("POST", path, body={"metadata": {"name": name}}, deadline=_DEADLINE)
        for duration in range(1, WRITES + 1):
            body = {"spec": {"leaseDurationSeconds": duration}}
            began = time.perf_counter()
            await self.operator.request(
                "PATCH", f"{path}/{name}", body=body, content_type=MERGE_PATCH, deadline=_DEADLINE
            )
            took.append(time.perf_counter() - began)
        return took

    async def requests(self) -> list[float]:
        """Seconds that a worker took to place a request or to withdraw one."""
        store, found, took = Federations(self.worker), await self.read(), []
        for number in range(WRITES // 2):
            command = Command(Kind.PROMOTE, MEMBERS[0], f"bench-{number}-{time.monotonic_ns()}", ASKING)
            asked = admit(found, command, CLOCK.now())
            assert isinstance(asked, Accepted), asked
            began = time.perf_counter()
            found = await store.write_status(found, asked.status, deadline=_DEADLINE)
            took.append(time.perf_counter() - began)
            assert found.status
            without = withdrawn(found.status, asked.request, CLOCK.now())
            assert without
            began = time.perf_counter()
            found = await store.write_status(found, without, deadline=_DEADLINE)
            took.append(time.perf_counter() - began)
        return took

    async def tables(self) -> list[float]:
        """Seconds that each table took which an operator wrote."""
        store, found, took = Federations(self.operator), await self.read(), []
        for _ in range(WRITES):
            assert found.status
            raised = replace(found.status, term=found.status.term + 1)
            began = time.perf_counter()
            found = await store.write_status(found, raised, deadline=_DEADLINE)
            took.append(time.perf_counter() - began)
        return took


ASKING = Principal("bench", via=MEMBERS[0])
TABLE = Status(
    protocol=PROTOCOL,
    term=1,
    clusters=(MemberStatus(MEMBERS[0], "", Role.PASSIVE), MemberStatus(MEMBERS[1], "", Role.ACTIVE)),
    active_cluster=MEMBERS[1],
)
WHAT: dict[str, Callable[[Namespace], Awaitable[list[float]]]] = {
    "a worker renews its Lease": Namespace.renewals,
    "an application renews a Lease of its own": Namespace.foreign,
    "a worker places or withdraws a request": Namespace.requests,
    "an operator writes a table": Namespace.tables,
}


def policies() -> Iterator[Figure]:
    """Writes to the hub with the admission policies against the same writes without them."""
    with tempfile.TemporaryDirectory() as folder, ControlPlane.start() as plane:
        install_crd(plane)
        found = _compared(plane, Path(folder))
    for what, times in found.items():
        values, floor = ([1000 * each for each in those] for those in times)
        name = f"{what} (each run: {WRITES})"
        yield Figure("policies", name, "ms", values, floor, Goal("≤", 1.5))


def _compared(plane: ControlPlane, folder: Path) -> Times:
    hubs = []
    for name in ("confined", "free"):
        hubs.append(HubNamespace(kubectl_of(plane, name), name, plane.kubeconfig))
        hubs[-1].kubectl("create", "namespace", name)
    trial = HubNamespace(kubectl_of(plane, "trial"), "trial", plane.kubeconfig)
    trial.kubectl("create", "namespace", "trial")
    install_policies(trial)
    confine(hubs[0])
    return asyncio.run(_in_turns(hubs, folder))


async def _in_turns(hubs: list[HubNamespace], folder: Path) -> Times:
    found: Times = {what: ([], []) for what in WHAT}
    async with _prepared(hubs[0], folder) as confined, _prepared(hubs[1], folder) as free:
        for run in range(RUNS + 1):
            for what, measure in WHAT.items():
                pair = [(confined, found[what][0]), (free, found[what][1])]
                for namespace, values in pair if run % 2 else reversed(pair):
                    took = statistics.median(await measure(namespace))
                    if run:  # the first is for warming up
                        values.append(took)
    return found


@asynccontextmanager
async def _prepared(hub: HubNamespace, folder: Path) -> AsyncIterator[Namespace]:
    """Fill a namespace, and give its federation roles."""
    async with bench_client(hub.kubeconfig) as admin:
        accounts = {"operator": OPERATOR}
        for number in range(FEDERATIONS):
            for cluster in MEMBERS:
                name = f"f{number}"
                accounts[f"{name}-{cluster.replace('_', '-')}"] = worker_rights(name, cluster)
        await a_few_at_a_time(_grant(admin, hub.namespace, *each) for each in accounts.items())
    hub.apply(_FEDERATION, activeCluster=None)
    paths = []
    for account in ("operator", _ACCOUNT):
        hub.kubectl("create", "serviceaccount", account)
        token = hub.kubectl("create", "token", account).stdout.strip()
        paths.append(ServiceAccount(hub, account, token).kubeconfig(folder / f"{hub.namespace}-{account}"))
    async with bench_client(paths[0]) as operator, bench_client(paths[1]) as worker:
        namespace = Namespace(hub, operator, worker)
        await Federations(operator).write_status(await namespace.read(), TABLE, deadline=_DEADLINE)
        yield namespace


async def _grant(admin: HubClient, namespace: str, account: str, rights: list[Right]) -> None:
    """Grant rights to a ServiceAccount, which need not exist, by a Role and a RoleBinding of its own."""
    rules = [
        {
            "apiGroups": [group],
            "resources": [resource],
            "verbs": verbs.split(","),
            **({"resourceNames": [name]} if name else {}),
        }
        for group, resource, name, verbs in rights
    ]
    binding = {
        "roleRef": {"apiGroup": _RBAC, "kind": "Role", "name": account},
        "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": namespace}],
    }
    for plural, kind, content in (
        ("roles", "Role", {"rules": rules}),
        ("rolebindings", "RoleBinding", binding),
    ):
        body = {"apiVersion": f"{_RBAC}/v1", "kind": kind, "metadata": {"name": account}, **content}
        path = f"{_RESOURCES}/{namespace}/{plural}"
        await admin.request("POST", path, body=body, deadline=_DEADLINE)
