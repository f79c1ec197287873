"""What the audit log says of a request: an event of `audit.k8s.io/v1`, so that other tools can read it."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from tcf.core.authorization import GROUP, HOLD, RESOURCE, SWITCH, User
from tcf.core.model import MemberRef
from tcf.runtime.audit_log import AuditLog

REQUEST = "X-TCF-Request"
_LONGEST = 512
"""How many characters of a field that the client chooses are recorded."""
_VERBS = {"HEAD": "get", "OPTIONS": "get", "POST": "create", "PUT": "update"}
"""The verbs of Kubernetes for methods with other names."""
_SUBRESOURCES = {"create": SWITCH.subresource, "update": HOLD.subresource, "delete": HOLD.subresource}
"""What requests with these verbs are about."""


@dataclass(slots=True)
class Asked:
    """One request that may change something, as it is found out about step by step.

    Attributes:
        id: of this HTTP request. A request to move a role has the same id in status and history.
        request: the id of the request in history that the answer is about, if this one has joined it.
        address: of the client.
        user: who has authenticated; None if nobody has.
        about: the federation, if that is not the one of the listener.
        routine: nothing has changed that the audit log should have: a holder goes on.
        annotations: more for the audit log, by names of our own.
    """

    id: str
    request: str
    address: str
    received: datetime
    user: User | None = None
    about: MemberRef | None = None
    routine: bool = False
    annotations: dict[str, str] = field(default_factory=dict)

    @classmethod
    def new(cls, request: web.BaseRequest) -> Asked:
        new = uuid.uuid4().hex
        return cls(new, new, request.remote or "a local client", datetime.now(UTC))


ASKED = web.RequestKey("asked", Asked)


class AuditTrail:
    """Records the requests to one listener. `member`: for whom it answers."""

    def __init__(self, log: AuditLog, member: MemberRef | None) -> None:
        self._log = log
        self._member = member

    def record(self, request: web.BaseRequest, asked: Asked, answer: web.StreamResponse | None) -> None:
        """`answer`: None if an error has kept the worker from answering."""
        status, headers = (answer.status, answer.headers) if answer else (500, {})
        reason = headers.get("X-TCF-Reason", "")
        annotations = {
            "request": headers.get(REQUEST, asked.request),
            "term": headers.get("X-TCF-Term", ""),
            "outcome": reason,
            **asked.annotations,
        }
        entry: dict[str, Any] = {
            "kind": "Event",
            "apiVersion": "audit.k8s.io/v1",
            "level": "Metadata",
            "auditID": asked.id,
            "stage": "ResponseComplete",
            # Without the query: a client may have put a token there by mistake.
            "requestURI": request.rel_url.raw_path[:_LONGEST],
            "verb": _VERBS.get(request.method, request.method.lower()[:_LONGEST]),
            "user": _user(asked),
            "sourceIPs": [*_forwarded(request), asked.address],
            "userAgent": request.headers.get("User-Agent", "")[:_LONGEST],
            "responseStatus": {"code": status, "reason": reason} if reason else {"code": status},
            "requestReceivedTimestamp": _stamp(asked.received),
            "stageTimestamp": _stamp(datetime.now(UTC)),
            "annotations": {f"{GROUP}/{name}": value for name, value in annotations.items() if value},
        }
        if about := asked.about or self._member:
            entry["objectRef"] = {
                "apiGroup": GROUP,
                "apiVersion": "v1alpha1",
                "resource": RESOURCE,
                "namespace": about.namespace,
                "name": about.federation,
                "cluster": about.cluster,
            }
            if subresource := _SUBRESOURCES.get(entry["verb"]):
                entry["objectRef"]["subresource"] = subresource
        self._log.write(entry)


def _user(asked: Asked) -> dict[str, Any]:
    user = asked.user
    if user is None:
        return {"username": "system:anonymous"}
    extra = {name: list(values) for name, values in user.extra}
    if user.roles:
        extra["roles"] = sorted(user.roles)
    more = {"uid": user.uid, "groups": list(user.groups), "extra": extra}
    return {"username": user.name, **{name: value for name, value in more.items() if value}}


def _forwarded(request: web.BaseRequest) -> list[str]:
    """The addresses that proxies name. Anybody may send this header, so they are no proof."""
    parts = request.headers.get("X-Forwarded-For", "")[:_LONGEST].split(",")
    return [part.strip() for part in parts if part.strip()]


def _stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
