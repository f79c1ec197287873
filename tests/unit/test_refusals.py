"""Each policy by table; `None` is consent."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from typing import Any

import pytest

from tcf.core import refusals
from tcf.core.model import Application, Failover, Follows, Unfenceable
from tcf.core.refusals import Policy, Proposal, first_refusal
from unit.build import TERM, spec, status


@dataclass(frozen=True)
class Case:
    policy: str
    refused: str | None
    proposal: dict[str, Any] = field(default_factory=dict)
    says: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.policy}-{self.refused}-{'-'.join(self.proposal)}"


THREE = status("active passive passive")
PODS = (Unfenceable("c1", "pod-a"), Unfenceable("c9", "pod-b"))
ALIVE, DEAD = {"live_workers": 1}, {"live_workers": 0}
FOLLOWING = spec(failover=Failover(follows=Follows.APPLICATIONS))
CASES = [
    Case("not_two_clusters", None),
    Case("not_two_clusters", "NotTwoClusters", {"status": THREE}, ("3", "promote")),
    Case("not_two_clusters", "NotTwoClusters", {"status": status("active")}, ("1", "promote")),
    Case("no_active_cluster", None),
    Case("no_active_cluster", "NoActiveCluster", {"status": status("passive passive")}, ("promote",)),
    Case("no_active_cluster", "NoActiveCluster", {"status": status("demoting passive")}),
    Case("no_active_cluster", "NoActiveCluster", {"status": status("promoting passive")}),
    Case("no_live_worker", "NoLiveWorker"),
    Case("no_live_worker", None, ALIVE),
    Case("no_live_worker", "NoLiveWorker", DEAD, ("c2", "tcf-worker", "force=true")),
    Case("no_live_worker", None, {**DEAD, "force": True}),
    Case("no_live_worker", None, {**DEAD, "target": ""}),
    Case("application_unhealthy", None),
    Case("application_unhealthy", None, {"application": Application.UNHEALTHY}),
    Case("application_unhealthy", None, {"spec": FOLLOWING, "application": Application.HEALTHY}),
    Case(
        "application_unhealthy",
        "ApplicationUnhealthy",
        {"spec": FOLLOWING, "application": Application.UNHEALTHY},
        ("the application of c2 is unhealthy:", "GET /tcf/holds", "force=true"),
    ),
    Case(
        "application_unhealthy",
        "ApplicationUnhealthy",
        {"spec": FOLLOWING, "application": None},
        ("no holder reports on the application of c2:", "tcf-run", "force=true"),
    ),
    Case("application_unhealthy", None, {"spec": FOLLOWING, "force": True}),
    Case("application_unhealthy", None, {"spec": FOLLOWING, "target": ""}),
    Case("cannot_fence", None),
    Case("cannot_fence", "CannotFence", {"unfenceable": PODS}, ("pod-a (c1), pod-b (c9)", "force=true")),
    Case("cannot_fence", None, {"unfenceable": PODS, "force": True}),
    Case("paused", None),
    Case("paused", "Paused", {"spec": spec(paused=True)}, ("nobody replaces c1", "spec.paused", "promote")),
    Case("term_mismatch", None),
    Case("term_mismatch", None, {"expected_term": TERM}),
    Case("term_mismatch", "TermMismatch", {"expected_term": TERM - 1}, (str(TERM), str(TERM - 1))),
    Case("term_mismatch", "TermMismatch", {"expected_term": TERM + 1}),
    Case("term_mismatch", "TermMismatch", {"expected_term": 0}),
    Case("unknown_cluster", None),
    Case("unknown_cluster", None, {"target": ""}),
    Case("unknown_cluster", "UnknownCluster", {"target": "c9"}, ("c9", "c1, c2")),
    Case("unknown_cluster", "UnknownCluster", {"cluster": "c9"}, ("c9",)),
    Case("unknown_cluster", "NoRoleYet", {"target": "c3", "spec": spec(3)}, ("c3", "tcf-operator")),
    Case("unknown_cluster", "UnknownCluster", {"target": "c2", "spec": spec(1)}, ("c2", "spec.clusters")),
]


def check(policy: str) -> Policy:
    found: Policy = getattr(refusals, policy)
    return found


def proposal(**changes: Any) -> Proposal:
    values: dict[str, Any] = {
        "spec": spec(),
        "status": status("active passive"),
        "cluster": "c1",
        "target": "c2",
        **changes,
    }
    return Proposal(**values)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_policy(case: Case) -> None:
    refusal = check(case.policy)(proposal(**case.proposal))
    assert (refusal.reason if refusal else None) == case.refused
    for words in case.says:
        assert refusal
        assert words in refusal.message


def test_every_policy_is_tested_both_ways() -> None:
    helpers = {"first_refusal"}
    all_of_them = {
        name
        for name, found in inspect.getmembers(refusals, inspect.isfunction)
        if found.__module__ == refusals.__name__ and name not in helpers
    }
    assert {case.policy for case in CASES if case.refused} == all_of_them
    assert {case.policy for case in CASES if not case.refused} == all_of_them


def test_the_first_policy_that_objects_decides() -> None:
    wish = proposal(target="c9", expected_term=1)
    order = [check("no_active_cluster"), check("term_mismatch"), check("unknown_cluster")]
    refusal = first_refusal(order, wish)
    assert refusal
    assert refusal.reason == "TermMismatch"
    assert first_refusal(order[:1], wish) is None
