"""Which rights a request needs, and which rights roles give."""

from __future__ import annotations

import pytest

from tcf.core.authorization import (
    FORCE,
    HOLD,
    READ,
    SWITCH,
    Right,
    RoleNames,
    User,
    forbidden,
    rights_to_change,
)
from tcf.core.model import MemberRef

MEMBER = MemberRef("ns", "shop", "c1")


@pytest.mark.parametrize(
    ("force", "dry_run", "rights"),
    [
        (False, False, (SWITCH,)),
        (True, False, (SWITCH, FORCE)),
        (False, True, (READ,)),
        (True, True, (READ,)),
    ],
)
def test_what_a_post_needs(*, force: bool, dry_run: bool, rights: tuple[Right, ...]) -> None:
    assert rights_to_change(force=force, dry_run=dry_run) == rights


def test_rights_are_named_as_kubernetes_names_them() -> None:
    assert [str(right) for right in (READ, SWITCH, FORCE)] == [
        "get clusterfederations",
        "create clusterfederations/switchover",
        "create clusterfederations/force",
    ]


@pytest.mark.parametrize(
    ("roles", "rights"),
    [
        ((), set()),
        (("tcf_admin", "TCF", ""), set()),
        (("TCF_INFO",), {READ}),
        (("TCF_TOGGLE",), {READ, SWITCH}),
        (("TCF_HOLD",), {READ, HOLD}),
        (("TCF_HOLD", "TCF_TOGGLE"), {READ, HOLD, SWITCH}),
        (("TCF_ADMIN",), {READ, SWITCH, HOLD, FORCE}),
        (("TCF_INFO", "TCF_TOGGLE", "other"), {READ, SWITCH}),
    ],
)
def test_a_user_has_the_rights_of_all_roles(roles: tuple[str, ...], rights: set[Right]) -> None:
    assert RoleNames().rights(roles) == rights


def test_the_names_of_roles_can_be_others() -> None:
    names = RoleNames("see", "move", "hold", "push")
    assert [names.giving(right) for right in (READ, SWITCH, HOLD, FORCE)] == ["see", "move", "hold", "push"]
    assert not names.rights({"TCF_ADMIN"})


def test_one_role_may_have_all_names() -> None:
    names = RoleNames("ops", "ops", "ops", "ops")
    assert names.rights({"ops"}) == {READ, SWITCH, HOLD, FORCE}
    assert names.giving(FORCE) == "ops"


def test_a_refusal_names_verb_subresource_and_object() -> None:
    refusal = forbidden(User("alice"), SWITCH, MEMBER, "ask for it")
    assert refusal.reason == "Forbidden"
    assert refusal.message == (
        "alice may not create clusterfederations/switchover of shop in namespace ns; ask for it"
    )
    assert "get clusterfederations of shop" in forbidden(User("a"), READ, MEMBER, "").message
