"""The legal changes of a role table, as data.

Roles move only by the rows of `Row`. A row says which moves happen together in one write; all other members
keep their roles. `steps` decides when a row may be taken (by a request, the fence, an acknowledgement, a
deadline). Here, `move` makes sure that nothing but these rows is ever written.

    passive --promote--> promoting --complete--> active --demote--> demoting --retire/hand over--> passive
                             |                      ^                    |
                             +--- roll back --------+---- keep ----------+

Invariants, checked at every move:

* at most one member is engaged (active, promoting or demoting), before and after;
* a member becomes active only from promoting, except in the two rollbacks: they give the role back to the
  member that had it, and no other member was active in between;
* every move raises the term by exactly one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from enum import Enum

from tcf.core.model import MemberStatus, Role, Status

Move = tuple[Role, Role]


class Row(Enum):
    """Each row is the set of moves that one write makes together."""

    moves: tuple[Move, ...]

    def __init__(self, *moves: Move) -> None:
        self.moves = moves

    DEMOTE = ((Role.ACTIVE, Role.DEMOTING),)
    KEEP = ((Role.DEMOTING, Role.ACTIVE),)
    RETIRE = ((Role.DEMOTING, Role.PASSIVE),)
    HAND_OVER = ((Role.DEMOTING, Role.PASSIVE), (Role.PASSIVE, Role.PROMOTING))
    PROMOTE = ((Role.PASSIVE, Role.PROMOTING),)
    COMPLETE = ((Role.PROMOTING, Role.ACTIVE),)
    YIELD = ((Role.PROMOTING, Role.PASSIVE),)
    GIVE_BACK = ((Role.PROMOTING, Role.PASSIVE), (Role.PASSIVE, Role.ACTIVE))


class IllegalTransitionError(Exception):
    """A change of roles that no row allows: a bug in this program, never a user's mistake."""


def move(status: Status, row: Row, roles: Mapping[str, Role]) -> Status:
    """`status` with `roles` applied as `row` and the term raised by one.

    Raises:
        IllegalTransitionError: the change is not that row, or more than one member would be engaged.
    """
    changes = sorted((m.role, roles[m.id]) for m in status.clusters if m.id in roles)
    if changes != sorted(row.moves) or len(roles) != len(changes):
        raise IllegalTransitionError(f"{row.name} does not allow {dict(roles)} in {status.clusters}")
    return _with_roles(status, roles, status.term + 1)


def all_passive(status: Status, term: int) -> Status:
    """The table that follows a loss: every member is passive, at a higher term.

    Raises:
        IllegalTransitionError: the term would not rise.
    """
    if term <= status.term:
        raise IllegalTransitionError(f"term {status.term} cannot be followed by {term}")
    return _with_roles(status, {m.id: Role.PASSIVE for m in status.clusters}, term)


def _with_roles(status: Status, roles: Mapping[str, Role], term: int) -> Status:
    clusters = tuple(replace(m, role=roles.get(m.id, m.role)) for m in status.clusters)
    for table in (status.clusters, clusters):
        if sum(m.role.engaged for m in table) > 1:
            raise IllegalTransitionError(f"more than one member is engaged in {table}")
    return replace(status, clusters=clusters, term=term, active_cluster=_active(clusters))


def with_members(status: Status, clusters: tuple[MemberStatus, ...]) -> Status:
    """The table with other members; the term rises when one joins or leaves, not when one is renamed.

    Raises:
        IllegalTransitionError: a member that is engaged is left out, or one that joins is not passive.
    """
    old = {m.id: m.role for m in status.clusters}
    new = {m.id: m.role for m in clusters}
    for member in old.keys() | new.keys():
        before, after = old.get(member, Role.PASSIVE), new.get(member, Role.PASSIVE)
        if before is not after:
            raise IllegalTransitionError(f"{member} cannot go {before} -> {after} when membership changes")
    term = status.term + (old.keys() != new.keys())
    return replace(status, clusters=clusters, term=term)


def _active(clusters: tuple[MemberStatus, ...]) -> str:
    return next((m.id for m in clusters if m.role is Role.ACTIVE), "")
