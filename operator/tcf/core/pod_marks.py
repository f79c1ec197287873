"""What a worker's own Pod says of its role: a condition for readiness gates, a label for selectors.

Both follow the worker's answer. They are for what looks at Pods instead of asking the worker, and can
be late where its answer is not: the cluster that keeps the Pod has to be reached first.
"""

from __future__ import annotations

from dataclasses import dataclass

from tcf.core.model import Refusal, Role
from tcf.core.reading import Reading

CONDITION_ACTIVE = "tcf.dev/active"
LABEL_ROLE = "tcf.dev/role"
UNKNOWN = "unknown"
"""The label's value while the worker answers 500; never a role."""


@dataclass(frozen=True, slots=True)
class Marks:
    """Which marks the Pod gets."""

    condition: bool
    label: bool


@dataclass(frozen=True, slots=True)
class Mark:
    """`role`: the label's value; `active`, `reason` (CamelCase), `message`: the condition's."""

    role: str
    active: bool
    reason: str
    message: str


def mark(answer: Reading | Refusal) -> Mark:
    """What the Pod should say while the worker answers `answer`."""
    if isinstance(answer, Refusal):
        return Mark(UNKNOWN, active=False, reason=answer.reason, message=answer.message)
    role = answer.role
    message = f"the role of this pod's cluster is {role}"
    return Mark(role.value, active=role is Role.ACTIVE, reason=role.capitalize(), message=message)
