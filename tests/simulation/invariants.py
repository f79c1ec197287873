"""What must be true at every moment of every run.

The promise is a client's: once any probe has been answered 200 by one member at term N, no probe sent later
is answered 200 by another member at a term below N. Here a probe takes no time, and one is sent whenever
an answer may have changed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping

from simulation.actors import Ask, WorkerProgram
from simulation.failovers import Failovers
from simulation.network import Link
from simulation.reports import Reports
from simulation.schedule import DURATIONS
from simulation.world import World
from tcf.core.admission import Kind
from tcf.core.fencing import silence_needed
from tcf.core.model import Federation, Follows, HistoryEntry, Refusal, Role, Status, Trigger
from tcf.core.reading import Reading
from tcf.core.reasons import Outcome

_ABOUT_THE_ANSWER = "the roles are as asked"
_NOTHING = "nothing was changed"


class Checker:
    """Sees every probe and every commit, and keeps what was wrong in `broken`."""

    def __init__(
        self,
        world: World,
        workers: list[WorkerProgram],
        failovers: Failovers,
        reports: Reports,
        *,
        walls_agree: bool,
    ) -> None:
        self.broken: list[str] = []
        self.failovers = 0
        self.switchovers = 0
        self._world = world
        self._workers = workers
        self._failovers = failovers
        self._reports = reports
        self._walls_agree = walls_agree
        self._placed: set[str] = set()
        """Every request that has been under way."""
        self._ended: dict[str, HistoryEntry] = {}
        self._tables: dict[tuple[str, int], Mapping[str, Role]] = {}
        """The roles at each term of each object."""
        self._lost_at = 0.0
        """When the hub lost writes last."""
        self._promised: dict[str, int] = {}
        """The highest term at which each member has been answered 200."""
        self._since = 0.0
        """The promise holds from this term on. Infinite: it does not hold for now."""
        self._trusting = True
        """Whether it may begin to hold again."""
        self._highest = 0
        """The highest term there has ever been."""
        self._excused_until = 0.0
        """Until then a third party has taken away what the promise rests on."""
        self._doubted_until = 0.0
        """Until when an earlier table, which may be that of another object by now, is in doubt."""
        self._doubted_by: Link | None = None
        """Who wrote that into the status."""
        self.yes_listeners: list[Callable[[WorkerProgram, Reading], None]] = []
        """Called whenever a worker is seen to answer "active"."""
        self._forged = False
        """A Lease acknowledges a term that there has never been."""

    # --- probes -----------------------------------------------------------------------------------------

    def look(self, program: WorkerProgram) -> None:
        """Probe one worker, which has just run or woken up."""
        worker = program.worker
        if worker is None:
            return
        reading = worker.knowledge.state.reading
        if reading is not None and reading is program.lost:
            self.fail(f"{program.name} goes on answering {reading.role} although its Lease is lost")
        fresh = reading is not program.last
        if not fresh and (
            reading is None or reading.role is not Role.ACTIVE or program.looked_at == self._world.now
        ):
            return  # the same answer as before
        program.last, program.looked_at = reading, self._world.now
        if self._yes(program) and fresh:
            # Any other worker that answers 200 from now on, or still does, has to agree with that.
            for other in self._workers:
                if other is not program:
                    self._yes(other)

    def _yes(self, program: WorkerProgram) -> bool:
        answer = program.answer()
        if not isinstance(answer, Reading) or answer.role is not Role.ACTIVE:
            return False
        for listener in self.yes_listeners:
            listener(program, answer)
        if self._world.now < self._excused_until:
            return True
        for member, term in self._promised.items():
            if member != program.member and term >= answer.term:
                self.fail(
                    f"{program.name} answers 200 at term {answer.term},"
                    f" after {member} was answered for at term {term}"
                )
        if answer.term >= self._since:
            self._promised[program.member] = max(answer.term, self._promised.get(program.member, 0))
        return True

    def excuse(self, *, for_good: bool) -> None:
        """Somebody has edited roles or a worker's Lease: no promise until all present answers have run out.

        `for_good`: under KeepRole they do not, unless the worker hears of it.
        """
        self._excused_until = math.inf if for_good else self._world.now + silence_needed(max(DURATIONS))
        self._lost_at = self._world.now
        self._promised.clear()

    def calm(self) -> None:
        """From now on everybody learns everything."""
        self._excused_until = min(self._excused_until, self._world.now + silence_needed(max(DURATIONS)))

    def forged(self) -> None:
        """Somebody made a Lease by hand that acknowledges a term that there has never been."""
        self._forged = True

    def forget(self, *, for_good: bool) -> None:
        """The hub has lost writes: two members may believe two tables, and have read each on the hub.

        `for_good`: a worker under KeepRole may do so without end, and there may be no Lease that shows it.
        """
        self._since = math.inf
        self._trusting = self._trusting and not for_good
        self._lost_at = self._world.now
        self._promised.clear()
        self._tables.clear()

    def _trust(self, term: int) -> None:
        """A coordinator has noticed, and begins again, with all members passive and above all lost terms.

        Who still believes a lost table promises nothing, for there may be two of them. But whoever is
        promoted now waits for them to end: from the first answer at a new term on, the promise holds
        against lost tables, too.
        """
        if self._trusting:
            self._since = term

    def promises(self, term: int) -> bool:
        """Does the promise hold now for what rests on a table with this term?"""
        return self._world.now >= self._excused_until and term >= self._since

    # --- commits ----------------------------------------------------------------------------------------

    def committed(
        self, before: Federation | None, after: Federation | None, *, by: Link | None, shown: int
    ) -> None:
        """The federation was written, `by` whom (None: by hand). `shown`: the highest term on a Lease."""
        new = after.status if after else None
        if after and new:
            self._tables[after.uid, new.term] = {row.id: row.role for row in new.clusters}
        if before is None or new is None or new == before.status:
            return
        old = before.status
        self._world.note("hub", "%s", describe(new))
        if sum(row.role.engaged for row in new.clusters) > 1:
            self.fail(f"more than one member is engaged: {describe(new)}")
        if new.switchover:
            self._placed.add(new.switchover.id)
        fresh = [past for past in new.history if old is None or past not in old.history]
        for past in fresh:
            self._ended[past.id] = past
            self._failovers.ended(past)
            self.switchovers += past.succeeded
            self.failovers += past.succeeded and past.trigger is Trigger.FAILOVER
        highest, self._highest = self._highest, max(self._highest, new.term)
        if old is None:
            self._begun(new, highest, shown, by)
        elif self._since == math.inf:
            if new.term > old.term + 1:
                self._trust(new.term)
        elif by:
            self._check_step(before, old, new, fresh, by)
        if new.in_doubt and (old is None or new.in_doubt != old.in_doubt):
            self._doubted_until, self._doubted_by = self._world.now + new.in_doubt.seconds, by

    def _begun(self, new: Status, highest: int, shown: int, by: Link | None) -> None:
        """A first table. docs/safety.md says when it promises nothing about earlier ones."""
        unnoticed = self._since == math.inf and not new.in_doubt
        forgotten = self._world.now < self._doubted_until and not new.in_doubt and by is not self._doubted_by
        behind = not self._walls_agree and shown < highest and new.term <= highest
        if unnoticed or forgotten or behind:
            self.excuse(for_good=False)
        if behind:
            self._highest = new.term
        if self._since == math.inf and (new.term > highest or behind):
            self._trust(new.term)

    def _check_step(
        self, before: Federation, old: Status, new: Status, fresh: list[HistoryEntry], by: Link
    ) -> None:
        moved = {r.id: r.role for r in old.clusters} != {r.id: r.role for r in new.clusters}
        if any(past.outcome == Outcome.HUB_RESTORED for past in fresh):
            # Those who know a lost table may show it one after the other, each a later one.
            needed = (self._lost_at > 0 or self._forged) and all(
                row.role is Role.PASSIVE for row in new.clusters
            )
            if not needed or new.term <= old.term:
                self.fail(f"begun again without need, or not above all: {describe(old)} -> {describe(new)}")
        elif new.term != old.term + moved:
            self.fail(f"the term goes from {old.term} to {new.term}: {describe(old)} -> {describe(new)}")
        self._check_history(old, new, fresh)
        if new.active_cluster and old.engaged and old.engaged.role is Role.PROMOTING:
            self._failovers.promoted(new.active_cluster)
        self._check_promotion(before, old, new, by)
        request, former = new.switchover, old.switchover
        objection = ""
        if request and request.trigger is Trigger.FAILOVER and request != former:
            objection = self._failovers.objection(before, request.from_, by)
        elif (
            request
            and former
            and request.trigger is former.trigger is Trigger.BOOTSTRAP
            and request.to != former.to
            and all(past.outcome != Outcome.HUB_RESTORED for past in fresh)
        ):
            objection = self._failovers.objection(before, former.to, by, cooldown=False)
        if request and objection:
            self.fail(f"{request.id} must not be: {objection}")

    def _check_promotion(self, before: Federation, old: Status, new: Status, by: Link) -> None:
        """Where roles follow applications, only a member with a healthy one is promoted, unless by force."""
        promoting = {row.id for row in old.clusters if row.role is Role.PROMOTING}
        rising = [row.id for row in new.clusters if row.role is Role.PROMOTING and row.id not in promoting]
        follows = before.spec.failover.follows is Follows.APPLICATIONS
        forced = new.switchover is not None and new.switchover.force
        if not follows or forced or self._lost_at > by.listed:
            return
        for member in rising:
            if not self._reports.healthy_since(by.listed, member):
                self.fail(f"{member} is promoted without a healthy application")

    def _check_history(self, old: Status, new: Status, fresh: list[HistoryEntry]) -> None:
        names = [past.id for past in new.history]
        if len(names) != len(set(names)) or any(past.id in {p.id for p in old.history} for past in fresh):
            self.fail(f"a request has ended twice: {names}")
        if new.history[len(fresh) :] != old.history[: len(new.history) - len(fresh)]:
            self.fail(f"history was rewritten: {old.history} -> {new.history}")
        now = new.switchover.id if new.switchover else None
        if old.switchover and old.switchover.id not in {*names, now}:
            self.fail(f"request {old.switchover.id} has vanished")

    def outcomes(self) -> set[str]:
        """How requests have ended so far."""
        return {past.outcome for past in self._ended.values()}

    # --- requests ---------------------------------------------------------------------------------------

    def check_asks(self, asks: Iterable[Ask]) -> None:
        """The answers to clients have to be true, unless what was done has been lost."""
        for ask in asks:
            if ask.abandoned:
                continue
            if ask.result is None:
                self.fail(f"{ask.wish.kind} of {ask.member} at {ask.asked_at:.3f} never ended")
            elif ask.asked_at <= self._lost_at:
                continue
            elif isinstance(ask.result, Reading):
                self._check_done(ask, ask.result)
            else:
                self._check_refused(ask, ask.result)

    def _check_done(self, ask: Ask, reading: Reading) -> None:
        """The answer is about a table in which the roles were as asked; they may have moved since."""
        past = self._ended.get(ask.request)
        if past:
            terms = [past.term] if past.succeeded else []
        elif ask.wish.kind is Kind.TOGGLE:
            terms = []
        else:  # there was another request to the same end, or nothing to do
            uid, first = ask.table
            terms = [n for of, n in self._tables if of == reading.uid and (of != uid or n >= first)]
        member = past.to if past and past.to else ask.member
        role = Role.PASSIVE if ask.wish.kind is Kind.DEMOTE else Role.ACTIVE
        # Who has left the spec meanwhile is not active either.
        answered = {row.id: row.role for row in reading.clusters}
        table = self._tables.get((reading.uid, reading.term))
        if reading.term not in terms or answered.get(member, Role.PASSIVE) is not role:
            self.fail(
                f"{ask.wish.kind} of {ask.member} was answered 200 with {answered} at term {reading.term},"
                f" but done at {terms}"
            )
        elif table is not None and any(answered.get(other, is_) is not is_ for other, is_ in table.items()):
            self.fail(f"{ask.wish.kind} was answered with {answered}, but term {reading.term} had {table}")

    def _check_refused(self, ask: Ask, refusal: Refusal) -> None:
        past = self._ended.get(ask.request)
        if ask.request in self._placed and _NOTHING in refusal.message:
            self.fail(f"{ask.wish.kind} had been placed, but was refused: {refusal.message}")
        about_the_roles = refusal.reason != "OutcomeUnknown" and _ABOUT_THE_ANSWER not in refusal.message
        if past and past.succeeded and about_the_roles:
            self.fail(f"{ask.wish.kind} was refused ({refusal.reason}) but carried out")

    def fail(self, what: str) -> None:
        """Note that something is wrong."""
        self._world.note("CHECK", "%s", what)
        self.broken.append(f"{self._world.now:.3f}: {what}")


def describe(status: Status) -> str:
    """A table and the request that is under way, in a few words."""
    roles = " ".join(f"{row.id}={row.role}" for row in status.clusters)
    request = status.switchover
    under_way = f", {request.trigger} {request.id}: to {request.to or 'nobody'}" if request else ""
    return f"term {status.term}: {roles}{under_way}"
