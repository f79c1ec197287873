"""Breaks of what clients hear about their requests."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from simulation import profiles
from simulation.mutant import Mutant, Patch, changed
from tcf.core.claims import Claim
from tcf.core.model import Refusal
from tcf.core.reading import Reading
from tcf.hub import answers, errors
from tcf.worker.switchovers import Switchovers


def _always_200() -> Iterable[Patch]:
    async def ask(original: Any, asking: Switchovers, *args: Any) -> Any:
        result = await original(asking, *args)
        answer = asking.knowledge.answer()
        return answer if isinstance(answer, Reading) else result

    yield changed(Switchovers, "ask", ask)


def _lies_believed() -> Iterable[Patch]:
    def refusal(original: Any, *args: Any) -> errors.HubError:
        error: errors.HubError = original(*args)
        error.ambiguous = False
        return error

    yield changed(answers, "refusal", refusal)


def _present_answer() -> Iterable[Patch]:
    def met_by(original: Any, claim: Claim, answer: Reading | Refusal) -> Reading | Refusal | None:
        return answer if original(claim, answer) else None

    yield changed(Claim, "met_by", met_by)


CLIENTS_MUTANTS = (
    Mutant("always 200", "a POST is answered 200 though it is refused", _always_200, profiles.RACES),
    Mutant("lies believed", "a refusal by a proxy counts as certain", _lies_believed, profiles.LIES),
    Mutant(
        "present answer",
        "a 200 carries the roles of the moment, not of its outcome",
        _present_answer,
        profiles.RACES,
    ),
)
