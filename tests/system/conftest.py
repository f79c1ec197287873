"""What the system tests share: a hub, and a place to say what was measured."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest
from rig.hub_namespace import HubNamespace, own_namespace
from rig.kubectl import apply_crd, bound_kubectl

Measured = Callable[[str], None]
_LINES = 60
"""Of each log, so many of the last lines are shown when a test fails."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what all programs of both sites have said when a test fails."""
    report = yield
    folder: Path | None = getattr(getattr(item, "funcargs", {}).get("pair"), "folder", None)
    if report.failed and folder:
        for path in sorted(folder.rglob("*.log")):
            lines = path.read_text(errors="replace").splitlines()[-_LINES:]
            report.sections.append((f"the end of {path.relative_to(folder)}", "\n".join(lines)))
    return report


@pytest.fixture(scope="module")
def hub(control_plane: dict[str, str]) -> Iterator[HubNamespace]:
    """A namespace for the tests of a file, which go on where the one before has ended."""
    apply_crd(bound_kubectl(control_plane["kubectl"], control_plane["kubeconfig"], "default"))
    with own_namespace(control_plane) as hub:
        yield hub


@pytest.fixture
def measured(capsys: pytest.CaptureFixture[str]) -> Measured:
    """Say what was measured, also when all is well."""

    def say(text: str) -> None:
        with capsys.disabled():
            print(f"\n  {text}")  # noqa: T201

    return say
