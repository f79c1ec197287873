"""What can go wrong between here and the hub, told so that a person knows what to do about it."""

from __future__ import annotations


class HubError(Exception):
    """A request to the hub did not succeed.

    Attributes:
        reason: CamelCase, for programs (`X-TCF-Reason`).
        ambiguous: the request was sent and may have been carried out, or may yet be.
    """

    reason = "HubError"

    def __init__(self, message: str, *, ambiguous: bool = False) -> None:
        super().__init__(message)
        self.ambiguous = ambiguous


class NotConfiguredError(HubError):
    """There are no usable credentials yet."""

    reason = "HubNotConfigured"


class UnreachableError(HubError):
    """No answer, or none that says anything: connection refused, timeout, 5xx, 429."""

    reason = "HubUnreachable"


class UnauthorizedError(HubError):
    reason = "HubUnauthorized"


class ForbiddenError(HubError):
    reason = "HubForbidden"


class NotFoundError(HubError):
    """The object does not exist."""

    reason = "NotFound"


class OutdatedKindError(HubError):
    """The CRD on the hub is older than this program, and drops what it does not know."""

    reason = "CRDOutdated"


class NamespaceUnusableError(HubError):
    """The namespace does not exist, or is being deleted."""

    reason = "NamespaceUnusable"


class KindNotFoundError(HubError):
    """The hub does not know the kind at all: its CRD is not installed."""

    reason = "CRDNotInstalled"


class ConflictError(HubError):
    """The object has changed since it was read, exists already, or is another one by now."""

    reason = "Conflict"


class InvalidError(HubError):
    """The hub refuses the content."""

    reason = "HubRefused"


class MalformedError(HubError):
    """The hub's answer is not what the resource's schema promises."""

    reason = "MalformedObject"
