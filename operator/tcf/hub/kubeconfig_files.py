"""Reads kubeconfigs: one file, or several that are merged as kubectl merges them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tcf.runtime.file_versions import Versions, versions

_REFERENCES = ("certificate-authority", "client-certificate", "client-key", "tokenFile")
_KINDS = ("context", "cluster", "user")


class UnusableError(Exception):
    """The kubeconfig cannot be used; the message says why."""


@dataclass(frozen=True, slots=True)
class Kubeconfig:
    """One context of a kubeconfig: its sections, with absolute paths, and the files that belong to it.

    `namespace`: that of the context; "" if it names none. `folder`: where the file with the user is. The
    paths of exec plugins are relative to it.
    """

    cluster: Mapping[str, Any]
    user: Mapping[str, Any]
    namespace: str
    folder: Path
    files: Versions


@dataclass(frozen=True, slots=True)
class _Section:
    name: object
    value: Any
    folder: Path


def read_kubeconfig(paths: Sequence[Path], context: str | None) -> Kubeconfig:
    """Read one context (None: the current one). Raises UnusableError.

    Of several files, those that do not exist are left out. What two files have under the same name counts as
    the first one has it. (https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig)
    """
    found = [path for path in paths if path.exists()] if len(paths) > 1 else paths
    if not found:
        raise UnusableError("none of these files exists")
    documents = [(path, _document(path)) for path in found]
    name = context or next((value["current-context"] for _, value in documents if _current(value)), None)
    if not name:
        raise UnusableError("it has no current-context: use --context")
    sections = {
        kind: [each for path, value in documents for each in _sections(value, kind, path)] for kind in _KINDS
    }
    chosen = _named(sections, "context", name).value
    cluster = _named(sections, "cluster", chosen.get("cluster"))
    user = (
        _named(sections, "user", chosen["user"]) if chosen.get("user") else _Section("", {}, found[0].parent)
    )
    files = [*versions(*paths), *_references(cluster), *_references(user)]
    namespace = chosen.get("namespace") or ""
    return Kubeconfig(_absolute(cluster), _absolute(user), str(namespace), user.folder, tuple(files))


def _document(path: Path) -> dict[str, Any]:
    import yaml  # noqa: PLC0415 - only kubeconfigs need it

    try:
        # The loader in C is ten times as fast, but not everybody's PyYAML has it.
        value = yaml.load(path.read_text(encoding="utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - both are safe
    except FileNotFoundError as error:
        raise UnusableError("there is no such file") from error
    except OSError as error:
        raise UnusableError(f"it cannot be read: {error.strerror}") from error
    except (ValueError, yaml.YAMLError, RecursionError) as error:
        raise UnusableError("it is not YAML") from error
    if not isinstance(value, dict):
        raise UnusableError("it is empty, or not a kubeconfig")
    return value


def _current(value: Mapping[str, Any]) -> bool:
    return bool(value.get("current-context"))


def _sections(value: Mapping[str, Any], kind: str, path: Path) -> list[_Section]:
    entries = [each for each in value.get(f"{kind}s") or () if isinstance(each, dict)]
    return [_Section(each.get("name"), each.get(kind), path.parent) for each in entries]


def _named(sections: Mapping[str, list[_Section]], kind: str, name: object) -> _Section:
    for each in sections[kind]:
        if each.name == name and isinstance(each.value, dict):
            return each
    known = ", ".join(dict.fromkeys(str(each.name) for each in sections[kind])) or "none"
    raise UnusableError(f"it has no {kind} named {name} (it has: {known})")


def _references(section: _Section) -> Versions:
    absolute = _absolute(section)
    return versions(*(Path(absolute[key]) for key in _REFERENCES if _refers(section.value, key)))


def _absolute(section: _Section) -> dict[str, Any]:
    paths = {k: str(section.folder / section.value[k]) for k in _REFERENCES if _refers(section.value, k)}
    return {**section.value, **paths}


def _refers(value: Mapping[str, Any], key: str) -> bool:
    """Does this key name a file that counts? (Data in the kubeconfig itself comes before a file.)"""
    return isinstance(value.get(key), str) and bool(value[key]) and not value.get(f"{key}-data")
