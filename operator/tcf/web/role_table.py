"""The role table as clients see it."""

from __future__ import annotations

import json
from collections.abc import Iterable

from tcf.core.model import MemberStatus


def rows(clusters: Iterable[MemberStatus]) -> list[dict[str, str]]:
    """One object for each member, with these keys in this order."""
    return [{"status": m.role, "name": m.name, "id": m.id} for m in clusters]


def role_table(clusters: Iterable[MemberStatus]) -> bytes:
    """The body of `/tcf/clusters`: JSON without blanks."""
    return json.dumps(rows(clusters), ensure_ascii=False, separators=(",", ":")).encode()
