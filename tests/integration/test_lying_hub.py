"""Writes that were carried out and answered otherwise: nobody is told that nothing was changed."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from rig.hub_namespace import HubNamespace
from rig.liar import LIES, Liar, Lie
from rig.patience import eventually
from rig.tcf_processes import TcfProcesses


@pytest.fixture
def liar(hub: HubNamespace) -> Iterator[Liar]:
    with Liar(hub) as started:
        yield started


def _about_the_status(lies: Iterator[Lie], _method: str, path: str) -> Lie | None:
    return next(lies, None) if path.endswith("/status") else None


def test_a_request_that_was_placed_and_answered_otherwise_is_carried_out(
    hub: HubNamespace, programs: TcfProcesses, liar: Liar, tmp_path: Path
) -> None:
    """The write of the request is carried out and lied about, its repetition is not."""
    hub.apply()
    programs.operator()
    kubeconfig = liar.kubeconfig(hub, tmp_path / "kubeconfig")
    pair = [programs.worker(f"cluster_{n}", kubeconfig=kubeconfig) for n in (2, 1)]
    pair[1].await_active()
    pair[0].await_status(418)
    for (name, lie), worker in zip(LIES.items(), itertools.cycle(pair), strict=False):
        lies = iter([lie])
        liar.lie = partial(_about_the_status, lies)
        answer = worker.post("/tcf/promote")
        assert (answer.status, answer.reason) == (200, None), f"{name}: {answer.body!r}"
        assert next(lies, None) is None, f"{name} was not told"
        assert worker.is_active().status == 200


def test_a_worker_whose_renewals_are_lied_about_goes_on_renewing(
    hub: HubNamespace, programs: TcfProcesses, liar: Liar, tmp_path: Path
) -> None:
    """It adopts what it has written itself, and keeps its one Lease and its role."""
    hub.apply(leaseDuration="1s", switchoverTimeout="5s")
    programs.operator()
    one = programs.worker("cluster_1", kubeconfig=liar.kubeconfig(hub, tmp_path / "kubeconfig"))
    one.await_active()
    lies, turn = itertools.cycle(LIES.values()), itertools.cycle((True, False))
    liar.lie = lambda method, _: next(lies) if method == "PATCH" and next(turn) else None
    (lease,) = hub.leases()
    eventually(lambda: liar.lies > len(LIES), what="every lie was told once")
    liar.lie = lambda _, __: None
    one.await_active()
    assert [each["metadata"]["uid"] for each in hub.leases()] == [lease["metadata"]["uid"]]


def test_an_operator_that_is_lied_to_finishes_what_it_has_begun(
    hub: HubNamespace, programs: TcfProcesses, liar: Liar, tmp_path: Path
) -> None:
    hub.apply(leaseDuration="2s", switchoverTimeout="5s")
    programs.operator(kubeconfig=liar.kubeconfig(hub, tmp_path / "kubeconfig"))
    one, two = programs.pair()
    one.await_active()
    lies = itertools.cycle(LIES.values())
    liar.lie = lambda _, __: next(lies)
    for worker in (two, one, two):
        answer = worker.post("/tcf/promote")
        assert (answer.status, answer.reason) == (200, None), answer.body
    assert liar.lies >= 9
