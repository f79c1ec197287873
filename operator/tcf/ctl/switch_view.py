"""What is shown of a request to move the role, before it is placed and when it has ended, as JSON.

This shape is part of the API (docs/kubectl-tcf.md).
"""

from __future__ import annotations

from tcf.core.plan import Plan
from tcf.ctl.switch_course import Ending
from tcf.hub.answers import Json


def plan_json(plan: Plan) -> Json:
    refusal = plan.refusal
    verdict = type(plan.verdict).__name__
    return {
        "namespace": plan.federation.namespace,
        "federation": plan.federation.name,
        "kind": plan.command.kind.value,
        "from": plan.from_ or None,
        "to": plan.to or None,
        "outcome": refusal.reason if refusal else verdict,
        "message": refusal.message if refusal else None,
    }


def unchanged_json(plan: Plan) -> Json:
    """For a federation whose roles are already as asked."""
    return {**plan_json(plan), "request": None, "withoutActiveSeconds": 0.0}


def ending_json(plan: Plan, ending: Ending) -> Json:
    return {
        **plan_json(plan),
        "request": ending.request,
        "outcome": ending.refusal.reason if ending.refusal else "Succeeded",
        "message": ending.refusal.message if ending.refusal else None,
        "term": ending.term,
        "active": ending.active or None,
        "seconds": round(ending.seconds, 3),
        "withoutActiveSeconds": None if ending.gap is None else round(ending.gap, 3),
    }
