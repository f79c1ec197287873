"""Who may do what: the rights that a request needs, and those that the roles of an identity provider give.

The rights are those of Kubernetes on the federation, so `kubectl auth can-i` answers for them, too.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from tcf.core.model import MemberRef, Refusal
from tcf.core.reasons import Reason

GROUP, RESOURCE = "tcf.dev", "clusterfederations"


@dataclass(frozen=True, slots=True)
class Right:
    """The right to do `verb` to a federation, or to one of its subresources.

    No API serves the subresources `switchover`, `force` and `holds`. They exist for rights only.
    """

    verb: str
    subresource: str = ""

    def __str__(self) -> str:
        return f"{self.verb} {RESOURCE}{f'/{self.subresource}' if self.subresource else ''}"


READ = Right("get")
SWITCH = Right("create", "switchover")
FORCE = Right("create", "force")
HOLD = Right("update", "holds")


def rights_to_change(*, force: bool, dry_run: bool) -> tuple[Right, ...]:
    """The rights that a POST needs, all of them. A dry run changes nothing, so it only reads."""
    if dry_run:
        return (READ,)
    return (SWITCH, FORCE) if force else (SWITCH,)


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who has authenticated. The fields are those of Kubernetes.

    `roles`: the roles of the identity provider, for `RoleNames`. Kubernetes knows groups instead.
    """

    name: str
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: tuple[tuple[str, tuple[str, ...]], ...] = ()
    roles: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class RoleNames:
    """The names of the roles at an identity provider.

    `info` may read. `toggle` may also move roles, and `hold` may also have holds. `admin` may do everything.
    """

    info: str = "TCF_INFO"
    toggle: str = "TCF_TOGGLE"
    hold: str = "TCF_HOLD"
    admin: str = "TCF_ADMIN"

    def rights(self, roles: Collection[str]) -> frozenset[Right]:
        """The rights of a user who has these roles."""
        return frozenset(right for name, rights in self._least_first() if name in roles for right in rights)

    def giving(self, right: Right) -> str:
        """The least role that has the right."""
        return next(name for name, rights in self._least_first() if right in rights)

    def _least_first(self) -> Sequence[tuple[str, Collection[Right]]]:
        return (
            (self.info, (READ,)),
            (self.toggle, (READ, SWITCH)),
            (self.hold, (READ, HOLD)),
            (self.admin, (READ, SWITCH, HOLD, FORCE)),
        )


def forbidden(user: User, right: Right, member: MemberRef, hint: str) -> Refusal:
    """The refusal of a request for which the user lacks a right. `hint`: how to get it."""
    what = f"{RESOURCE}/{right.subresource}" if right.subresource else RESOURCE
    return Refusal(
        Reason.FORBIDDEN,
        f"{user.name} may not {right.verb} {what} of {member.federation} in namespace {member.namespace};"
        f" {hint}",
    )
