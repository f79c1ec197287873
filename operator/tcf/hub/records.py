"""JSON of the API to the records of `core.model`, and back."""

from __future__ import annotations

import dataclasses
import re
from datetime import datetime
from typing import Any

import cattrs
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override

from tcf.core import model
from tcf.hub.client import Json
from tcf.hub.errors import MalformedError

_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")
_SECONDS_FIELDS = {"lease_duration", "switchover_timeout", "timeout", "cooldown"}


def seconds(text: str) -> int:
    """A duration such as `15s` or `1h30m`, in seconds.

    Raises:
        ValueError: it is none, or not in whole seconds.
    """
    found = _DURATION.fullmatch(text)
    if not text or found is None:
        raise ValueError(f"{text!r} is not a duration such as 15s, 5m or 1h30m")
    hours, minutes, rest = (int(part or 0) for part in found.groups())
    return hours * 3600 + minutes * 60 + rest


def federation(value: Json) -> model.Federation:
    """A ClusterFederation as the API delivers it.

    Raises:
        MalformedError: it does not fit the schema (it got in under another CRD).
    """
    metadata = value.get("metadata", {})
    try:
        return model.Federation(
            namespace=metadata["namespace"],
            name=metadata["name"],
            uid=metadata["uid"],
            resource_version=metadata["resourceVersion"],
            generation=metadata.get("generation", 0),
            spec=_converter.structure(value["spec"], model.Spec),
            status=_converter.structure(value["status"], model.Status) if value.get("status") else None,
            annotations=metadata.get("annotations") or {},
        )
    except (cattrs.BaseValidationError, KeyError, ValueError, TypeError) as error:
        causes = "; ".join(cattrs.transform_error(error))
        name = f"{metadata.get('namespace')}/{metadata.get('name')}"
        raise MalformedError(f"ClusterFederation {name} does not fit the schema: {causes}") from error


@dataclasses.dataclass(frozen=True, slots=True)
class Identity:
    """Which object it is, in which version, whatever else it says."""

    namespace: str
    name: str
    uid: str
    resource_version: str


def identity(value: Json) -> Identity:
    """Raises MalformedError if it is no object of the API."""
    try:
        metadata = value["metadata"]
        found = Identity(
            metadata["namespace"], metadata["name"], metadata["uid"], metadata["resourceVersion"]
        )
    except (KeyError, TypeError) as error:
        raise MalformedError(f"this is not an object of the Kubernetes API: {error!r}") from error
    version(found.resource_version)
    return found


def version(text: object) -> int:
    """A resourceVersion as a number. Raises MalformedError if it is none."""
    if isinstance(text, str) and text.isascii() and text.isdigit():
        return int(text)
    raise MalformedError(f"{text!r} is not a resourceVersion")


def list_version(value: Json) -> int:
    """As of which version of the hub a list is. Raises MalformedError if it does not say."""
    metadata = value.get("metadata")
    return version(metadata.get("resourceVersion") if isinstance(metadata, dict) else None)


def first(value: Json) -> Identity | None:
    """The first object of a list, None if it is empty. Raises MalformedError if it is no list."""
    items = value.get("items")
    if not isinstance(items, list):
        raise MalformedError("the answer is no list")
    return identity(items[0]) if items else None


def status_json(status: model.Status) -> Json:
    """The status as the API takes it."""
    result: Json = _converter.unstructure(status)
    return result


def lease(value: Json) -> model.WorkerLease:
    """A worker's Lease. What it does not say, or says badly, is taken at its worst: it fences late.

    A duration that no worker writes is read as the longest that one may write.

    Raises:
        MalformedError: it is no Lease at all.
    """
    try:
        metadata, spec = value["metadata"], value.get("spec") or {}
        annotations, labels = metadata.get("annotations") or {}, metadata.get("labels") or {}
        isolation, duration = annotations.get(model.ANNOTATION_ISOLATION), spec.get("leaseDurationSeconds")
        believed = duration if isinstance(duration, int) and 0 < duration <= model.LONGEST_LEASE else None
        return model.WorkerLease(
            name=metadata["name"],
            uid=metadata["uid"],
            resource_version=metadata["resourceVersion"],
            federation=labels.get(model.LABEL_FEDERATION, ""),
            cluster=labels.get(model.LABEL_CLUSTER, ""),
            holder=spec.get("holderIdentity") or metadata["name"],
            acknowledged=model.Acknowledgement.parse(annotations.get(model.ANNOTATION_ACKNOWLEDGED)),
            isolation=(
                model.Isolation.FENCE if isolation == model.Isolation.FENCE else model.Isolation.KEEP_ROLE
            ),
            duration=believed or model.LONGEST_LEASE,
            renewed_at=_moment(spec.get("renewTime")),
            problem=_problem(isolation, duration, believed=believed is not None),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise MalformedError(f"this is not a Lease: {error!r}") from error


def leases(value: Json) -> tuple[model.WorkerLease, ...]:
    """A list of Leases.

    Raises:
        MalformedError: it is none. (That there is no Lease is what a fence closes on, so it has to be said.)
    """
    items = value.get("items")
    if value.get("kind") != "LeaseList" or not isinstance(items, list):
        raise MalformedError("the answer is no list of Leases")
    return tuple(lease(item) for item in items)


def check_deleted(value: Json, name: str) -> None:
    """Raises MalformedError unless the answer to a DELETE says that this version of the object is gone.

    One with a finalizer is only marked. That gives it another version, which is what a fence needs.
    """
    metadata = value.get("metadata")
    marked = isinstance(metadata, dict) and bool(metadata.get("deletionTimestamp"))
    if not marked and (value.get("kind"), value.get("status")) != ("Status", "Success"):
        raise MalformedError(f"the answer does not say that the Lease {name} is deleted")


def _problem(isolation: object, duration: object, *, believed: bool) -> str:
    """Why no worker can have written a Lease that says this; "" if one can."""
    if not believed:
        return f"leaseDurationSeconds is {_shown(duration)}, not 1 to {model.LONGEST_LEASE}"
    if isolation not in set(model.Isolation):
        return f"the annotation {model.ANNOTATION_ISOLATION} is {_shown(isolation)}"
    return ""


def _shown(value: object) -> str:
    return "missing" if value is None else str(value)[:64]


def _moment(text: object) -> str:
    """A time of the API in whole seconds, so that it compares with others; "" for anything else."""
    try:
        return model.stamp(datetime.fromisoformat(str(text)))
    except ValueError:
        return ""


def newer(version: str, than: str) -> bool:
    """Is one resourceVersion later than another of the same kind of object?

    Kubernetes defines them as comparable decimal numbers since 1.35 (and etcd has always made them so).
    """
    return int(version) > int(than)


def _wire_name(owner: type, field: str) -> str:
    if owner is model.MemberStatus and field == "role":
        return "status"  # the API's word for a role
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

    converter.register_structure_hook_factory(dataclasses.is_dataclass, reader)
    converter.register_unstructure_hook_factory(dataclasses.is_dataclass, writer)
    return converter


_converter = _new_converter()
