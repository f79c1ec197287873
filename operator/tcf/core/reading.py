"""What a worker may answer, and what it has to write next: a state machine without I/O.

A "yes" to "am I active?" must never outlive the moment at which somebody else may be promoted. Each
renewal cycle therefore runs in this order, one at a time:

    cycle = machine.begin(now)                  t0, taken before anything is sent
    ... GET the federation (a quorum read) ...
    renewal = machine.observe(cycle, federation)  lowers the present answer at once, if it must
    ... write `renewal` to the own Lease, under its uid and resourceVersion ...
    machine.renewed(cycle)                      only now is there a new reading, valid until t0 + D

Between two cycles a watch may deliver newer tables (`watched`): they can lower an answer, never raise
one, and they are acknowledged (`pending`) by a Lease write that extends nothing. A lowering voids the
cycle in flight: what was asked for before it may not become a reading after it.

Moments are boot seconds (CLOCK_BOOTTIME), passed in by the caller, read anew for every call.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from tcf.core.admission import not_a_member, unanswerable, unusable
from tcf.core.annotations import NOBODY, Acknowledgement, LastActive
from tcf.core.model import PROTOCOL, Federation, Isolation, MemberRef, MemberStatus, Now, Refusal, Role
from tcf.core.reasons import Reason

REGISTRATION_DURATION = 1
"""Seconds in a Lease that has just been created: nothing has been granted under it yet."""

IDLE_DURATION = 15
"""Seconds in the Lease, and thrice the period, while there is no federation that says otherwise."""

NOTHING_TO_ANSWER = frozenset({Reason.FEDERATION_NOT_FOUND, Reason.NOT_BOOTSTRAPPED, Reason.NO_ROLE_YET})
"""Reasons of a worker that is at work, and waits for a federation in which its member has a role."""

STARTING = Refusal(Reason.STARTING, "the worker has just started and has not read the roles yet")
STOPPING = Refusal(Reason.STOPPING, "the worker is being stopped")


@dataclass(frozen=True, slots=True)
class Reading:
    """What a worker knows: a role table, and until when (boot seconds) it may be trusted.

    `keep`: isolation is KeepRole, the last role is answered for ever.
    """

    uid: str
    term: int
    role: Role
    clusters: tuple[MemberStatus, ...]
    valid_until: float
    keep: bool

    def trusted(self, now: float) -> bool:
        return self.keep or now < self.valid_until

    def valid_for(self, now: float) -> float:
        """Seconds left; 0 where KeepRole goes on after expiry."""
        return max(0.0, self.valid_until - now)


def not_ready(answer: Reading | Refusal, pod_trouble: str | None) -> str | None:
    """Why a worker with this answer is not ready to be used, for a person; None if it is.

    A worker without a federation is ready. Otherwise a rollout (or an installation of everything at once)
    that waits for workers to be ready could never get to the point of creating one.
    """
    if isinstance(answer, Reading) or answer.reason in NOTHING_TO_ANSWER:
        return pod_trouble
    return answer.message


@dataclass(frozen=True, slots=True)
class Renewal:
    """What the next write to the own Lease has to say."""

    acknowledged: Acknowledgement | None
    isolation: Isolation
    duration: int
    last_active: LastActive | None = None


@dataclass(frozen=True, slots=True)
class Cycle:
    """One renewal cycle: when it began, and how many lowerings and which table were known then."""

    t0: float
    lowerings: int
    seen: Acknowledgement | None


class WorkerState:
    """The state of one worker. Every method is immediate; none of them waits or fails."""

    def __init__(self, member: MemberRef) -> None:
        self._cluster = member.cluster
        self._not_found = Refusal(
            Reason.FEDERATION_NOT_FOUND,
            f"there is no ClusterFederation {member.federation} in namespace {member.namespace} of the hub;"
            " create it, or correct --federation or --namespace",
        )
        self.reading: Reading | None = None
        self.candidate: Reading | None = None
        self._seen: Acknowledgement | None = None  # the newest table of the present object
        self._last_active: LastActive | None = None
        self._generation: int | None = None
        self._pending = False
        self.grant = Renewal(None, Isolation.FENCE, IDLE_DURATION)  # what the Lease was last told
        self._lowerings = 0
        self._why = STARTING

    # --- what is asked of it ------------------------------------------------------------------------

    def answer(self, now: float) -> Reading | Refusal:
        """The reading if there is one to be trusted, else why there is none."""
        reading = self.reading
        if reading is None:
            return self._why
        if reading.trusted(now):
            return reading
        age = now - reading.valid_until
        return Refusal(
            self._why.reason,
            f"the roles known here (term {reading.term}) expired {age:.1f} s ago: {self._why.message}",
        )

    @property
    def why(self) -> Refusal:
        """Why there is no reading, or will be none if nothing changes."""
        return self._why

    @property
    def period(self) -> float:
        """Seconds from the start of one cycle to the start of the next; also each request's deadline."""
        return self.grant.duration / 3

    def known_term(self, uid: str) -> int:
        """The highest term seen of the object `uid`; 0 if this is not the present one."""
        return self._seen.term if self._seen and self._seen.uid == uid else 0

    @property
    def pending(self) -> Renewal | None:
        """A lowering that no Lease write has acknowledged yet, and that need not wait for the next cycle."""
        return replace(self.grant, acknowledged=self._seen) if self._pending else None

    def _isolation(self, own: MemberStatus | None, isolation: Isolation) -> Isolation:
        """What the Lease has to say of a worker with this row: KeepRole only while it may answer "active".

        Whoever keeps any other role for ever is in nobody's way. A Lease says Fence only once the answer is
        no longer "active", and an answer becomes that only after its Lease has said KeepRole.
        """
        active = any(about and about.role is Role.ACTIVE for about in (own, self.reading))
        return isolation if active else Isolation.FENCE

    @property
    def rising(self) -> bool:
        """Will the answer be "active" when the cycle under way succeeds?"""
        return self.candidate is not None and self.candidate.role is Role.ACTIVE

    # --- the cycle ----------------------------------------------------------------------------------

    def begin(self, now: Now) -> Cycle:
        """Begin a cycle. A term that no operator can have written proves no loss, and is forgotten."""
        self.candidate = None
        if self._seen and not now.plausible(self._seen.term):
            self._seen = None
        return Cycle(now.boot, self._lowerings, self._seen)

    def observe(self, cycle: Cycle, federation: Federation | None) -> Renewal | None:
        """Take in what the hub answered to a read sent after `cycle` began (None: no such object).

        Returns:
            what to write to the Lease; None if nothing may be written (an unknown protocol).
        """
        if federation is None:
            self._drop(self._not_found)
            self.grant = Renewal(self._seen, Isolation.FENCE, IDLE_DURATION, self._last_active)
            return self.grant
        own = self._take_in(federation, cycle.seen)
        status, spec = federation.status, federation.spec
        if status and status.protocol != PROTOCOL:
            return None
        # Before the Lease says anything shorter or stricter, the present answer has to be so: the
        # coordinator counts with what the Lease says from the moment it sees it.
        if self.reading:
            limit = cycle.t0 + spec.lease_duration
            self.reading = replace(
                self.reading,
                valid_until=min(self.reading.valid_until, limit),
                keep=self.reading.keep and spec.isolation is Isolation.KEEP_ROLE,
            )
        isolation = self._isolation(own, spec.isolation)
        self.grant = Renewal(self._seen, isolation, spec.lease_duration, self._last_active)
        if own and status and self._seen == Acknowledgement(federation.uid, status.term):
            self.candidate = Reading(
                uid=federation.uid,
                term=status.term,
                role=own.role,
                clusters=status.clusters,
                valid_until=cycle.t0 + spec.lease_duration,
                keep=spec.isolation is Isolation.KEEP_ROLE,
            )
        return self.grant

    def renewed(self, cycle: Cycle, renewal: Renewal) -> None:
        """The Lease write of the cycle succeeded: its table becomes the reading, unless overtaken."""
        self.acknowledged(renewal)
        candidate = self.candidate
        if candidate and self._holds(candidate, cycle, renewal):
            self.reading = candidate
            self._why = Refusal(Reason.READING_EXPIRED, "the hub or this process was too slow to renew them")
        self.candidate = None

    def _holds(self, candidate: Reading, cycle: Cycle, renewal: Renewal) -> bool:
        """Has nothing overtaken the table that was read? And does the Lease acknowledge it, if it makes us
        active?

        Other answers are in nobody's way, so they may be renewed while an acknowledgement is withheld.
        """
        table = Acknowledgement(candidate.uid, candidate.term)
        if cycle.lowerings != self._lowerings or self._seen != table:
            return False
        return candidate.role is not Role.ACTIVE or renewal.acknowledged == table

    # --- what comes in between ----------------------------------------------------------------------

    def withhold(self) -> None:
        """The table that was seen is not acknowledged yet, because a loss of the role has to be concluded."""
        self._pending = True

    def acknowledged(self, renewal: Renewal) -> None:
        """A Lease write succeeded. By itself it extends nothing."""
        if self._seen == renewal.acknowledged:
            self._pending = False

    def watched(self, federation: Federation | None) -> bool:
        """Take in a watch event (None: the object was deleted). True if there is something to do now."""
        if federation is None:
            self._drop(self._not_found)
            self._lowerings += 1
            return True
        status, before = federation.status, self._seen
        known = (federation.uid, federation.generation) == (before.uid if before else "", self._generation)
        if status and before and before.uid == federation.uid and status.term < before.term:
            return False  # old news, or a restored hub, which a read will tell
        said_yes = self.reading is not None and self.reading.role is Role.ACTIVE
        own = self._take_in(federation, before)
        news = self._seen != before
        if (own is None or own.role is not Role.ACTIVE) and (news or said_yes):
            self.candidate = None
            self._lowerings += 1
            self._pending = unusable(federation) is None
            self.grant = replace(self.grant, isolation=self._isolation(own, self.grant.isolation))
        elif news:
            self._pending = False  # the role is back, so the cycle that follows acknowledges this table
        return news or not known

    def failed(self, why: Refusal) -> None:
        """The hub could not be asked: the reading stays until it expires, and this is why it will."""
        self.candidate = None
        self._why = why

    def lost(self, why: Refusal) -> None:
        """There is no Lease (any more): somebody else may be promoted, so nothing can be trusted."""
        self._drop(why)
        self._lowerings += 1

    def _take_in(self, federation: Federation, asked_at: Acknowledgement | None) -> MemberStatus | None:
        """Note the table, lower the answer if it has to be lowered; the own row if there is one.

        `asked_at`: the newest table known when this one was asked for.
        """
        self._generation = federation.generation
        if refusal := unanswerable(federation, self._cluster):
            self._drop(refusal)
            return None
        status = federation.status
        assert status is not None  # noqa: S101 - `unanswerable` has refused it
        table = Acknowledgement(federation.uid, status.term)
        if self._seen is None or self._seen.uid != table.uid or self._seen.term < table.term:
            self._seen = table
        if self._seen == table and (status.active_cluster or not (status.engaged or status.switchover)):
            self._last_active = LastActive(status.active_cluster or NOBODY, status.term)
        own = status.member(self._cluster)
        if own is None:
            self._drop(self._without_role(federation))
        elif self._seen != table:
            # Older than what has been seen: overtaken by the watch, unless it was older news already
            # when it was asked for.
            if asked_at and asked_at.uid == table.uid and asked_at.term > table.term:
                self._restored(own, table)
        elif own.role is not Role.ACTIVE and self.reading:
            self.reading = replace(
                self.reading,
                uid=table.uid,
                term=table.term,
                role=own.role,
                clusters=status.clusters,
            )
        return own

    def _without_role(self, federation: Federation) -> Refusal:
        if not federation.spec.member(self._cluster):
            return not_a_member(federation, self._cluster)
        where = f"{federation.namespace}/{federation.name}"
        return Refusal(
            Reason.NO_ROLE_YET,
            f"{self._cluster} is new in spec.clusters of {where} and no operator has given it a role yet;"
            " if that lasts, see whether tcf-operator is running",
        )

    def _restored(self, own: MemberStatus, table: Acknowledgement) -> None:
        assert self._seen is not None  # noqa: S101 - the table is older than that
        self._why = Refusal(
            Reason.HUB_RESTORED,
            f"the hub shows term {table.term}, but term {self._seen.term} has been seen already:"
            " it was restored; the operator has to begin anew above that",
        )
        if own.role is not Role.ACTIVE:
            self._drop(self._why)

    def _drop(self, why: Refusal) -> None:
        self.reading = None
        self.candidate = None
        self._why = why
