"""What an identity provider's answer says about a token."""

from __future__ import annotations

from typing import Any

import pytest

from tcf.auth.introspection import ProviderError, user_of
from tcf.core.authorization import User

CLAIM = "realm_access.roles"


def answer(**claims: Any) -> dict[str, Any]:
    return {"active": True, "username": "alice", **claims}


@pytest.mark.parametrize("active", [False, None, "true", 1, "yes"])
def test_a_token_is_active_only_if_the_provider_says_exactly_that(active: object) -> None:
    assert user_of({**answer(), "active": active}, CLAIM) is None
    assert user_of({"username": "alice"}, CLAIM) is None


@pytest.mark.parametrize(
    ("claim", "claims", "roles"),
    [
        (CLAIM, {"realm_access": {"roles": ["TCF_INFO", "other"]}}, {"TCF_INFO", "other"}),
        (CLAIM, {}, set()),
        (CLAIM, {"realm_access": None}, set()),
        (CLAIM, {"realm_access": {"roles": {"TCF_ADMIN": True}}}, set()),
        (CLAIM, {"realm_access": {"roles": ["TCF_INFO", 7, None]}}, {"TCF_INFO"}),
        (CLAIM, {"realm_access": ["roles"]}, set()),
        ("groups", {"groups": ["TCF_TOGGLE"]}, {"TCF_TOGGLE"}),
        ("scope", {"scope": "openid TCF_INFO"}, {"openid", "TCF_INFO"}),
        ("https://tcf.dev/roles", {"https://tcf.dev/roles": ["TCF_ADMIN"]}, {"TCF_ADMIN"}),
        ("resource_access.tcf.roles", {"resource_access": {"tcf": {"roles": ["a"]}}}, {"a"}),
    ],
)
def test_roles_are_where_the_claim_says(claim: str, claims: dict[str, Any], roles: set[str]) -> None:
    assert user_of(answer(**claims), claim) == User("alice", roles=frozenset(roles))


@pytest.mark.parametrize(
    ("names", "name"),
    [
        ({"username": "alice", "sub": "0815"}, "alice"),
        ({"username": "", "preferred_username": "bob", "sub": "0815"}, "bob"),
        ({"client_id": "cron", "sub": "0815"}, "cron"),
        ({"sub": "0815"}, "0815"),
        ({"username": 7, "sub": "0815"}, "0815"),
    ],
)
def test_the_user_has_the_best_name_there_is(names: dict[str, Any], name: str) -> None:
    found = user_of({"active": True, **names}, CLAIM)
    assert found is not None
    assert found.name == name


def test_a_token_of_nobody_is_no_answer() -> None:
    with pytest.raises(ProviderError, match="whose token"):
        user_of({"active": True}, CLAIM)
