"""Asks the hub who a client is, and what users may do. This needs the rights to create these reviews."""

from __future__ import annotations

from tcf.core.authorization import GROUP, RESOURCE, Right, User
from tcf.core.model import MemberRef
from tcf.hub.answers import Json
from tcf.hub.client import HubClient
from tcf.hub.records import exactly, reading

TOKEN_REVIEWS = "/apis/authentication.k8s.io/v1/tokenreviews"  # noqa: S105 - a path, not a token
ACCESS_REVIEWS = "/apis/authorization.k8s.io/v1/namespaces/{}/localsubjectaccessreviews"


class Reviews:
    """Every method raises `HubError`; deadlines are in seconds."""

    def __init__(self, client: HubClient) -> None:
        self._client = client

    async def user_of(self, token: str, audiences: tuple[str, ...], *, deadline: float) -> User | None:
        """The user to whom the token belongs; None if it is not valid for one of these audiences."""
        body = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "spec": {"token": token, "audiences": list(audiences)},
        }
        answer = await self._client.request("POST", TOKEN_REVIEWS, body=body, deadline=deadline)
        with reading("the review of a token"):
            status = answer["status"]
            # An API server that does not know audiences says nothing about them, and would accept any token.
            if status.get("authenticated") is not True or not set(audiences) & set(status["audiences"]):
                return None
            return _user(status["user"])

    async def may(self, user: User, right: Right, member: MemberRef, *, deadline: float) -> bool:
        """Does the user have this right on the member's federation?"""
        attributes = {
            "namespace": member.namespace,
            "verb": right.verb,
            "group": GROUP,
            "resource": RESOURCE,
            "subresource": right.subresource,
            "name": member.federation,
        }
        spec: Json = {
            "resourceAttributes": attributes,
            "user": user.name,
            "groups": list(user.groups),
            "uid": user.uid,
            "extra": {key: list(values) for key, values in user.extra},
        }
        body = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "LocalSubjectAccessReview",
            "metadata": {"namespace": member.namespace},
            "spec": spec,
        }
        path = ACCESS_REVIEWS.format(member.namespace)
        answer = await self._client.request("POST", path, body=body, deadline=deadline)
        with reading("the review of a user's right"):
            return answer["status"].get("allowed") is True


def _user(value: Json) -> User:
    extra = value.get("extra") or {}
    return User(
        name=exactly(value["username"], str),
        groups=_texts(value.get("groups") or []),
        uid=exactly(value.get("uid") or "", str),
        extra=tuple(sorted((exactly(key, str), _texts(values)) for key, values in extra.items())),
    )


def _texts(values: object) -> tuple[str, ...]:
    return tuple(exactly(value, str) for value in exactly(values, list))
