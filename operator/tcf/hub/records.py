"""Converts the JSON of the API to the records of `core.model`, and back."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, TypeVar

import cattrs
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override

from tcf.core import model
from tcf.core.annotations import (
    ANNOTATION_ACKNOWLEDGED,
    ANNOTATION_APPLICATION,
    ANNOTATION_HELD_BY,
    ANNOTATION_ISOLATION,
    ANNOTATION_LAST_ACTIVE,
    LABEL_CLUSTER,
    LABEL_FEDERATION,
    Acknowledgement,
    LastActive,
)
from tcf.core.holds import LONGEST_NAMES
from tcf.hub import errors
from tcf.hub.answers import Json
from tcf.runtime.text import printable

T = TypeVar("T")

_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?", re.ASCII)
_IDENTITY = ("namespace", "name", "uid", "resourceVersion")
_LONGEST_VERSION = 20
"""The most digits of a resourceVersion, which is an etcd revision of 64 bits."""
_SECONDS_FIELDS = {"lease_duration", "switchover_timeout", "timeout", "cooldown"}


def seconds(text: str) -> int:
    """A duration such as `15s` or `1h30m`, in seconds.

    Raises:
        ValueError: it is not a duration in whole seconds.
    """
    found = _DURATION.fullmatch(text)
    if not text or found is None:
        raise ValueError(f"{text!r} is not a duration such as 15s, 5m or 1h30m")
    hours, minutes, rest = (int(part or 0) for part in found.groups())
    return hours * 3600 + minutes * 60 + rest


_JUNK = (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError, RecursionError)
"""The errors that may come from reading JSON whose types or values are not as they should be."""


@contextmanager
def reading(what: str) -> Iterator[None]:
    """Within this block, everything that goes wrong becomes a MalformedError.

    All JSON from an API server becomes records within such blocks. So every field of a record has the right
    type.
    """
    try:
        yield
    except errors.MalformedError:
        raise
    except cattrs.BaseValidationError as error:
        causes = printable("; ".join(cattrs.transform_error(error)))
        raise errors.MalformedError(f"{what} does not fit the schema: {causes}") from error
    except _JUNK as error:
        raise errors.MalformedError(f"{what} is malformed: {printable(repr(error))}") from error


def federation(value: Json) -> model.Federation:
    """The federation in an answer of the API.

    Raises:
        MalformedError: it does not fit the schema (it was written under another CRD).
    """
    which = identity(value)
    with reading(f"ClusterFederation {which.namespace}/{which.name}"):
        metadata = value["metadata"]
        annotations = metadata.get("annotations") or {}
        return model.Federation(
            namespace=which.namespace,
            name=which.name,
            uid=which.uid,
            resource_version=which.resource_version,
            generation=exactly(metadata.get("generation", 0), int),
            spec=_converter.structure(value["spec"], model.Spec),
            status=_converter.structure(value["status"], model.Status) if value.get("status") else None,
            annotations={exactly(name, str): exactly(word, str) for name, word in annotations.items()},
        )


@dataclasses.dataclass(frozen=True, slots=True)
class Identity:
    """Which object this is, and in which version."""

    namespace: str
    name: str
    uid: str
    resource_version: str


def identity(value: Json) -> Identity:
    """The identity of an object. Raises MalformedError if it is not an object in a namespace."""
    with reading("an object"):
        metadata = value["metadata"]
        found = Identity(*(exactly(metadata[key], str) for key in _IDENTITY))
        version(found.resource_version)
        return found


def version(text: object) -> int:
    """A resourceVersion as a number. Raises MalformedError if it is not a resourceVersion."""
    if isinstance(text, str) and text.isascii() and text.isdigit() and len(text) <= _LONGEST_VERSION:
        return int(text)
    raise errors.MalformedError(f"{printable(repr(text), 64)} is not a resourceVersion")


def items(value: Json, kind: str) -> list[Json]:
    """The objects in a list of this kind. Raises MalformedError if it is not such a list.

    A decision may depend on an object not being in the list. So anything else must not count as an empty
    list.
    """
    with reading(f"the {kind}"):
        found = value["items"]
        if value["kind"] != kind or not isinstance(found, list):
            raise TypeError(f"it is not a {kind}")
        return found


def list_version(value: Json) -> int:
    """The version of the hub that a list shows. Raises MalformedError if it does not say so."""
    with reading("a list"):
        return version(value["metadata"]["resourceVersion"])


def first(value: Json, kind: str) -> Identity | None:
    """The first object of a list; None if the list is empty. Raises MalformedError if it is no such list."""
    found = items(value, kind)
    return identity(found[0]) if found else None


def text(value: object) -> str | None:
    """A text that may be missing; for use within `reading`."""
    return None if value is None else exactly(value, str)


def exactly(value: object, kind: type[T]) -> T:
    """The value, if it is exactly of this type: null is not the text "None", and true is not 1."""
    if type(value) is kind:
        return value
    raise TypeError(f"{printable(repr(value), 64)} is not of type {kind.__name__}")


def status_json(status: model.Status) -> Json:
    """The status as JSON for the API."""
    result: Json = _converter.unstructure(status)
    return result


def history_json(status: model.Status) -> list[Json]:
    """The history of a status as the API has it, the newest entry first."""
    return [_converter.unstructure(entry) for entry in status.history]


def lease(value: Json) -> model.WorkerLease:
    """A worker's Lease.

    If a part is missing or wrong, this assumes the worst, so that a fence never closes too early.
    A duration that no worker can have written counts as the longest that a worker may write.

    Raises:
        MalformedError: it is not a Lease.
    """
    which = identity(value)
    with reading(f"the Lease {which.namespace}/{which.name}"):
        metadata, spec = value["metadata"], value.get("spec") or {}
        annotations, labels = metadata.get("annotations") or {}, metadata.get("labels") or {}
        isolation, duration = (
            annotations.get(ANNOTATION_ISOLATION),
            spec.get("leaseDurationSeconds"),
        )
        believed = _believed(duration)
        return model.WorkerLease(
            name=which.name,
            uid=which.uid,
            resource_version=which.resource_version,
            federation=exactly(labels.get(LABEL_FEDERATION, ""), str),
            cluster=exactly(labels.get(LABEL_CLUSTER, ""), str),
            holder=exactly(spec.get("holderIdentity") or which.name, str),
            acknowledged=Acknowledgement.parse(annotations.get(ANNOTATION_ACKNOWLEDGED)),
            isolation=(
                model.Isolation.FENCE if isolation == model.Isolation.FENCE else model.Isolation.KEEP_ROLE
            ),
            duration=believed or model.LONGEST_LEASE,
            renewed_at=_moment(spec.get("renewTime")),
            problem=_problem(isolation, duration, believed=believed is not None),
            last_active=LastActive.parse(annotations.get(ANNOTATION_LAST_ACTIVE)),
            application=_application(annotations.get(ANNOTATION_APPLICATION)),
            held_by=printable(str(annotations.get(ANNOTATION_HELD_BY, "")), LONGEST_NAMES),
        )


def leases(value: Json) -> tuple[model.WorkerLease, ...]:
    """A list of Leases. Raises MalformedError for anything else: an empty list would close a fence."""
    return tuple(lease(each) for each in items(value, "LeaseList"))


def _believed(duration: object) -> int | None:
    """The duration, if a worker may write it; otherwise None."""
    return duration if type(duration) is int and 0 < duration <= model.LONGEST_LEASE else None


def _application(report: object) -> model.Application | None:
    """What the holders report. Any other word counts as no report."""
    return next((word for word in model.Application if word == report), None)


def check_deleted(value: Json, name: str) -> None:
    """Raises MalformedError unless the answer to a DELETE says that this version of the object is gone.

    If the object has a finalizer, it is only marked as deleted. That gives it another version, which is
    enough for a fence.
    """
    metadata = value.get("metadata")
    marked = isinstance(metadata, dict) and bool(metadata.get("deletionTimestamp"))
    if not marked and (value.get("kind"), value.get("status")) != ("Status", "Success"):
        raise errors.MalformedError(f"the hub's answer does not say that the Lease {name} was deleted")


def _problem(isolation: object, duration: object, *, believed: bool) -> str:
    """Why no worker can have written a Lease with this content; "" if one can."""
    if not believed:
        return f"leaseDurationSeconds is {_shown(duration)}, not 1 to {model.LONGEST_LEASE}"
    if isolation not in set(model.Isolation):
        return f"the annotation {ANNOTATION_ISOLATION} is {_shown(isolation)}"
    return ""


def _shown(value: object) -> str:
    return "missing" if value is None else printable(str(value), 64)


def _moment(text: object) -> str:
    """A time from the API in whole seconds, so that times can be compared; "" for anything else."""
    try:
        return model.stamp(datetime.fromisoformat(str(text)))
    except ValueError:
        return ""


def newer(version: str, than: str) -> bool:
    """Is one resourceVersion newer than another of the same kind of object?

    Since 1.35, Kubernetes defines them as decimal numbers that can be compared. (With etcd they always were.)
    """
    return int(version) > int(than)


def supersedes(federation: model.Federation, known: model.Federation | None) -> bool:
    """Is it another object than the known one, or a newer version of it?"""
    return (
        known is None
        or known.uid != federation.uid
        or newer(federation.resource_version, known.resource_version)
    )


def wire_names(owner: type) -> frozenset[str]:
    """The fields of a record, as the API names them."""
    return frozenset(_wire_name(owner, field.name) for field in dataclasses.fields(owner))


def _wire_name(owner: type, field: str) -> str:
    if owner is model.MemberStatus and field == "role":
        return "status"  # in the API, the role of a member is called status
    first, *rest = field.rstrip("_").split("_")
    return first + "".join(word.capitalize() for word in rest)


def _overrides(owner: type) -> dict[str, Any]:
    return {
        field.name: override(
            rename=_wire_name(owner, field.name),
            omit_if_default=True if field.default in {None, ()} else None,
            struct_hook=(lambda value, _: seconds(value)) if field.name in _SECONDS_FIELDS else None,
        )
        for field in dataclasses.fields(owner)
    }


def _new_converter() -> cattrs.Converter:
    converter = cattrs.Converter()

    def reader(owner: type) -> Any:
        return make_dict_structure_fn(owner, converter, **_overrides(owner))

    def writer(owner: type) -> Any:
        return make_dict_unstructure_fn(owner, converter, **_overrides(owner))

    converter.register_structure_hook_func(lambda kind: kind in {str, int, bool}, exactly)
    converter.register_structure_hook_factory(dataclasses.is_dataclass, reader)
    converter.register_unstructure_hook_factory(dataclasses.is_dataclass, writer)
    return converter


_converter = _new_converter()
