"""The kinds of schedules there are: one with everything in it, and some that look for one thing."""

from __future__ import annotations

from simulation.network import Rates
from simulation.schedule import Profile

GENERAL = Profile(
    "general",
    faults={
        "stop": 2.0,
        "crash": 1.5,
        "restart": 0.7,
        "cut": 1.5,
        "cut member": 0.5,
        "kill member": 0.5,
        "slow": 0.7,
        "watch break": 0.7,
        "hub down": 0.3,
        "ask": 4.0,
        "edit": 1.2,
        "lose status": 0.1,
        "recreate": 0.2,
        "restore": 0.06,
    },
    rates=Rates(
        lost=0.05,
        unanswered=0.05,
        late=0.1,
        twice=0.05,
        failed=0.05,
        failed_after=0.03,
        event_lost=0.02,
        event_late=0.1,
    ),
    stops=0.01,
)
