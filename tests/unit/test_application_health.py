"""What the reports of several workers amount to, and what a federation makes of them."""

from __future__ import annotations

import itertools

import pytest

from tcf.core.application_health import Report, best, complaint, remedy, trouble, within
from tcf.core.model import Application, Failover, Follows
from unit.build import spec

HEALTHY, UNHEALTHY = Application.HEALTHY, Application.UNHEALTHY
REPORTS: tuple[Report, ...] = (None, UNHEALTHY, HEALTHY)
"""From the worst to the best."""


@pytest.mark.parametrize(
    ("reports", "expected"),
    [
        ([], None),
        ([None, None], None),
        ([None, UNHEALTHY], UNHEALTHY),
        ([UNHEALTHY, HEALTHY, None], HEALTHY),
    ],
)
def test_the_best_report_counts(reports: list[Report], expected: Report) -> None:
    assert best(reports) is expected


def test_a_value_stays_within_its_bounds() -> None:
    for low, high in itertools.combinations_with_replacement(range(3), 2):
        for present in range(3):
            found = within(REPORTS[present], REPORTS[low], REPORTS[high])
            assert found is REPORTS[min(max(present, low), high)]


def test_two_whose_bounds_overlap_agree() -> None:
    """Each coordinator has bounds of its own, and writes only if the present value is outside of them."""
    for (a, b), (c, d) in itertools.product(itertools.combinations_with_replacement(range(3), 2), repeat=2):
        if max(a, c) > min(b, d):
            continue
        for present in REPORTS:
            first = within(within(present, REPORTS[a], REPORTS[b]), REPORTS[c], REPORTS[d])
            assert within(first, REPORTS[a], REPORTS[b]) is first


@pytest.mark.parametrize("report", REPORTS)
def test_health_decides_only_where_roles_follow_applications(report: Report) -> None:
    assert not trouble(spec(), "c1", report)
    following = spec(failover=Failover(follows=Follows.APPLICATIONS))
    assert trouble(following, "c1", report) == complaint("c1", report)
    assert bool(complaint("c1", report)) is (report is not HEALTHY)


def test_a_person_can_tell_what_is_missing() -> None:
    assert complaint("c1", UNHEALTHY) == "the application of c1 is unhealthy"
    assert complaint("c1", None) == "no holder reports on the application of c1"
    assert "repair it" in remedy(UNHEALTHY)
    assert "tcf-run" in remedy(None)
