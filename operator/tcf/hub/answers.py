"""Answers of the hub: their JSON, and what an answer proves that is no success."""

from __future__ import annotations

import json
import re
from typing import Any, Final

import aiohttp

from tcf.hub import errors
from tcf.runtime.text import printable

Json = dict[str, Any]
_MOST_SHOWN: Final = 200
"""Bytes of an answer that a message quotes."""


class NotJsonError(ValueError):
    """What an answer is instead of a JSON object; the message is read after "is"."""


UNREADABLE = (NotJsonError, aiohttp.http_exceptions.HttpProcessingError)


def decoded(data: bytes) -> Json:
    """Raises NotJsonError."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise NotJsonError(f"no JSON: {shown(data)}") from error
    if not isinstance(value, dict):
        raise NotJsonError(f"no JSON object: {shown(data)}")
    return value


def shown(data: bytes) -> str:
    """The beginning of a text that anybody may have written."""
    return printable(data[:_MOST_SHOWN].decode(errors="replace"))


def _dict(value: object) -> Json:
    """An object of JSON, which is empty if there is something else."""
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def refusal(status: int, data: bytes, method: str, path: str, called: str, server: str) -> errors.HubError:
    """The error for an answer that is no success.

    The API server explains its refusals in a `Status` object, and those are certain. Anything else comes from
    a proxy, or from the server when it is not itself: a write that was answered so may have been carried out.
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
        case 409:
            return errors.ConflictError(text)
        case 429:
            return errors.UnreachableError(f"{called} is overloaded (429): {text}")
        case _ if status >= 500:  # noqa: PLR2004
            return errors.UnreachableError(f"{called} failed ({status}): {text}", ambiguous=True)
        case _:
            return errors.InvalidError(f"{called} refused ({status}): {text}")


def _failure(data: bytes, status: int) -> Json | None:
    """The `Status` object with which the API server refuses a request; None for anything else."""
    try:
        answer = decoded(data)
    except NotJsonError:
        return None
    said = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": status}
    return answer if said.items() <= answer.items() else None


def _unproven(status: int, data: bytes, request: str, called: str, server: str) -> errors.HubError:
    text = f"{request}: {shown(data)}"
    match status:
        case 401:
            return _unauthorized(called, server, ambiguous=True)
        case 404:  # the API server's own words for a path that it does not know are no Status either
            return errors.KindNotFoundError(
                f"{text}; is the CRD of this project installed on {called}?", ambiguous=True
            )
        case _:
            return errors.UnreachableError(
                f"{called}, or something on the way to it, answered {status} and does not say why: {text}",
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
        # To grant anything to that user would be to grant it to everybody.
        hint = "; it takes this program for a stranger: see that the kubeconfig has credentials for it"
    elif re.search(r"\bcannot \S+ resource\b", message):
        hint = "; grant it by RBAC"
    return errors.ForbiddenError(f"{called} refuses (403): {message}{hint}")


def _not_found(details: Json, text: str, called: str) -> errors.HubError:
    name = details.get("name")
    if name and details.get("kind") == "namespaces":
        return errors.NamespaceUnusableError(
            f"there is no namespace {name} on {called}; create it, or correct --namespace"
        )
    if name:
        return errors.NotFoundError(text)
    return errors.KindNotFoundError(f"{text}; is the CRD of this project installed on {called}?")
