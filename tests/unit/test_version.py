"""One version in one place: hack/version.py, and what repeats the version."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import version
from rig.files import ROOT

from tcf.runtime.release import VERSION

OTHER = "12.34.56"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The files that have the version, to be changed."""
    for name in {version.CHANGELOG, *(place.files for place in version.PLACES)}:
        for path in ROOT.glob(name):
            target = tmp_path / path.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
    return tmp_path


def test_every_place_has_the_version_of_pyproject() -> None:
    assert list(version.mistakes()) == []


def test_the_installed_package_has_it() -> None:
    assert importlib.metadata.version("tcf-operator") == version.current()


def test_the_programs_know_it() -> None:
    assert version.current() == VERSION


def test_the_image_gets_it_as_a_label() -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    command = ["make", "--no-print-directory", "image", "BUILDER=echo"]
    built = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert f"--build-arg VERSION={version.current()} " in built.stdout
    assert 'org.opencontainers.image.version="${VERSION}"' in (ROOT / "Dockerfile").read_text()


def test_setting_it_changes_every_place_and_asks_for_a_changelog(copy: Path) -> None:
    before = version.current(copy)

    changed = {str(path) for path in version.set_everywhere(OTHER, copy)}

    assert {
        "pyproject.toml",
        "operator/tcf/runtime/release.py",
        "charts/tcf-operator/Chart.yaml",
        "README.md",
        "docs/install.md",
    } <= changed
    assert version.current(copy) == OTHER
    assert [mistake for mistake in version.mistakes(copy) if version.CHANGELOG not in mistake] == []
    assert any(f"## [{OTHER}]" in mistake for mistake in version.mistakes(copy))

    version.set_everywhere(before, copy)

    for path in copy.rglob("*"):
        assert path.is_dir() or path.read_text() == (ROOT / path.relative_to(copy)).read_text()


@pytest.mark.parametrize("wrong", ["1.2", "v1.2.3", "1.2.3rc1", "1.2.3.4", ""])
def test_what_is_no_version_is_refused(copy: Path, wrong: str) -> None:
    with pytest.raises(version.VersionError, match="three numbers"):
        version.set_everywhere(wrong, copy)


@pytest.mark.parametrize(
    ("name", "line", "instead"),
    [
        ("charts/tcf-operator/Chart.yaml", "appVersion: {}", "appVersion: 12.34.56"),
        ("charts/tcf-operator/Chart.yaml", "version: {}\n", ""),
        ("examples/traffic-gate/kustomization.yaml", "newTag: {}", "newTag: 12.34.56"),
        ("docs/reference/openapi.yaml", "  version: {}\n", ""),
        ("docs/install.md", "tcf-operator:{}", "tcf-operator:12.34.56"),
        ("README.md", "tcf-operator:{}", "tcf-operator:12.34.56"),
    ],
)
def test_a_place_that_differs_is_named(copy: Path, name: str, line: str, instead: str) -> None:
    path = copy / name
    text = path.read_text()
    changed = text.replace(line.format(version.current()), instead, 1)
    assert changed != text
    path.write_text(changed)

    (mistake,) = version.mistakes(copy)

    assert mistake.startswith(name)


def test_the_notes_are_the_section_of_this_version(copy: Path) -> None:
    head = "# Changelog\n\n## [Unreleased]\n\nLater.\n\n"
    this = f"## [{version.current()}] - 2001-02-03\n\n### Added\n\n- A thing.\n\n"
    (copy / version.CHANGELOG).write_text(f"{head}{this}## [0.0.1] - 2001-01-01\n\nEarlier.\n")

    assert version.notes(copy) == "### Added\n\n- A thing."


def test_the_command_prints_the_version() -> None:
    command = [sys.executable, str(ROOT / "hack/version.py")]
    printed = subprocess.run(command, capture_output=True, text=True, check=True)
    assert printed.stdout == f"{version.current()}\n"
