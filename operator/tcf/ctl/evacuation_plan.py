"""What it means to make one member active in many federations: which move, which need not, which cannot."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from tcf.core.admission import Command, Joined, Unchanged
from tcf.core.model import Federation, Now
from tcf.core.plan import Plan, plan_of
from tcf.ctl.switch_view import plan_json, unchanged_json
from tcf.hub.answers import Json
from tcf.hub.federation_json import refusal_json

_WIDTH = 100


@dataclass(frozen=True, slots=True)
class EvacuationPlan:
    """`from_`: only what is active there moves; "" for whatever is active anywhere.

    `moves`: in the order in which they begin. `others`: federations that do not have the member `to`.
    `elsewhere`: federations in which neither `from_` nor `to` is active.
    `unreadable`: what is wrong with federations that do not fit the schema. Nobody knows their members.
    """

    from_: str
    to: str
    moves: tuple[Plan, ...]
    unchanged: tuple[Plan, ...]
    refused: tuple[Plan, ...]
    others: tuple[Federation, ...]
    elsewhere: tuple[Federation, ...] = ()
    unreadable: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Would the member be active in all that have it?"""
        return not self.refused and not self.unreadable


def evacuation_of(
    federations: Iterable[Federation],
    from_: str,
    to: str,
    command_of: Callable[[Federation], Command],
    now: Now,
    unreadable: tuple[str, ...] = (),
) -> EvacuationPlan:
    """Judge each federation as a single promote does. Each move is for the table that was read only."""
    ordered = sorted(federations, key=_urgency)
    members = [each for each in ordered if each.spec.member(to)]
    here: list[Federation] = []
    elsewhere: list[Federation] = []
    for each in members:
        (here if not from_ or _place(each) in {from_, to} else elsewhere).append(each)
    plans = [plan_of(each, command_of(each), now) for each in here]
    unchanged = [each for each in plans if isinstance(each.verdict, Unchanged)]
    refused = [each for each in plans if each.refusal]
    moves = [each.pinned() for each in plans if not each.refusal and not isinstance(each.verdict, Unchanged)]
    others = [each for each in ordered if not each.spec.member(to)]
    return EvacuationPlan(
        from_=from_,
        to=to,
        moves=tuple(moves),
        unchanged=tuple(unchanged),
        refused=tuple(refused),
        others=tuple(others),
        elsewhere=tuple(elsewhere),
        unreadable=unreadable,
    )


def _place(federation: Federation) -> str:
    """The member that has the role, or had it until the switchover under way; "" for nobody."""
    status = federation.status
    if status is None:
        return ""
    if status.engaged:
        return status.engaged.id
    return status.switchover.from_ if status.switchover else ""


def _urgency(federation: Federation) -> tuple[int, str, str]:
    """Those with a higher priority come first, and then in the order of their names."""
    return -federation.spec.failover.priority, federation.namespace, federation.name


@dataclass(frozen=True, slots=True)
class Names:
    """How federations are named. `namespaces`: theirs, too. `most`: so many in a list; None for all."""

    namespaces: bool = False
    most: int | None = None

    def of(self, federation: Federation) -> str:
        return f"{federation.namespace}/{federation.name}" if self.namespaces else federation.name

    def listed(self, federations: Sequence[Federation]) -> list[str]:
        """Lines with the names."""
        shown = [self.of(each) for each in federations[: self.most]]
        left = len(federations) - len(shown)
        text = ", ".join(shown) + (f" and {left} more" if left else "")
        lines = textwrap.wrap(text, _WIDTH, break_long_words=False, break_on_hyphens=False)
        return [f"    {line}" for line in lines]


def counted(number: int, what: str = "federation") -> str:
    return f"{number} {what}" + "s" * (number != 1)


def told(plan: EvacuationPlan, names: Names) -> Iterator[str]:
    """What will happen, for a person who has to agree to it."""
    from_ = Counter(each.from_ for each in plan.moves)
    for member, number in from_.most_common():
        if member:
            yield f"{member} stops being active in {counted(number)}, and its applications have to stop there"
    if from_[""]:
        yield f"nobody is active now in {counted(from_[''])}"
    if plan.moves:
        yield f"then {plan.to} becomes active in {counted(len(plan.moves))}"
    if joined := [each for each in plan.moves if isinstance(each.verdict, Joined)]:
        yield f"a switchover to {plan.to} is under way already in {len(joined)} of these"
    if plan.unchanged:
        yield f"{plan.to} is active already in {counted(len(plan.unchanged))}"
    for reason, group in _by_reason(plan.refused).items():
        refusals = [each.refusal for each in group if each.refusal]
        yield f"refused in {counted(len(group))}: {reason}: {refusals[0].message}"
        yield from names.listed([each.federation for each in group])
    yield from others_told(plan, names)


def others_told(plan: EvacuationPlan, names: Names) -> Iterator[str]:
    """Which federations the plan is not about, and why."""
    yield from (f"left out, because it cannot be read: {trouble}" for trouble in plan.unreadable)
    if plan.elsewhere:
        yield f"{plan.from_} is not active in {counted(len(plan.elsewhere))}, which stay as they are"
        yield from names.listed(plan.elsewhere)
    if plan.others:
        yield f"{plan.to} is not a member of {counted(len(plan.others))}, which stay as they are"
        yield from names.listed(plan.others)


def _by_reason(plans: Iterable[Plan]) -> dict[str, list[Plan]]:
    """The most frequent reason first."""
    groups: dict[str, list[Plan]] = {}
    for each in plans:
        if each.refusal:
            groups.setdefault(each.refusal.reason, []).append(each)
    return dict(sorted(groups.items(), key=lambda item: -len(item[1])))


def where_json(federation: Federation) -> Json:
    return {"namespace": federation.namespace, "federation": federation.name}


def refused_json(plan: Plan) -> Json:
    """For a federation that the plan itself refuses, so that it gets no request."""
    return {**plan_json(plan), **(refusal_json(plan.refusal) if plan.refusal else {}), "request": None}


def dry_run_json(plan: EvacuationPlan) -> Json:
    return {
        "from": plan.from_ or None,
        "to": plan.to,
        "dryRun": True,
        "moved": [plan_json(each) for each in plan.moves],
        "unchanged": [unchanged_json(each) for each in plan.unchanged],
        "notMember": [where_json(each) for each in plan.others],
        "elsewhere": [where_json(each) for each in plan.elsewhere],
        "failed": [refused_json(each) for each in plan.refused],
        "unknown": [],
        "notAsked": [],
        "unreadable": list(plan.unreadable),
        "seconds": 0.0,
    }
