"""Breaks of the protocol, each with the kind of schedule that shows it.

A simulation that does not notice them would prove nothing. Each is the product's code with one rule
broken; `tests/simulation/test_mutants.py` demands that it is caught.
"""

from __future__ import annotations

from collections.abc import Mapping

from simulation.mutant import Mutant
from simulation.mutants_clients import CLIENTS_MUTANTS
from simulation.mutants_conclusion import CONCLUSION_MUTANTS
from simulation.mutants_failover import FAILOVER_MUTANTS
from simulation.mutants_fence import FENCE_MUTANTS
from simulation.mutants_holds import HOLDS_MUTANTS
from simulation.mutants_terms import TERMS_MUTANTS
from simulation.mutants_worker import WORKER_MUTANTS

MUTANTS: Mapping[str, Mutant] = {
    mutant.name: mutant
    for mutant in (
        *FENCE_MUTANTS,
        *TERMS_MUTANTS,
        *WORKER_MUTANTS,
        *CONCLUSION_MUTANTS,
        *HOLDS_MUTANTS,
        *CLIENTS_MUTANTS,
        *FAILOVER_MUTANTS,
    )
}
