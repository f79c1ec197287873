"""What the real API server says of tokens in a TokenReview: workers rest on it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pytest
from rig.hub_namespace import own_namespace
from rig.kubectl import Kubectl
from support.oidc_issuer import OidcIssuer

API = "https://kubernetes.default.svc"
"""The API server's own audience."""
OURS, ANOTHERS = "tcf.dev", "another.example.com"
HOUR = 3600.0

Json = dict[str, Any]


def reviews(kubectl: Kubectl, asked: Iterable[tuple[str, list[str]]]) -> list[Json]:
    """The status of a TokenReview of each token, for these audiences."""
    version = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview"}
    manifests = ({**version, "spec": {"token": token, "audiences": audiences}} for token, audiences in asked)
    one = {"apiVersion": "v1", "kind": "List", "items": list(manifests)}
    create = ("create", "-o", r'jsonpath={.status}{"\n"}', "-f", "-")
    return [json.loads(line) for line in kubectl(*create, stdin=json.dumps(one)).stdout.splitlines()]


def test_audiences(plane_with_issuer: dict[str, str], issuer: OidcIssuer) -> None:
    """A ServiceAccount's token has its audiences in it. Every other token is for the API server alone.

    So a worker that is to take the tokens of an OIDC issuer has to ask for the API server's audience as well.
    """
    with own_namespace(plane_with_issuer) as hub:

        def requested(*audiences: str, account: str = "somebody") -> str:
            options = (f"--audience={audience}" for audience in audiences)
            return hub.kubectl("create", "token", account, *options).stdout.strip()

        hub.kubectl("create", "serviceaccount", "somebody")
        hub.kubectl("create", "serviceaccount", "gone")
        tokens = {
            "ours": requested(OURS),
            "the API server's": requested(API),
            "both": requested(OURS, API),
            "another's": requested(ANOTHERS),
            "OIDC": issuer.token("ann", "switchers", audience=OURS),
            "from a file": hub.token,
            "of a deleted account": requested(OURS, API, account="gone"),
            "expired": issuer.token("ann", lives=(-2 * HOUR, -HOUR)),
            "not yet valid": issuer.token("ann", lives=(HOUR, 2 * HOUR)),
            "OIDC, another's": issuer.token("ann", audience=ANOTHERS),
            "another issuer's": issuer.token("ann", issuer="https://issuer.example.com"),
            "forged": issuer.token("ann", forged=True),
            "junk": "junk",
        }
        hub.kubectl("delete", "serviceaccount", "gone")
        asked = {
            (name, *audiences): audiences for name in tokens for audiences in ([OURS], [API], [OURS, API])
        }
        statuses = reviews(
            hub.kubectl, ((tokens[name], audiences) for (name, *_), audiences in asked.items())
        )
        answers = dict(zip(asked, statuses, strict=True))

        assert {key: status["audiences"] for key, status in answers.items() if "authenticated" in status} == {
            ("ours", OURS): [OURS],
            ("ours", OURS, API): [OURS],
            ("the API server's", API): [API],
            ("the API server's", OURS, API): [API],
            ("both", OURS): [OURS],
            ("both", API): [API],
            ("both", OURS, API): [OURS, API],
            ("OIDC", API): [API],
            ("OIDC", OURS, API): [API],
            ("from a file", API): [API],
            ("from a file", OURS, API): [API],
        }
        # A refusal does not say `"authenticated": false`. Its error can quote the token's claims.
        assert answers["OIDC", OURS] == {"user": {}, "error": "invalid bearer token"}
        assert answers["another's", OURS] == {
            "user": {},
            "error": f'[invalid bearer token, token audiences ["{ANOTHERS}"] '
            f'is invalid for the target audiences ["{OURS}"]]',
        }
        groups = ["oidc:switchers", "system:authenticated"]
        assert answers["OIDC", API]["user"] == {"username": "oidc:ann", "groups": groups}
        assert answers["ours", OURS]["user"]["username"] == f"system:serviceaccount:{hub.namespace}:somebody"


def test_an_empty_token_is_a_bad_request(kubectl: Kubectl) -> None:
    with pytest.raises(AssertionError, match="token is required"):
        reviews(kubectl, [("", [OURS])])
