"""The records that everything else is about: a federation, its roles, and the workers' Leases.

All are immutable. Field names are the resource's, in snake case; `hub.records` maps them to and from
JSON. Durations are whole seconds. Moments are `boot` seconds (CLOCK_BOOTTIME, local to a machine,
never stored) or RFC 3339 strings (wall clock, for people to read, never compared except where it
says so).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from types import MappingProxyType

from tcf.core.annotations import Acknowledgement, LastActive
from tcf.core.reasons import Outcome

PROTOCOL = 1
"""The version of the role protocol this code speaks; `status.protocol` of any other value means hands off."""

HISTORY_LENGTH = 20
LONGEST_MESSAGE = 2048
LONGEST_LEASE = 300
"""Seconds: the longest `leaseDuration` that the CRD allows, and so the longest that a worker writes."""


class Role(StrEnum):
    """The role of a member; the wire word of `/tcf/status`."""

    ACTIVE = "active"
    PASSIVE = "passive"
    PROMOTING = "promoting"
    DEMOTING = "demoting"

    @property
    def engaged(self) -> bool:
        """True for every role but passive: at most one member is engaged at any moment."""
        return self is not Role.PASSIVE


class Isolation(StrEnum):
    """What a worker answers when its reading has expired: nothing (Fence), or the last role (KeepRole)."""

    FENCE = "Fence"
    KEEP_ROLE = "KeepRole"


class FailoverMode(StrEnum):
    MANUAL = "Manual"
    AUTOMATIC = "Automatic"


class Trigger(StrEnum):
    """Where a request came from."""

    API = "api"
    SPEC = "spec"
    FAILOVER = "failover"
    BOOTSTRAP = "bootstrap"


def stamp(moment: datetime) -> str:
    """A moment as the API server writes it (RFC 3339, whole seconds, Z)."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


PLAUSIBLE_LEAD = 100 * 365 * 86_400_000
"""Milliseconds by which a term may lie ahead of the wall clock: a hundred years."""


@dataclass(frozen=True, slots=True)
class Now:
    """One reading of both clocks: `boot` in seconds of CLOCK_BOOTTIME, `wall` an aware UTC datetime."""

    boot: float
    wall: datetime

    def stamp(self) -> str:
        return stamp(self.wall)

    @property
    def term(self) -> int:
        """The term at which a federation begins that has no earlier life: Unix milliseconds.

        A switchover raises the term by three and takes tens of milliseconds, so no life outruns this clock.
        """
        return int(self.wall.timestamp() * 1000)

    def plausible(self, term: int) -> bool:
        """Can an operator have written this term? If not, it is forged, and no loss is concluded from it.

        The bound moves on with the clock, faster than terms rise, so the terms that follow one at the very
        bound are plausible, too.
        """
        return term <= self.term + PLAUSIBLE_LEAD


@dataclass(frozen=True, slots=True)
class MemberRef:
    """Whom a worker speaks for: a member of a federation."""

    namespace: str
    federation: str
    cluster: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.federation}/{self.cluster}"

    @property
    def log_fields(self) -> Mapping[str, object]:
        """What every log line about it says."""
        return {"federation": f"{self.namespace}/{self.federation}", "cluster": self.cluster}


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks for a change: `name`, through the worker of the member `via` ("" for nobody else)."""

    name: str
    via: str = ""

    def __str__(self) -> str:
        return f"{self.name} via {self.via}" if self.via else self.name


COORDINATOR = Principal("coordinator")
"""An operator by itself: at a beginning, or in a failover."""
SPEC = Principal("spec.activeCluster")
"""Whoever edited the spec."""


@dataclass(frozen=True, slots=True)
class Member:
    """An entry of `spec.clusters`. The id is what a member is; name and priority are free to change."""

    id: str
    name: str
    priority: int = 0


@dataclass(frozen=True, slots=True)
class Failover:
    mode: FailoverMode = FailoverMode.MANUAL
    timeout: int = 20
    cooldown: int = 300


@dataclass(frozen=True, slots=True)
class Spec:
    clusters: tuple[Member, ...]
    active_cluster: str | None = None
    lease_duration: int = 15
    switchover_timeout: int = 30
    isolation: Isolation = Isolation.FENCE
    failover: Failover = Failover()
    paused: bool = False

    def member(self, cluster: str) -> Member | None:
        return next((m for m in self.clusters if m.id == cluster), None)


@dataclass(frozen=True, slots=True)
class MemberStatus:
    """A row of the role table. `workers` counts Leases, `live_workers` those that are being renewed.

    `silent_since`: since when (wall clock) none is, as the coordinator that noticed it first saw it.
    """

    id: str
    name: str
    role: Role
    workers: int = 0
    live_workers: int = 0
    silent_since: str | None = None


@dataclass(frozen=True, slots=True, order=True)
class Unfenceable:
    """A worker that is silent under KeepRole: it may answer its last role for ever."""

    cluster: str
    holder: str

    def __str__(self) -> str:
        return f"{self.holder} ({self.cluster or 'of no member'})"


@dataclass(frozen=True, slots=True, order=True)
class Stranger:
    """A Lease that bears the federation's label, but that no worker of a member can have written.

    `problem`: what is wrong with it; "" if it may be a worker's, but that of a `cluster` that is no member.
    """

    lease: str
    cluster: str
    problem: str

    def __str__(self) -> str:
        return f"{self.lease} ({self.problem})"


@dataclass(frozen=True, slots=True)
class Doubt:
    """The hub has lost a status, which was noticed at `since` (RFC 3339 with microseconds).

    Nobody is promoted until an operator has seen this record for `seconds`. The record ends when a member
    becomes active.
    """

    since: str
    seconds: int


@dataclass(frozen=True, slots=True)
class Switchover:
    """The one request under way: make `to` ("" for nobody) the active member instead of `from_`.

    `silent_since`: of a failover, when (wall clock) the last worker of `from_` was last heard of.
    """

    id: str
    from_: str
    to: str
    trigger: Trigger
    requested_by: str = ""
    reason: str = ""
    force: bool = False
    requested_at: str = ""
    silent_since: str | None = None


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """How a request ended. `outcome` is an `Outcome` or the reason of a refusal."""

    id: str
    term: int
    from_: str
    to: str
    trigger: Trigger
    requested_by: str
    reason: str
    started_at: str
    finished_at: str
    outcome: str
    message: str = ""
    silent_since: str | None = None

    @property
    def succeeded(self) -> bool:
        return self.outcome == Outcome.SUCCEEDED


@dataclass(frozen=True, slots=True)
class Condition:
    """A `metav1.Condition`."""

    type: str
    status: str
    reason: str
    message: str
    last_transition_time: str
    observed_generation: int = 0


@dataclass(frozen=True, slots=True)
class Status:
    """The role table and what is known about it.

    `unfenceable`: of whatever member, also of one that is none any more.
    `longest_lease_seconds`: the longest `leaseDuration` that the spec has ever had, and so the longest that
        an answer by this table or an earlier one can last; None if unknown.
    """

    protocol: int
    term: int
    clusters: tuple[MemberStatus, ...]
    active_cluster: str = ""
    observed_generation: int = 0
    observed_active_cluster: str = ""
    switchover: Switchover | None = None
    unfenceable: tuple[Unfenceable, ...] = ()
    strangers: tuple[Stranger, ...] = ()
    longest_lease_seconds: int | None = None
    in_doubt: Doubt | None = None
    history: tuple[HistoryEntry, ...] = ()
    conditions: tuple[Condition, ...] = ()

    def member(self, cluster: str) -> MemberStatus | None:
        return next((m for m in self.clusters if m.id == cluster), None)

    @property
    def engaged(self) -> MemberStatus | None:
        """The one member that is active, promoting or demoting; None when all are passive."""
        return next((m for m in self.clusters if m.role.engaged), None)

    def condition(self, type_: str) -> Condition | None:
        return next((c for c in self.conditions if c.type == type_), None)

    def ended(self, request: str) -> HistoryEntry | None:
        """The record of a request that has ended, by its id."""
        return next((h for h in self.history if h.id == request), None)


@dataclass(frozen=True, slots=True)
class Federation:
    """A `ClusterFederation` object, as read."""

    namespace: str
    name: str
    uid: str
    resource_version: str
    generation: int
    spec: Spec
    status: Status | None = None
    annotations: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class WorkerLease:
    """A worker's Lease. `cluster` is "" when the label is missing, which counts as another member.

    `last_active`: the latest that this worker knows; it may be about an earlier object of the same name.
    `duration`: 1 to LONGEST_LEASE. `problem`: why no worker can have written it as it is; "" if one can.
    `renewed_at`: when, by the worker's wall clock (RFC 3339); for people, no decision rests on it.
    """

    name: str
    uid: str
    resource_version: str
    federation: str
    cluster: str
    holder: str
    acknowledged: Acknowledgement | None
    isolation: Isolation
    duration: int
    renewed_at: str = ""
    problem: str = ""
    last_active: LastActive | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why something is not done: a CamelCase reason for programs, a message a person can act on."""

    reason: str
    message: str
