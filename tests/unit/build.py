"""Builders of the core's records, so that a test says only what it is about.

The members are c1, c2, c3 ...; a role table is a string such as `"active passive"`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from tcf.core.annotations import ANNOTATION_LAST_ACTIVE, Acknowledgement
from tcf.core.bootstrap import longest_lease
from tcf.core.conditions import conditions
from tcf.core.decide import Decision, Observation, decide
from tcf.core.model import (
    PROTOCOL,
    Doubt,
    Federation,
    HistoryEntry,
    Isolation,
    Member,
    MemberRef,
    MemberStatus,
    Now,
    Role,
    Spec,
    Status,
    Switchover,
    Trigger,
    WorkerLease,
)
from tcf.core.reading import WorkerState
from tcf.core.reasons import Outcome
from tcf.core.sightings import Doubtful, Sightings, Stage
from tcf.runtime.clock import Clock

UID = "uid-1"
TERM = 100
BOOT = 5000.0
WALL = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)
STAMP = "2026-11-23T12:00:00Z"
UNIX = 1000 * int(WALL.timestamp())
"""The term at which a federation begins that has no earlier life."""
D = 10
SILENCE = 11.1
"""Seconds of silence that fence a Lease of D."""
TIMEOUT = 30
SILENT_SINCE = BOOT - 60
"""When the versions of silent Leases were received: long enough ago to fence, too recent to collect."""


def at(boot: float = BOOT) -> Now:
    return Now(boot, WALL + timedelta(seconds=boot - BOOT))


class ClockAt(Clock):
    """Shows what it is told to."""

    def __init__(self, boot: Callable[[], float]) -> None:
        self._told = boot

    def boot(self) -> float:
        return self._told()

    def now(self) -> Now:
        return at(self._told())


def ids(count: int) -> list[str]:
    return [f"c{n}" for n in range(1, count + 1)]


def rows(roles: str, *, workers: int = 1, live: int = 1) -> tuple[MemberStatus, ...]:
    words = roles.split()
    return tuple(
        MemberStatus(member, f"name-{member}", Role(word), workers, live, None if live else STAMP)
        for member, word in zip(ids(len(words)), words, strict=True)
    )


def status(roles: str, *, term: int = TERM, workers: int = 1, live: int = 1, **more: Any) -> Status:
    clusters = rows(roles, workers=workers, live=live)
    active = next((m.id for m in clusters if m.role is Role.ACTIVE), "")
    return Status(protocol=PROTOCOL, term=term, clusters=clusters, active_cluster=active, **more)


def spec(members: int = 2, **more: Any) -> Spec:
    clusters = tuple(Member(member, f"name-{member}") for member in ids(members))
    return Spec(**{"clusters": clusters, "lease_duration": D, "switchover_timeout": TIMEOUT, **more})


def request(from_: str = "c1", to: str = "c2", **more: Any) -> Switchover:
    values: dict[str, Any] = {"id": "r1", "trigger": Trigger.API, "requested_at": STAMP, **more}
    return Switchover(from_=from_, to=to, **values)


def bootstrap(to: str = "c1") -> Switchover:
    return request("", to, id="bootstrap-99", trigger=Trigger.BOOTSTRAP, requested_by="coordinator")


def entry(name: str = "r0", **more: Any) -> HistoryEntry:
    values: dict[str, Any] = {
        "term": TERM - 1,
        "from_": "c1",
        "to": "c2",
        "trigger": Trigger.API,
        "requested_by": "",
        "reason": "",
        "started_at": STAMP,
        "finished_at": STAMP,
        "outcome": "Succeeded",
        **more,
    }
    return HistoryEntry(id=name, **values)


LOST = entry("r9", to="", outcome=Outcome.HUB_RESTORED)
"""The record of a status that the hub has lost."""
DOUBT = Doubt("2026-11-23T11:59:00.000000+00:00", 12)
"""And what follows from it: nobody is promoted for so many seconds."""


def federation(roles: str | None = "active passive", *, wants: str | None = None, **more: Any) -> Federation:
    """`wants` is spec.activeCluster; other fields go to the Federation, the Spec or the Status."""
    own = {name: more.pop(name) for name in Federation.__dataclass_fields__ if name in more}
    ruled = {name: more.pop(name) for name in Spec.__dataclass_fields__ if name in more}
    count = more.pop("members", len(roles.split()) if roles else 2)
    defaults: dict[str, Any] = {
        "namespace": "ns",
        "name": "shop",
        "uid": UID,
        "resource_version": "1",
        "generation": 1,
        "spec": spec(count, active_cluster=wants, **ruled),
        "status": status(roles, **{"observed_active_cluster": wants or "", **more}) if roles else None,
    }
    return Federation(**{**defaults, **own})


def machine_of(cluster: str) -> WorkerState:
    """A worker of a member that has just started."""
    return WorkerState(MemberRef("ns", "shop", cluster))


def lease(cluster: str = "c1", *, ack: int | None = TERM, uid: str = UID, **more: Any) -> WorkerLease:
    name = more.pop("name", f"lease-{cluster}")
    values: dict[str, Any] = {
        "name": name,
        "uid": f"uid-{name}",
        "resource_version": "1",
        "federation": "shop",
        "holder": f"host-{cluster}",
        "acknowledged": None if ack is None else Acknowledgement(uid, ack),
        "isolation": Isolation.FENCE,
        "duration": D,
        **more,
    }
    return WorkerLease(cluster=cluster, **values)


def kept(cluster: str = "c1", **more: Any) -> WorkerLease:
    """A Lease under KeepRole."""
    return lease(cluster, isolation=Isolation.KEEP_ROLE, **more)


def later(old: WorkerLease, **more: Any) -> WorkerLease:
    """The next version of a Lease."""
    return replace(old, resource_version=str(int(old.resource_version) + 1), **more)


def observed(
    about: Federation | None,
    alive: Iterable[WorkerLease] = (),
    *,
    silent: Iterable[WorkerLease] = (),
    waited: float = 0.0,
    confirmed: bool = True,
) -> Observation:
    """At BOOT: `alive` have just been renewed, `silent` not for long; the request is `waited` s old here."""
    leases, sightings = [], Sightings()
    for one in silent:
        sightings = sightings.see_lease(one, SILENT_SINCE)
        leases.append(one)
    for one in alive:
        before = replace(one, resource_version="0")
        sightings = sightings.see_lease(before, BOOT - 3).see_lease(one, BOOT)
        leases.append(one)
    if about and about.status:
        asked = about.status.switchover.id if about.status.switchover else ""
        stage = Stage(about.uid, about.status.term, BOOT - waited, asked, BOOT - waited)
        doubt = about.status.in_doubt
        doubtful = Doubtful(doubt, BOOT - waited) if doubt else None
        sightings = replace(sightings, stage=stage, doubt=doubtful)
    return Observation(about, tuple(leases), sightings, listed=BOOT if confirmed else None, reread=confirmed)


def settled(observation: Observation) -> Observation:
    """The same with counts, generation and conditions up to date, so that only what matters is left to do."""
    about = observation.federation
    if about is None or about.status is None:
        return observation
    decision = decide(replace(observation, listed=BOOT), at())
    if decision.status is None or roles_of(decision.status) != roles_of(about.status):
        return observation
    return replace(observation, federation=replace(about, status=decision.status))


def described(about: Federation, boot: float = BOOT) -> Federation:
    """The same with its conditions up to date."""
    assert about.status
    longest = longest_lease(about, about.status)
    fresh = replace(about.status, observed_generation=about.generation, longest_lease_seconds=longest)
    return replace(about, status=replace(fresh, conditions=conditions(about, fresh, at(boot))))


def written(decision: Decision) -> Status:
    assert decision.status, f"nothing is written by {decision}"
    return decision.status


def decided(
    about: Federation | None,
    alive: tuple[WorkerLease, ...] = (),
    silent: tuple[WorkerLease, ...] = (),
    **more: Any,
) -> Decision:
    """What is decided at BOOT about what `observed` has put together."""
    return decide(observed(about, alive, silent=silent, **more), at())


def after(about: Federation, decision: Decision) -> Status:
    """The status after a decision, whether that writes one or not."""
    assert about.status
    return decision.status or about.status


def begun(*alive: WorkerLease, wants: str | None = None, last: str = "", **more: Any) -> Status:
    """The first table of a federation whose annotation says `last`."""
    annotations = {ANNOTATION_LAST_ACTIVE: last} if last else {}
    return written(decided(federation(None, wants=wants, annotations=annotations, **more), alive))


def roles_of(table: Status) -> str:
    return " ".join(m.role for m in table.clusters)


# --- what many tests start from -------------------------------------------------------------------------

Leases = tuple[WorkerLease, ...]
ONE, TWO, THREE = lease("c1"), lease("c2"), lease("c3")
BEHIND = lease("c1", ack=TERM - 1)
TO_C2, TO_NOBODY, FROM_NOBODY = request("c1", "c2"), request("c1", ""), request("", "c2")
DEMOTED = entry("demoted", from_="c1", to="")
