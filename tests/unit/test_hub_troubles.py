"""What a person reads in the log for each way in which a hub can refuse: the exact words."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tcf.hub import errors
from tcf.hub.answers import refusal

PUT = "PUT /apis/x"
UNPROVEN = "the hub, or a proxy in between, answered {0} without saying why: PUT /apis/x: {1}"


def status(code: int, message: str, **details: Any) -> bytes:
    said = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "message": message}
    return json.dumps({**said, "details": details}).encode()


@pytest.mark.parametrize(
    ("code", "body", "kind", "message", "ambiguous"),
    [
        (
            401,
            status(401, "Unauthorized"),
            errors.UnauthorizedError,
            "the hub (https://hub) does not accept the credentials (401): renew the token or kubeconfig",
            False,
        ),
        (
            403,
            status(403, 'leases is forbidden: User "me" cannot create resource "leases" in API group "x"'),
            errors.ForbiddenError,
            (
                'the hub refuses (403): leases is forbidden: User "me" cannot create resource "leases" in API'
                ' group "x"; grant that right by RBAC'
            ),
            False,
        ),
        (
            403,
            status(403, 'leases is forbidden: User "system:anonymous" cannot create resource "leases"'),
            errors.ForbiddenError,
            (
                'the hub refuses (403): leases is forbidden: User "system:anonymous" cannot create resource'
                ' "leases"; this program sends no credentials: check that the kubeconfig has some for this'
                " server"
            ),
            False,
        ),
        (
            403,
            status(403, 'leases "x" is forbidden: exceeded quota: few, requested: count/leases=1'),
            errors.ForbiddenError,
            'the hub refuses (403): leases "x" is forbidden: exceeded quota: few, requested: count/leases=1',
            False,
        ),
        (
            403,
            status(403, 'ValidatingAdmissionPolicy "p" with binding "b" denied request: not today'),
            errors.ForbiddenError,
            'the hub refuses (403): ValidatingAdmissionPolicy "p" with binding "b" denied request: not today',
            False,
        ),
        (
            403,
            status(403, "namespace x is being terminated", causes=[{"reason": "NamespaceTerminating"}]),
            errors.NamespaceUnusableError,
            "the namespace on the hub is being deleted: namespace x is being terminated",
            False,
        ),
        (
            403,
            b"<html>\x1b[2J</html>",
            errors.UnreachableError,
            UNPROVEN.format(403, "<html>\\x1b[2J</html>"),
            True,
        ),
        (
            404,
            status(404, 'namespaces "x" not found', name="x", kind="namespaces"),
            errors.NamespaceUnusableError,
            "there is no namespace x on the hub; create it, or correct --namespace",
            False,
        ),
        (
            404,
            status(404, 'clusterfederations "shop" not found', name="shop", kind="clusterfederations"),
            errors.NotFoundError,
            f'{PUT}: clusterfederations "shop" not found',
            False,
        ),
        (
            404,
            status(404, "the server could not find the requested resource"),
            errors.KindNotFoundError,
            (
                f"{PUT}: the server could not find the requested resource;"
                " is the CRD of this project installed on the hub?"
            ),
            False,
        ),
        (
            404,
            b"404 page not found\n",
            errors.KindNotFoundError,
            f"{PUT}: 404 page not found; is the CRD of this project installed on the hub?",
            True,
        ),
        (409, status(409, "changed"), errors.ConflictError, f"{PUT}: changed", False),
        (409, b"conflict", errors.UnreachableError, UNPROVEN.format(409, "conflict"), True),
        (422, status(422, "invalid"), errors.InvalidError, f"the hub refused (422): {PUT}: invalid", False),
        (
            429,
            status(429, "slow"),
            errors.UnreachableError,
            f"the hub is overloaded (429): {PUT}: slow",
            False,
        ),
        (500, status(500, "oops"), errors.UnreachableError, f"the hub failed (500): {PUT}: oops", True),
        (502, b"", errors.UnreachableError, UNPROVEN.format(502, ""), True),
    ],
)
def test_what_is_said(code: int, body: bytes, kind: type, message: str, ambiguous: bool) -> None:  # noqa: FBT001
    error = refusal(code, body, "PUT", "/apis/x", "the hub", "https://hub")
    assert type(error) is kind
    assert str(error) == message
    assert error.ambiguous is ambiguous
    assert "hub" in error.public or "object" in error.public


@pytest.mark.parametrize(
    ("policy", "told"),
    [
        ("status.tcf.dev", ": force needs a right"),
        ("leases.tcf.dev", ": force needs a right"),
        ("tcf.dev.example.test", ""),
        ("example.test", ""),
    ],
)
def test_clients_are_told_what_our_own_policies_say(policy: str, told: str) -> None:
    message = (
        f"""clusterfederations.tcf.dev "shop" is forbidden: ValidatingAdmissionPolicy '{policy}'"""
        f""" with binding '{policy}' denied request: force needs a right"""
    )
    error = refusal(403, status(403, message), "PUT", "/apis/x", "the hub", "https://hub")
    assert error.public == f"the hub does not allow this worker to do that{told}"
    assert str(error) == f"the hub refuses (403): {message}"
