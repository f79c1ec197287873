"""kubeconfigs of one file and of several, and the credentials in them."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from tcf.hub.credentials import kubeconfig
from tcf.hub.errors import NotConfiguredError
from tcf.hub.kubeconfig_files import UnusableError, read_kubeconfig

Json = dict[str, Any]


def put(
    path: Path, *, current: str = "", user: Json | None = None, server: str = "http://one", **context: str
) -> Path:
    """A kubeconfig whose context, cluster and user are named as its file."""
    name = path.name
    path.parent.mkdir(exist_ok=True)
    document = {
        "current-context": current,
        "contexts": [{"name": name, "context": {"cluster": name, "user": name, **context}}],
        "clusters": [{"name": name, "cluster": {"server": server}}],
        "users": [{"name": name, "user": user or {}}],
    }
    path.write_text(json.dumps(document))
    return path


def test_the_first_file_decides_which_context_is_the_current_one(tmp_path: Path) -> None:
    files = [
        put(tmp_path / "a"),
        put(tmp_path / "b", current="b", namespace="shops"),
        put(tmp_path / "c", current="c"),
    ]
    found = read_kubeconfig(files, None)
    assert (found.namespace, found.cluster["server"]) == ("shops", "http://one")
    assert [path for path, _ in found.files] == files


def test_what_two_files_name_alike_counts_as_the_first_one_has_it(tmp_path: Path) -> None:
    first = put(tmp_path / "x", server="http://first")
    second = put(tmp_path / "later" / "x", server="http://second", current="x")
    assert read_kubeconfig([first, second], None).cluster["server"] == "http://first"


def test_of_several_files_those_that_are_missing_are_left_out(tmp_path: Path) -> None:
    there = put(tmp_path / "a", current="a")
    assert read_kubeconfig([tmp_path / "none", there], None).cluster["server"] == "http://one"
    with pytest.raises(UnusableError, match="there is no such file"):
        read_kubeconfig([tmp_path / "none"], None)
    with pytest.raises(UnusableError, match="none of these files exists"):
        read_kubeconfig([tmp_path / "none", tmp_path / "neither"], None)


def test_paths_are_relative_to_the_file_that_names_them(tmp_path: Path) -> None:
    first = put(tmp_path / "a", current="b")
    second = put(tmp_path / "sub" / "b", user={"tokenFile": "token"})
    found = read_kubeconfig([first, second], None)
    assert found.user["tokenFile"] == str(tmp_path / "sub" / "token")
    assert found.folder == tmp_path / "sub"
    assert [path for path, _ in found.files] == [first, second, tmp_path / "sub" / "token"]


def test_a_name_that_is_missing_is_told_with_those_that_are_there(tmp_path: Path) -> None:
    files = [put(tmp_path / "a"), put(tmp_path / "b")]
    with pytest.raises(UnusableError, match=r"no context named c \(it has: a, b\)"):
        read_kubeconfig(files, "c")
    with pytest.raises(UnusableError, match="use --context"):
        read_kubeconfig(files, None)


@pytest.mark.parametrize(
    ("user", "header"),
    [
        ({}, None),
        ({"token": "t"}, "Bearer t"),
        ({"tokenFile": "token"}, "Bearer from-file"),
        ({"token": "t", "tokenFile": "token"}, "Bearer t"),
        ({"username": "u", "password": "p"}, "Basic " + base64.b64encode(b"u:p").decode()),
    ],
)
async def test_who_somebody_is(tmp_path: Path, user: Json, header: str | None) -> None:
    (tmp_path / "token").write_text("from-file\n")
    connection = await kubeconfig(put(tmp_path / "a", current="a", user=user))()
    assert (connection.server, connection.authorization, connection.tls) == ("http://one", header, None)


@pytest.mark.parametrize(
    ("user", "trouble"),
    [
        ({"tokenFile": "none"}, "No such file"),
        ({"client-certificate-data": "A"}, "base64"),
        ({"client-certificate": "none", "client-key": "none"}, "No such file"),
    ],
)
async def test_credentials_that_cannot_be_used(tmp_path: Path, user: Json, trouble: str) -> None:
    path = put(tmp_path / "a", current="a", user=user, server="https://one")
    with pytest.raises(NotConfiguredError, match=rf"cannot use the kubeconfig {path}: .*{trouble}"):
        await kubeconfig(path)()
