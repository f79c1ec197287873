"""tcf-run releases its hold as soon as nothing of the command is left, whatever answer arrives meanwhile."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from rig.patience import eventually
from support.holds_server import HoldsServer
from support.run_process import RunProcess

Runs = Callable[..., RunProcess]


@pytest.mark.parametrize("attempt", range(3))
def test_a_signal_is_followed_by_a_release(runs: Runs, worker: HoldsServer, attempt: int) -> None:
    """The answer to the last draining request may arrive just when the command ends."""
    worker.become("active")
    run = runs("--for", "60s")
    run.await_act()
    assert run.stop() == 143
    hold = worker.last
    assert hold.released
    assert hold.released - run.acts[-1].at < 8, "less than a fifth of --for"


@pytest.mark.parametrize("attempt", range(3))
def test_the_loss_of_the_role_is_followed_by_a_release(runs: Runs, worker: HoldsServer, attempt: int) -> None:
    worker.become("active")
    run = runs("--for", "60s")
    run.await_act()
    worker.become("passive")
    hold = worker.last
    eventually(lambda: hold.released, what="the hold is released")
    assert hold.released
    assert hold.released - run.acts[-1].at < 8, "less than a fifth of --for"


@pytest.mark.parametrize("attempt", range(3))
def test_a_hold_that_is_granted_while_tcf_run_ends_is_released(
    runs: Runs, worker: HoldsServer, attempt: int
) -> None:
    """The member becomes active just when tcf-run gets the signal to end."""
    run = runs("--for", "60s")
    run.await_log("waiting")
    hold = eventually(lambda: worker.last if worker.last.asked > 1 else None, what="a request waits")
    worker.become("active")
    assert run.stop() == 143
    assert hold.released, run.log
