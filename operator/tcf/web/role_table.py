"""The role table as clients see it."""

from __future__ import annotations

from collections.abc import Iterable

from tcf.core.model import MemberStatus
from tcf.web.envelope import compact


def rows(clusters: Iterable[MemberStatus]) -> list[dict[str, str]]:
    """One object for each member, with these keys in this order."""
    return [{"status": m.role, "name": m.name, "id": m.id} for m in clusters]


def role_table(clusters: Iterable[MemberStatus]) -> bytes:
    """The body of `/tcf/clusters`."""
    return compact(rows(clusters))
