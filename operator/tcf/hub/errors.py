"""Everything that can go wrong with a request to the hub.

The message of an error says what to do about it. It is for the log, and may name servers, files and users.
The text `public` has none of that; it is for clients.
"""

from __future__ import annotations

from tcf.core.reasons import Reason


class HubError(Exception):
    """A request to the hub did not succeed.

    Attributes:
        reason: CamelCase, for programs (`X-TCF-Reason`).
        public: the text that any client may read.
        ambiguous: the request was sent, and may have been carried out or may be carried out later.
        retry_after: seconds for which an overloaded hub asks to be left alone; 0 if it does not.
    """

    reason = Reason.HUB_ERROR
    public = "a request to the hub has failed"
    retry_after = 0.0

    def __init__(self, message: str, *, ambiguous: bool = False) -> None:
        super().__init__(message)
        self.ambiguous = ambiguous


class NotConfiguredError(HubError):
    """There are no usable credentials yet."""

    reason = Reason.HUB_NOT_CONFIGURED
    public = "this worker has no usable configuration or credentials for the hub"


class UnreachableError(HubError):
    """There is no answer, or none that proves anything: connection refused, timeout, 5xx, 429."""

    reason = Reason.HUB_UNREACHABLE
    public = "the hub cannot be reached, or does not answer in time"


class UnauthorizedError(HubError):
    reason = Reason.HUB_UNAUTHORIZED
    public = "the hub does not accept the credentials of this worker"


class ForbiddenError(HubError):
    """A right is missing, or an admission policy refuses what RBAC allows."""

    reason = Reason.HUB_FORBIDDEN
    public = "the hub does not allow this worker to do that"

    def __init__(self, message: str, *, policy: str = "") -> None:
        """`policy`: what an admission policy of this project says, which is meant for clients as well."""
        super().__init__(message)
        self.policy = policy
        if policy:
            self.public = f"the hub does not allow this worker to do that: {policy}"


class NotFoundError(HubError):
    """The object does not exist."""

    reason = Reason.NOT_FOUND
    public = "there is no such object on the hub"


class OutdatedKindError(HubError):
    """The CRD on the hub is older than this program, so the hub drops fields that it does not know."""

    reason = Reason.CRD_OUTDATED
    public = "the CRD on the hub is older than this program"


class NamespaceUnusableError(HubError):
    """The namespace does not exist, or is being deleted."""

    reason = Reason.NAMESPACE_UNUSABLE
    public = "the namespace does not exist on the hub, or is being deleted"


class KindNotFoundError(HubError):
    """The hub does not know the kind: its CRD is not installed."""

    reason = Reason.CRD_NOT_INSTALLED
    public = "the CRD of this project is not installed on the hub"


class ConflictError(HubError):
    """The object has changed since it was read, exists already, or was replaced by another."""

    reason = Reason.CONFLICT
    public = "the object has changed meanwhile"


class VersionGoneError(HubError):
    """The hub no longer has the version from which a watch was to go on."""


class InvalidError(HubError):
    """The hub refuses the content of a write."""

    reason = Reason.HUB_REFUSED
    public = "the hub refuses the content of a write"


class MalformedError(HubError):
    """The hub's answer does not fit the schema."""

    reason = Reason.MALFORMED_OBJECT
    public = "the hub's answer cannot be understood"


class ImplausibleTermError(HubError):
    """The status has a term that no operator can have written."""

    reason = Reason.IMPLAUSIBLE_TERM
    public = "the status of the federation has a term that no operator can have written"
