"""What a request would do, judged by the rules of workers and operators before anything is written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from tcf.core.admission import Accepted, Admission, Command, Joined, Kind, Unchanged, admit, foreseen
from tcf.core.model import Federation, Now, Principal, Refusal


@dataclass(frozen=True, slots=True)
class Plan:
    """The verdict about a command, and what an operator would most likely object to."""

    federation: Federation
    command: Command
    verdict: Admission
    objection: Refusal | None

    @property
    def refusal(self) -> Refusal | None:
        """Why the request would not be carried out; None if it would."""
        return self.verdict if isinstance(self.verdict, Refusal) else self.objection

    @property
    def from_(self) -> str:
        """The member that is active now; "" for nobody."""
        return self.federation.status.active_cluster if self.federation.status else ""

    @property
    def to(self) -> str:
        """The member that becomes active; "" for nobody."""
        if isinstance(self.verdict, Accepted) and self.verdict.status.switchover:
            return self.verdict.status.switchover.to
        return self.command.cluster if self.command.kind is Kind.PROMOTE else ""

    def pinned(self) -> Plan:
        """The plan for a person who has agreed to it: it is carried out only if the roles are still the same.

        So a toggle that somebody else has made meanwhile is not taken back by accident.
        """
        status = self.federation.status
        if not isinstance(self.verdict, Accepted) or not status:
            return self
        return replace(self, command=replace(self.command, expected_term=status.term))


def plan_of(federation: Federation, command: Command, now: Now) -> Plan:
    verdict = admit(federation, command, now)
    objection = foreseen(federation, command) if isinstance(verdict, Accepted) else None
    return Plan(federation, command, verdict, objection)


def command_for(
    federation: Federation,
    kind: Kind,
    member: str | None,
    *,
    id_: str,
    principal: Principal,
    reason: str = "",
    force: bool = False,
    expected_term: int | None = None,
) -> Command:
    """The command of a person, who may ask for any member.

    Without a `member`, a demotion is that of the active one.
    """
    status = federation.status
    engaged = status.engaged.id if status and status.engaged else federation.spec.clusters[0].id
    return Command(
        kind=kind,
        cluster=member or engaged,
        id=id_,
        principal=principal,
        reason=reason,
        expected_term=expected_term,
        force=force,
    )


def told(plan: Plan) -> Iterator[str]:
    """What will happen, for a person who has to agree to it."""
    from_, to = plan.from_, plan.to
    match plan.verdict:
        case Refusal(message=message):
            yield f"refused: {message}"
        case Unchanged():
            yield f"nothing to do: {_present(from_)}"
        case Joined(request=request):
            yield f"a switchover to {to or 'nobody'} is under way already (request {request})"
        case Accepted():
            if from_:
                yield f"{from_} stops being active, and its applications have to stop"
            if to:
                yield f"then {to} becomes active" if from_ else f"{to} becomes active; nobody is active now"
            else:
                yield "nobody is active after that, until somebody promotes a member"
    if plan.objection:
        yield f"the operator will most likely refuse that: {plan.objection.message}"
    if plan.command.force and isinstance(plan.verdict, Accepted):
        yield from _forced(plan)


def _present(active: str) -> str:
    return f"{active} is active" if active else "nobody is active"


def _forced(plan: Plan) -> Iterator[str]:
    status = plan.federation.status
    silent = [str(worker) for worker in (status.unfenceable if status else ()) if worker.cluster != plan.to]
    if silent:
        yield (
            f"force: you vouch that these workers are dead: {', '.join(silent)}. If one of them is alive, two"
            " members are active at the same time, and your data may be destroyed"
        )
    else:
        yield f"force: {plan.to} becomes active even if it has no live worker or no healthy application"
