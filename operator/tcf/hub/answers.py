"""Answers of the hub: their JSON, and what an answer proves if it is not a success."""

from __future__ import annotations

import json
import re
from typing import Any, Final

import aiohttp

from tcf.hub import errors
from tcf.runtime.text import printable

Json = dict[str, Any]
_MOST_SHOWN: Final = 200
"""How many bytes of an answer a message quotes."""
_OWN_POLICY: Final = re.compile(r"ValidatingAdmissionPolicy '[a-z]+\.tcf\.dev' with .* denied request: (.*)")
"""Messages of other policies may name servers and users."""


class NotJsonError(ValueError):
    """An answer is not a JSON object. The message says what it is instead, to be used after the word "is"."""


UNREADABLE = (NotJsonError, aiohttp.http_exceptions.HttpProcessingError)


def decoded(data: bytes) -> Json:
    """Raises NotJsonError."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise NotJsonError(f"not JSON: {shown(data)}") from error
    if not isinstance(value, dict):
        raise NotJsonError(f"not a JSON object: {shown(data)}")
    return value


def shown(data: bytes) -> str:
    """The beginning of a text from an unknown source, made safe to print."""
    return printable(data[:_MOST_SHOWN].decode(errors="replace"))


def _dict(value: object) -> Json:
    """The value if it is a JSON object, otherwise an empty one."""
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def refusal(status: int, data: bytes, method: str, path: str, called: str, server: str) -> errors.HubError:
    """The error for an answer that is not a success.

    If the API server refuses a request, it says so in a `Status` object. Only that is a proof. Any other
    answer may come from a proxy, or from a server in trouble, and the write may have been carried out.
    """
    answer = _failure(data, status)
    if answer is None:
        return _unproven(status, data, f"{method} {path}", called, server)
    details, message = _dict(answer.get("details")), printable(str(answer.get("message")))
    text = f"{method} {path}: {message}"
    match status:
        case 401:
            return _unauthorized(called, server)
        case 403:
            return _forbidden(details, message, called)
        case 404:
            return _not_found(details, text, called)
        case 409 | 410:
            return errors.ConflictError(text) if status == 409 else errors.VersionGoneError(text)  # noqa: PLR2004
        case 429:
            return errors.UnreachableError(f"{called} is overloaded (429): {text}")
        case _ if status >= 500:  # noqa: PLR2004
            return errors.UnreachableError(f"{called} failed ({status}): {text}", ambiguous=True)
        case _:
            return errors.InvalidError(f"{called} refused ({status}): {text}")


def _failure(data: bytes, status: int) -> Json | None:
    """The `Status` object by which the API server refuses a request; None for anything else."""
    try:
        answer = decoded(data)
    except NotJsonError:
        return None
    expected = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": status}
    return answer if expected.items() <= answer.items() else None


def _unproven(status: int, data: bytes, request: str, called: str, server: str) -> errors.HubError:
    text = f"{request}: {shown(data)}"
    match status:
        case 401:
            return _unauthorized(called, server, ambiguous=True)
        case 404:  # for a path that it does not know, the API server itself does not send a Status either
            return errors.KindNotFoundError(
                f"{text}; is the CRD of this project installed on {called}?", ambiguous=True
            )
        case _:
            return errors.UnreachableError(
                f"{called}, or a proxy in between, answered {status} without saying why: {text}",
                ambiguous=True,
            )


def _unauthorized(called: str, server: str, *, ambiguous: bool = False) -> errors.HubError:
    return errors.UnauthorizedError(
        f"{called} ({server}) does not accept the credentials (401): renew the token or kubeconfig",
        ambiguous=ambiguous,
    )


def _forbidden(details: Json, message: str, called: str) -> errors.HubError:
    causes = details.get("causes")
    if any(_dict(cause).get("reason") == "NamespaceTerminating" for cause in _list(causes)):
        return errors.NamespaceUnusableError(f"the namespace on {called} is being deleted: {message}")
    hint = ""
    if "system:anonymous" in message:
        # Rights that are granted to this user are granted to everybody.
        hint = "; this program sends no credentials: check that the kubeconfig has some for this server"
    elif re.search(r"\bcannot \S+ resource\b", message):
        hint = "; grant that right by RBAC"
    policy = _OWN_POLICY.search(message)
    return errors.ForbiddenError(
        f"{called} refuses (403): {message}{hint}", policy=policy[1] if policy else ""
    )


def _not_found(details: Json, text: str, called: str) -> errors.HubError:
    name = details.get("name")
    if name and details.get("kind") == "namespaces":
        return errors.NamespaceUnusableError(
            f"there is no namespace {name} on {called}; create it, or correct --namespace"
        )
    if name:
        return errors.NotFoundError(text)
    return errors.KindNotFoundError(f"{text}; is the CRD of this project installed on {called}?")
