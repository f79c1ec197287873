"""Application health: what the holders of a member report, and what that means for the member.

A Lease says `Healthy`, `Unhealthy`, or nothing when no holder reports. In a federation that follows
applications, a member can act only while one of its live workers says `Healthy`.
"""

from __future__ import annotations

from collections.abc import Iterable

from tcf.core.model import Application, Follows, Spec

_FROM_THE_WORST = (None, Application.UNHEALTHY, Application.HEALTHY)

Report = Application | None


def best(reports: Iterable[Report]) -> Report:
    """The health of an application of which several workers report: that of the best. None without any."""
    return max(reports, key=_FROM_THE_WORST.index, default=None)


def within(present: Report, least: Report, most: Report) -> Report:
    """`present`, or what is nearest to it from `least` to `most`. (`least` is not better than `most`.)"""
    return min(best((present, least)), most, key=_FROM_THE_WORST.index)


def trouble(spec: Spec, cluster: str, report: Report) -> str:
    """Why a member with a live worker cannot act, for people to read; "" if it can."""
    return complaint(cluster, report) if spec.failover.follows is Follows.APPLICATIONS else ""


def complaint(cluster: str, report: Report) -> str:
    """What a person would say about an application that is not healthy; "" if it is."""
    if report is Application.HEALTHY:
        return ""
    if report is Application.UNHEALTHY:
        return f"the application of {cluster} is unhealthy"
    return f"no holder reports on the application of {cluster}"


def remedy(report: Report) -> str:
    """What a person can do about such a member."""
    if report is Application.UNHEALTHY:
        return "repair it (GET /tcf/holds of the member's workers says what is wrong)"
    return (
        "start it together with a holder (tcf-run), which GET /tcf/holds of the member's workers then lists"
    )
