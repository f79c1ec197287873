"""What a worker's own Pod says about its role: a condition for readiness gates, a label for selectors.

Both follow the worker's answer. They are for everything that looks at Pods and does not ask the worker. They
may lag behind the answer, because the worker has to reach the Pod's own cluster to write them.
"""

from __future__ import annotations

from dataclasses import dataclass

from tcf.core.model import Refusal, Role
from tcf.core.reading import Reading

CONDITION_ACTIVE = "tcf.dev/active"
UNKNOWN = "unknown"
"""The value of the label while the worker answers 500. No role has this name."""


@dataclass(frozen=True, slots=True)
class Marks:
    """Which marks the Pod gets."""

    condition: bool
    label: bool


@dataclass(frozen=True, slots=True)
class Mark:
    """`role` is for the label; `active`, `reason` (in CamelCase) and `message` are for the condition."""

    role: str
    active: bool
    reason: str
    message: str


def mark(answer: Reading | Refusal) -> Mark:
    """What the Pod has to say while this is the worker's answer."""
    if isinstance(answer, Refusal):
        return Mark(UNKNOWN, active=False, reason=answer.reason, message=answer.message)
    role = answer.role
    message = f"the role of this pod's cluster is {role}"
    return Mark(role.value, active=role is Role.ACTIVE, reason=role.capitalize(), message=message)
