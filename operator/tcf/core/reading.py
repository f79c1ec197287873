"""What a worker may answer, and what it has to write next: a state machine without I/O.

The worker must have stopped answering "active" before another member may be promoted. So renewal cycles run
one at a time, and each of them in this order:

    cycle = state.begin(now)                    t0, taken before anything is sent
    ... GET the federation (a quorum read) ...
    renewal = state.observe(cycle, federation)  lowers the worker at once, if the table requires it
    ... write `renewal` to the worker's own Lease, under its uid and resourceVersion ...
    state.renewed(cycle, renewal)               only now is there a new reading, good until t0 + D

Between two cycles a watch may deliver newer tables (`watched`). They can lower the worker but never raise it.
They are acknowledged (`pending`) by a write of the Lease that extends no reading. A lowering voids the cycle
under way: a table that was asked for before the lowering must not become a reading after it.

The applications beside the worker may have holds (`hold`, see `core.holds`). `composed` then changes what is
written: the loss of the role is not acknowledged yet, and the Lease lasts until the last hold has ended.

All times are boot seconds (CLOCK_BOOTTIME). The caller reads the clock for every call and passes the time in.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from tcf.core.admission import not_a_member, unanswerable, unusable
from tcf.core.annotations import NOBODY, Acknowledgement, LastActive
from tcf.core.cover import Cover
from tcf.core.holds import Hold, HoldRequest
from tcf.core.lease_content import IDLE_DURATION, Renewal
from tcf.core.model import (
    PROTOCOL,
    Federation,
    Isolation,
    MemberRef,
    MemberStatus,
    Now,
    Refusal,
    Role,
    WorkerLease,
)
from tcf.core.reasons import Reason

NOTHING_TO_ANSWER = frozenset({Reason.FEDERATION_NOT_FOUND, Reason.NOT_BOOTSTRAPPED, Reason.NO_ROLE_YET})
"""The reasons of a worker that is healthy, but waits for a federation in which its member has a role."""

STARTING = Refusal(Reason.STARTING, "the worker has just started and has not read the roles yet")
STOPPING = Refusal(Reason.STOPPING, "the worker is being stopped")


@dataclass(frozen=True, slots=True)
class Reading:
    """What a worker knows: a role table, and until when (boot seconds) it may answer by it.

    `keep`: the isolation is KeepRole, so the worker goes on answering its last role.
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
        """Seconds left; 0 if the reading has expired and the worker goes on under KeepRole."""
        return max(0.0, self.valid_until - now)


def not_ready(answer: Reading | Refusal, pod_trouble: str | None) -> str | None:
    """Why a worker with this answer is not ready, for a person to read; None if it is ready.

    A worker without a federation is ready. Otherwise an installation that waits for ready workers would never
    get to the point of creating the federation.
    """
    if isinstance(answer, Reading) or answer.reason in NOTHING_TO_ANSWER:
        return pod_trouble
    return answer.message


@dataclass(frozen=True, slots=True)
class Cycle:
    """One renewal cycle: when it began, and the number of lowerings and the newest table at that time."""

    t0: float
    lowerings: int
    seen: Acknowledgement | None


class WorkerState:
    """The state of one worker. No method waits or fails."""

    def __init__(self, member: MemberRef) -> None:
        self.cover = Cover()
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
        self.grant = Renewal(None, Isolation.FENCE, IDLE_DURATION)  # the latest content for the Lease
        self._lowerings = 0
        self._why = STARTING

    # --- questions ----------------------------------------------------------------------------------

    def answer(self, now: float) -> Reading | Refusal:
        """The reading, if the worker may answer by it; otherwise why it may not answer."""
        reading = self.reading
        if reading is None:
            return self._why
        if reading.trusted(now):
            return reading
        age = now - reading.valid_until
        return Refusal(
            self._why.reason,
            f"this worker's reading (term {reading.term}) expired {age:.1f} s ago: {self._why.message}",
        )

    @property
    def why(self) -> Refusal:
        """Why there is no reading, or why the present one will expire if nothing changes."""
        return self._why

    @property
    def period(self) -> float:
        """Seconds from the start of one cycle to the start of the next; also the deadline of each request."""
        return self.grant.duration / 3

    def known_term(self, uid: str) -> int:
        """The highest term seen of the object `uid`; 0 if that is not the present object."""
        return self._seen.term if self._seen and self._seen.uid == uid else 0

    @property
    def pending(self) -> Renewal | None:
        """What to write to acknowledge a lowering before the next cycle; None for nothing."""
        return replace(self.grant, acknowledged=self._seen) if self._pending else None

    def _isolation(self, own: MemberStatus | None, isolation: Isolation) -> Isolation:
        """The isolation for the Lease, if `own` is this worker's row: KeepRole only if it may answer
        "active".

        A worker that keeps any other role does no harm. The Lease says Fence only when the worker no longer
        answers "active", and the worker answers "active" only after its Lease has said KeepRole.
        """
        active = any(each and each.role is Role.ACTIVE for each in (own, self.reading))
        return isolation if active else Isolation.FENCE

    def hold(self, request: HoldRequest, now: float) -> Hold | None:
        """Judge and record the request of a holder. None if there are too many holders."""
        answer = self.answer(now)
        if isinstance(answer, Reading) and answer.role is Role.ACTIVE:
            return self.cover.hold(request, now, active_until=answer.valid_until, keep=answer.keep)
        return self.cover.hold(request, now, active_until=-math.inf, keep=False)

    @property
    def rising(self) -> bool:
        """Will the worker answer "active" if the cycle under way succeeds?"""
        return self.candidate is not None and self.candidate.role is Role.ACTIVE

    # --- the cycle ----------------------------------------------------------------------------------

    def begin(self, now: Now) -> Cycle:
        """Begin a cycle. If no operator can have written the term seen last, forget it: it proves no loss."""
        self.candidate = None
        if self._seen and not now.plausible(self._seen.term):
            self._seen = None
        return Cycle(now.boot, self._lowerings, self._seen)

    def observe(self, cycle: Cycle, federation: Federation | None) -> Renewal | None:
        """Take in the hub's answer to a read that was sent after `cycle` began (None: there is no such
        object).

        Returns:
            what to write to the Lease; None if nothing may be written, because the protocol is unknown.
        """
        if federation is None:
            self._drop(self._not_found)
            self.grant = Renewal(self._seen, Isolation.FENCE, IDLE_DURATION, self._last_active)
            return self.grant
        own = self._take_in(federation, cycle.seen, cycle.t0)
        status, spec = federation.status, federation.spec
        if status and status.protocol != PROTOCOL:
            return None
        # A coordinator trusts the Lease as soon as it sees it. So before the Lease has a shorter duration or
        # a stricter isolation, the present reading must have them, too.
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
        """The cycle's write of the Lease succeeded: its table becomes the reading, unless it is outdated."""
        self.written(renewal)
        candidate = self.candidate
        if candidate and self._counts(candidate, cycle, renewal):
            self.reading = candidate
            self._why = Refusal(Reason.READING_EXPIRED, "the hub or this process was too slow to renew them")
        self.candidate = None

    def _counts(self, candidate: Reading, cycle: Cycle, renewal: Renewal) -> bool:
        """May the table that was read become the reading?

        It must still be the newest one, without a lowering since. If it makes this worker active, the Lease
        must acknowledge it. Any other role does no harm, so it may be renewed while an acknowledgement is
        withheld.
        """
        table = Acknowledgement(candidate.uid, candidate.term)
        if cycle.lowerings != self._lowerings or self._seen != table:
            return False
        return candidate.role is not Role.ACTIVE or renewal.acknowledged == table

    # --- between the cycles -------------------------------------------------------------------------

    def composed(self, renewal: Renewal, lease: WorkerLease, now: float, *, concluded: bool) -> Renewal:
        """What to write at `now` instead of `renewal`.

        Args:
            lease: as it was last written or read.
            concluded: what this worker's "active" has caused is over, except for holds.
        """
        content = self.cover.composed(renewal, lease, now)
        if not concluded and not self.cover.withholds(now):
            content = replace(content, acknowledged=lease.acknowledged)
        if content.acknowledged != renewal.acknowledged:
            self._pending = True
        return content

    def written(self, renewal: Renewal) -> None:
        """A write of the Lease succeeded. That alone extends no reading."""
        self.cover.written()
        if self._seen == renewal.acknowledged:
            self._pending = False

    def watched(self, federation: Federation | None, now: float) -> bool:
        """Take in a watch event (None: the object was deleted). True if there is something to do now."""
        if federation is None:
            self._drop(self._not_found)
            self._lowerings += 1
            return True
        status, before = federation.status, self._seen
        known = (federation.uid, federation.generation) == (before.uid if before else "", self._generation)
        if status and before and before.uid == federation.uid and status.term < before.term:
            return False  # an outdated event, or a restored hub: the next read will show
        said_yes = self.reading is not None and self.reading.role is Role.ACTIVE
        own = self._take_in(federation, before, now)
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
        """The hub could not be asked. The reading stays until it expires; `why` will then be the reason."""
        self.candidate = None
        self._why = why

    def lost(self, why: Refusal) -> None:
        """There is no Lease any more. Another member may be promoted, so the reading is dropped."""
        self._drop(why)
        self._lowerings += 1
        self.cover.lost()

    def stop(self) -> None:
        """From now on the worker neither answers nor renews. Its Lease lasts as long as it says."""
        self._drop(STOPPING)
        self._lowerings += 1

    def _take_in(
        self, federation: Federation, asked_at: Acknowledgement | None, now: float
    ) -> MemberStatus | None:
        """Note the table, and lower the worker if the table requires it. Returns the own row if there is one.

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
        if self._seen == table:
            self.cover.saw(own.role if own else None, federation.spec.switchover_timeout, now)
        if own is None:
            self._drop(self._without_role(federation))
        elif self._seen != table:
            # This table is older than one seen before. Either the watch was faster than this read. Or the hub
            # was restored, if a newer table was known before the read was sent.
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
            " if that lasts, check that tcf-operator is running",
        )

    def _restored(self, own: MemberStatus, table: Acknowledgement) -> None:
        assert self._seen is not None  # noqa: S101 - the table is older than that
        self._why = Refusal(
            Reason.HUB_RESTORED,
            f"the hub shows term {table.term}, but this worker has seen term {self._seen.term} already,"
            " so the hub was restored; the operator has to begin again above that term",
        )
        if own.role is not Role.ACTIVE:
            self._drop(self._why)

    def _drop(self, why: Refusal) -> None:
        self.reading = None
        self.candidate = None
        self._why = why
