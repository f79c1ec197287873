"""The records that all other modules use: a federation, its roles, and the Leases of the workers.

All are immutable. Fields have the names that they have in the resource, in snake case; `hub.records` converts
them from and to JSON. Durations are whole seconds. Times are `boot` seconds (CLOCK_BOOTTIME, local to a
machine, never stored) or RFC 3339 strings (wall clock, for people to read, compared only where a docstring
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
"""The version of the role protocol that this program knows. A federation with another `status.protocol` is
left alone."""

HISTORY_LENGTH = 20
LONGEST_MESSAGE = 2048
LONGEST_LEASE = 300
"""The longest `leaseDuration`, in seconds, that the CRD allows, and so the longest that a worker writes."""


class Role(StrEnum):
    """The role of a member, in the words of `/tcf/status`."""

    ACTIVE = "active"
    PASSIVE = "passive"
    PROMOTING = "promoting"
    DEMOTING = "demoting"

    @property
    def engaged(self) -> bool:
        """True for every role but passive. At most one member is engaged in any table."""
        return self is not Role.PASSIVE


class Isolation(StrEnum):
    """What a worker answers when its reading has expired: 500 (Fence), or its last role (KeepRole)."""

    FENCE = "Fence"
    KEEP_ROLE = "KeepRole"


class Application(StrEnum):
    """What the holders of a worker report: its application is healthy, or it is not."""

    HEALTHY = "Healthy"
    UNHEALTHY = "Unhealthy"


class FailoverMode(StrEnum):
    MANUAL = "Manual"
    AUTOMATIC = "Automatic"


class Follows(StrEnum):
    """What a member needs to be able to act: a live worker, or one that reports a healthy application."""

    WORKERS = "Workers"
    APPLICATIONS = "Applications"


class Trigger(StrEnum):
    """Where a request came from."""

    API = "api"
    SPEC = "spec"
    FAILOVER = "failover"
    BOOTSTRAP = "bootstrap"


def stamp(moment: datetime) -> str:
    """The time as the API server writes it (RFC 3339, whole seconds, Z)."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def age_of(moment: str, wall: datetime) -> float | None:
    """Seconds since a time of the API, at least 0; None if it is no time."""
    try:
        return max(0.0, (wall - datetime.fromisoformat(moment).astimezone(UTC)).total_seconds())
    except ValueError:
        return None


PLAUSIBLE_LEAD = 100 * 365 * 86_400_000
"""Milliseconds by which a term may be ahead of the wall clock: a hundred years."""


@dataclass(frozen=True, slots=True)
class Now:
    """The time by both clocks: `boot` in seconds of CLOCK_BOOTTIME, `wall` as an aware UTC datetime."""

    boot: float
    wall: datetime

    def stamp(self) -> str:
        return stamp(self.wall)

    @property
    def term(self) -> int:
        """The term at which a new federation begins: Unix milliseconds.

        A switchover raises the term by three and takes tens of milliseconds. So terms never overtake it.
        """
        return int(self.wall.timestamp() * 1000)

    def plausible(self, term: int) -> bool:
        """Can an operator have written this term? If not, it is forged, and proves no loss.

        The bound moves on with the clock, faster than terms rise. So if a term is exactly at the bound, the
        terms that follow it are plausible, too.
        """
        return term <= self.term + PLAUSIBLE_LEAD


@dataclass(frozen=True, slots=True)
class MemberRef:
    """The member of a federation for which a worker answers."""

    namespace: str
    federation: str
    cluster: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.federation}/{self.cluster}"

    @property
    def log_fields(self) -> Mapping[str, object]:
        """The fields of every log line about this member."""
        return {"federation": f"{self.namespace}/{self.federation}", "cluster": self.cluster}


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks for a change: `name`, through a worker of the member `via` ("" for no worker)."""

    name: str
    via: str = ""

    def __str__(self) -> str:
        return f"{self.name} via {self.via}" if self.via else self.name


COORDINATOR = Principal("coordinator")
"""The operator itself, in a bootstrap or a failover."""
SPEC = Principal("spec.activeCluster")
"""The person or program that has edited the spec."""


@dataclass(frozen=True, slots=True)
class Member:
    """An entry of `spec.clusters`. The id identifies the member; name and priority may change."""

    id: str
    name: str
    priority: int = 0


@dataclass(frozen=True, slots=True)
class Failover:
    """`priority`: when many federations move at once, those with a higher one move first."""

    mode: FailoverMode = FailoverMode.MANUAL
    timeout: int = 20
    cooldown: int = 300
    follows: Follows = Follows.WORKERS
    priority: int = 0


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
    """A row of the role table. `workers` counts Leases, `live_workers` those that are not silent.

    `silent_since`: since when (wall clock) the member is silent, by the coordinator that noticed it first.
    `application`: what its live workers report about their application; None if they report nothing.
    `held_by`: the holders that keep its workers from acknowledging a table; None if none does.
    """

    id: str
    name: str
    role: Role
    workers: int = 0
    live_workers: int = 0
    silent_since: str | None = None
    application: Application | None = None
    held_by: str | None = None


@dataclass(frozen=True, slots=True, order=True)
class Unfenceable:
    """A worker that is silent under KeepRole. It may answer "active" as long as it cannot reach the hub."""

    cluster: str
    holder: str

    def __str__(self) -> str:
        return f"{self.holder} ({self.cluster or 'of no member'})"


@dataclass(frozen=True, slots=True, order=True)
class Stranger:
    """A Lease that has the federation's label, but that no worker of a member can have written.

    `problem`: what is wrong with it; "" if a worker may have written it, but `cluster` is not a member.
    """

    lease: str
    cluster: str
    problem: str

    def __str__(self) -> str:
        return f"{self.lease} ({self.problem})"


@dataclass(frozen=True, slots=True)
class Doubt:
    """The record of a loss, which was noticed at `since` (RFC 3339 with microseconds).

    An operator promotes nobody before it has seen this record for `seconds`. The record is removed when a
    member becomes active.
    """

    since: str
    seconds: int


@dataclass(frozen=True, slots=True)
class Switchover:
    """The one request under way: make `to` ("" for nobody) the active member instead of `from_`.

    `silent_since`: only for a failover from a silent member: since when (wall clock) it has been silent.
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
    """The role table, and what is known about it.

    `unfenceable`: workers of any member, including members that have left the spec.
    `longest_lease_seconds`: the longest `leaseDuration` that the spec has ever had. No reading of this table
        or an earlier one lasts longer. None if unknown.
    `operator`: the identity of the operator that wrote the status last. None if unknown.
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
    operator: str | None = None
    history: tuple[HistoryEntry, ...] = ()
    conditions: tuple[Condition, ...] = ()

    def member(self, cluster: str) -> MemberStatus | None:
        return next((m for m in self.clusters if m.id == cluster), None)

    @property
    def engaged(self) -> MemberStatus | None:
        """The one member that is active, promoting or demoting; None if all are passive."""
        return next((m for m in self.clusters if m.role.engaged), None)

    def condition(self, type_: str) -> Condition | None:
        return next((c for c in self.conditions if c.type == type_), None)

    def ended(self, request: str) -> HistoryEntry | None:
        """The history's entry for the request with this id; None if it has not ended."""
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
    """A worker's Lease. `cluster` is "" if the label is missing; the Lease then counts as another member's.

    `last_active`: the latest note of this worker. It may be about an earlier object of the same name.
    `duration`: 1 to LONGEST_LEASE. `problem`: why no worker can have written this Lease; "" if one can.
    `renewed_at`: the time of the renewal by the worker's wall clock (RFC 3339). It is for people; no decision
        depends on it.
    `application`: what the worker's holders report; None if no holder reports.
    `held_by`: which holders keep the worker from acknowledging a table, for people to read; "" if none does.
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
    application: Application | None = None
    held_by: str = ""


@dataclass(frozen=True, slots=True)
class Event:
    """A Kubernetes Event on the federation. Request and term name it, so that it appears only once."""

    request: str
    term: int
    trigger: Trigger | None
    reason: str
    message: str
    warning: bool


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why something is not done: a CamelCase reason for programs, and a message that says what to do."""

    reason: str
    message: str
