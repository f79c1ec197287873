"""What a worker writes into its own Lease."""

from __future__ import annotations

from dataclasses import dataclass

from tcf.core.annotations import Acknowledgement, LastActive
from tcf.core.model import Application, Isolation

REGISTRATION_DURATION = 1
"""The duration, in seconds, of a Lease that has just been created. It has no reading yet."""

IDLE_DURATION = 15
"""The duration of the Lease, in seconds, while there is no federation that says otherwise."""


@dataclass(frozen=True, slots=True)
class Renewal:
    """The content of the next write to the worker's own Lease.

    `held_by`: who keeps the worker from acknowledging a table; "" for nobody.
    """

    acknowledged: Acknowledgement | None
    isolation: Isolation
    duration: int
    last_active: LastActive | None = None
    application: Application | None = None
    held_by: str = ""
