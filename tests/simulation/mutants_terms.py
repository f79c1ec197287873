"""Breaks of what terms promise, and of the doubt after a loss."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import tcf.core.bootstrap
import tcf.core.decide
import tcf.core.steps
from simulation import profiles
from simulation.mutant import Mutant, Patch, changed
from tcf.core.annotations import Acknowledgement
from tcf.core.model import Federation, Now, Status
from tcf.core.sightings import Sightings
from tcf.core.steps import Case


def no_doubt() -> Iterable[Patch]:
    yield changed(Case, "doubtful_until", lambda *_: -math.inf)


def _doubt_by_the_spec() -> Iterable[Patch]:
    yield changed(
        tcf.core.bootstrap, "longest_lease", lambda _, federation, __: federation.spec.lease_duration
    )


def _doubt_of_one_object() -> Iterable[Patch]:
    def see(original: Any, sightings: Sightings, federation: Federation | None, now: float) -> Sightings:
        same = (
            federation is not None and sightings.newest is not None and sightings.newest.uid == federation.uid
        )
        result: Sightings = original(sightings if same else replace(sightings, doubt=None), federation, now)
        return result

    yield changed(Sightings, "see_federation", see)


def _doubt_of_a_lost_table() -> Iterable[Patch]:
    def until(original: Any, case: Case) -> float:
        stage, doubt = case.workers.sightings.stage, case.status.in_doubt
        if doubt and stage and Acknowledgement(stage.uid, stage.term) == case.table:
            return stage.at + doubt.seconds
        result: float = original(case)
        return result

    yield changed(Case, "doubtful_until", until)


def _terms_in_seconds() -> Iterable[Patch]:
    def first(_: Any, known: Iterable[int], now: Now) -> int:
        return max(now.term // 1000, max(known, default=0) + 1)

    yield changed(tcf.core.bootstrap, "first_term", first)


def _absurd_terms() -> Iterable[Patch]:
    yield changed(Now, "plausible", lambda *_: True)


def _low_terms() -> Iterable[Patch]:
    def begun(original: Any, federation: Federation, *args: Any) -> Status:
        status: Status = original(federation, *args)
        return replace(status, term=1)

    yield changed(tcf.core.decide, "bootstrapped", begun)


TERMS_MUTANTS = (
    Mutant("no doubt", "a table that begins again after a loss is not in doubt", no_doubt, profiles.SET_BACK),
    Mutant(
        "doubt by the spec",
        "the doubt lasts for the present leaseDuration",
        _doubt_by_the_spec,
        profiles.SET_BACK_WITHOUT_LEASE,
    ),
    Mutant(
        "doubt of one object",
        "a doubt ends when the federation is deleted and created again",
        _doubt_of_one_object,
        profiles.SET_BACK_AND_RECREATED,
    ),
    Mutant(
        "doubt of a lost table",
        "the doubt counts from when a table of that number was seen",
        _doubt_of_a_lost_table,
        profiles.SET_BACK_AND_SEEN,
    ),
    Mutant("terms in seconds", "terms begin at Unix seconds", _terms_in_seconds, profiles.OUTRUN),
    Mutant("absurd terms", "any acknowledged term is believed", _absurd_terms, profiles.FORGED),
    Mutant("low terms", "a bootstrap begins at term 1", _low_terms, profiles.RECREATED),
)
