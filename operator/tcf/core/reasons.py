"""Every reason that a program may read. They are part of the API: you may add one, but never rename one.

A reason is one CamelCase word for programs. The message beside it is for people, and may change.
`docs/http-api.md` and `docs/operations.md` have tables of the reasons; a test compares them with this module.
"""

from __future__ import annotations

from enum import StrEnum


class Outcome(StrEnum):
    """How a request has ended, in the history. (If a refusal ended it, that has the refusal's `Reason`.)"""

    SUCCEEDED = "Succeeded"
    ROLLED_BACK = "RolledBack"
    TIMED_OUT = "TimedOut"
    EXPIRED = "Expired"
    SUPERSEDED = "Superseded"
    NO_COORDINATOR = "NoCoordinator"
    HUB_RESTORED = "HubRestored"


class Reason(StrEnum):
    """Why a worker refuses or cannot answer: `X-TCF-Reason`. (That may also be an unsuccessful `Outcome`.)"""

    # The worker itself.
    STARTING = "Starting"
    STOPPING = "Stopping"
    READING_EXPIRED = "ReadingExpired"
    LEASE_LOST = "LeaseLost"
    # The hub.
    HUB_ERROR = "HubError"
    HUB_UNREACHABLE = "HubUnreachable"
    HUB_UNAUTHORIZED = "HubUnauthorized"
    HUB_FORBIDDEN = "HubForbidden"
    HUB_NOT_CONFIGURED = "HubNotConfigured"
    HUB_REFUSED = "HubRefused"
    HUB_RESTORED = "HubRestored"
    CONFLICT = "Conflict"
    MALFORMED_OBJECT = "MalformedObject"
    CRD_NOT_INSTALLED = "CRDNotInstalled"
    CRD_OUTDATED = "CRDOutdated"
    NAMESPACE_UNUSABLE = "NamespaceUnusable"
    NOT_WATCHING = "NotWatching"
    # The federation.
    FEDERATION_NOT_FOUND = "FederationNotFound"
    NOT_BOOTSTRAPPED = "NotBootstrapped"
    NO_ROLE_YET = "NoRoleYet"
    UNKNOWN_CLUSTER = "UnknownCluster"
    UNKNOWN_PROTOCOL = "UnknownProtocol"
    IMPLAUSIBLE_TERM = "ImplausibleTerm"
    # A request to move a role.
    TERM_MISMATCH = "TermMismatch"
    TERM_TOO_OLD = "TermTooOld"
    NOT_TWO_CLUSTERS = "NotTwoClusters"
    NO_ACTIVE_CLUSTER = "NoActiveCluster"
    NO_LIVE_WORKER = "NoLiveWorker"
    APPLICATION_UNHEALTHY = "ApplicationUnhealthy"
    CANNOT_FENCE = "CannotFence"
    SWITCHOVER_IN_PROGRESS = "SwitchoverInProgress"
    PAUSED = "Paused"
    READING_BEHIND = "ReadingBehind"
    OUTCOME_UNKNOWN = "OutcomeUnknown"
    # Who asks.
    UNAUTHENTICATED = "Unauthenticated"
    FORBIDDEN = "Forbidden"
    CROSS_SITE = "CrossSite"
    FOREIGN_HOST = "ForeignHost"
    IDENTITY_PROVIDER_ERROR = "IdentityProviderError"
    # HTTP.
    MALFORMED_REQUEST = "MalformedRequest"
    INVALID_PARAMETER = "InvalidParameter"
    UNKNOWN_PARAMETER = "UnknownParameter"
    NOT_FOUND = "NotFound"
    METHOD_NOT_ALLOWED = "MethodNotAllowed"
    BODY_TOO_LARGE = "BodyTooLarge"
    HEAD_TOO_LARGE = "HeadTooLarge"
    UNSUPPORTED_VERSION = "UnsupportedVersion"
    TOO_MANY_REQUESTS = "TooManyRequests"
    TOO_MANY_STREAMS = "TooManyStreams"
    TOO_MANY_HOLDERS = "TooManyHolders"
    NOT_READY = "NotReady"
    INTERNAL_ERROR = "InternalError"


class ConditionReason(StrEnum):
    """The reasons of the federation's conditions. (SpecAligned may also have the reason of a refusal.)"""

    # Ready
    ACTIVE = "Active"
    NO_ACTIVE_CLUSTER = "NoActiveCluster"
    NO_WORKERS = "NoWorkers"
    WAITING_FOR_FENCE = "WaitingForFence"
    BOOTSTRAPPING = "Bootstrapping"
    HUB_RESTORED = "HubRestored"
    # Ready and SpecAligned
    SWITCHING = "Switching"
    # Ready and Degraded
    NO_LIVE_WORKER = "NoLiveWorker"
    APPLICATION_UNHEALTHY = "ApplicationUnhealthy"
    CANNOT_FENCE = "CannotFence"
    # Switching
    IDLE = "Idle"
    REQUESTED_BY_API = "RequestedByApi"
    REQUESTED_BY_SPEC = "RequestedBySpec"
    FAILOVER = "Failover"
    BOOTSTRAP = "Bootstrap"
    # SpecAligned
    NOT_REQUESTED = "NotRequested"
    ALIGNED = "Aligned"
    WAITING = "Waiting"
    DIVERGED = "Diverged"
    # Degraded
    ALL_WORKERS_ALIVE = "AllWorkersAlive"
    SOME_WORKERS_SILENT = "SomeWorkersSilent"
    WORKERS_SILENT = "WorkersSilent"
    UNKNOWN_MEMBER = "UnknownMember"
    STRANGE_LEASE = "StrangeLease"
    IMPLAUSIBLE_TERM = "ImplausibleTerm"


class EventReason(StrEnum):
    """What a Kubernetes Event on the federation reports."""

    DEMOTING = "Demoting"
    DEMOTED = "Demoted"
    PROMOTING = "Promoting"
    ACTIVE = "Active"
    KEPT = "Kept"
    YIELDED = "Yielded"
    ROLLED_BACK = "RolledBack"
    FAILING_OVER = "FailingOver"
    CHOSEN_INSTEAD = "ChosenInstead"
    ROLE_KEPT = "RoleKept"
    HUB_RESTORED = "HubRestored"
