"""What the system tests share: a hub, and a place to say what was measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from rig.hub_namespace import HubNamespace, own_namespace
from rig.kubectl import apply_crd, bound_kubectl

Measured = Callable[[str], None]


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
