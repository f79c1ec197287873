"""Each break of the protocol is noticed: a simulation that does not would prove nothing."""

from __future__ import annotations

import pytest

from simulation.mutants import MUTANTS
from simulation.search import first_failure

SCHEDULES = 200


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_is_caught(name: str) -> None:
    mutant = MUTANTS[name]
    with mutant.applied():
        assert first_failure(mutant.profile, range(SCHEDULES)), f"it survives that {mutant.what}"


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_replaces_public_names_only(name: str) -> None:
    for patch in MUTANTS[name].patches():
        path = [*patch.owner.__name__.split("."), patch.name]
        assert not [part for part in path if part.startswith("_")], path
