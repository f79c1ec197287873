"""Faults of processes and of their ways to the hub, and what clients ask of workers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

from simulation.actors import CLIENT, Ask, OperatorProgram
from simulation.injector import Inject, Injector
from simulation.schedule import PASSIVE, Fault
from simulation.world import START
from tcf.core.admission import Accepted, Command, Kind, admit
from tcf.core.model import Now
from tcf.worker.switchovers import Wish

_READ_TO_RENEWAL = 2
"""Callbacks from the arrival of what was read to where the renewal is sent."""


def _stop(injector: Injector, fault: Fault) -> None:
    process = injector.bed.programs[fault.target].process
    if process:
        process.stop_for(fault.seconds)


def _stop_after_read(injector: Injector, fault: Fault) -> None:
    """Stop a worker when it has read the federation and is about to renew."""
    program = injector.bed.programs[fault.target]
    if program.link is None or program.process is None:
        return
    process = program.process

    def stop() -> None:
        process.stop_after(_READ_TO_RENEWAL, fault.seconds)
        injector.follow(fault)

    program.link.once_read = stop


def _once_read(injector: Injector, fault: Fault) -> None:
    """Wait until somebody is about to take in the federation as it was read."""
    if link := injector.link_of(fault):
        link.once_read = lambda: injector.follow(fault)


def _once_active(injector: Injector, fault: Fault) -> None:
    """Wait until the hub says that another member is active."""
    injector.await_activation(fault)


def _once_failing_over(injector: Injector, fault: Fault) -> None:
    """Wait until a failover begins."""
    injector.await_failover(fault)


def _crash(injector: Injector, fault: Fault) -> None:
    program = injector.bed.programs[fault.target]
    program.crash()
    injector.later(fault.seconds, program.start)


def _kill_member(injector: Injector, fault: Fault) -> None:
    for worker in injector.bed.workers_of(fault.target):
        worker.crash()
        injector.later(fault.seconds, worker.start)


def _restart(injector: Injector, fault: Fault) -> None:
    """A clean stop, and a new start some time after that."""
    bed, worker = injector.bed, injector.worker_of(fault)
    worker.stop(then=lambda: bed.world.after(0.0 if bed.calm else fault.seconds, worker.start))


def _cut(injector: Injector, fault: Fault) -> None:
    link = injector.link_of(fault)
    if link is None:
        return
    link.loses_requests = fault.value != "answers"
    link.loses_answers = fault.value != "requests"
    if injector.bed.world.random.random() < 0.5:
        for watch in link.watches:
            watch.end()
    injector.later(fault.seconds, link.mend)


def _cut_member(injector: Injector, fault: Fault) -> None:
    for worker in injector.bed.workers_of(fault.target):
        _cut(injector, replace(fault, target=worker.name))


def _slow(injector: Injector, fault: Fault) -> None:
    if link := injector.link_of(fault):
        injector.for_a_while(fault, link, "delay", fault.value)


def _ill(injector: Injector, fault: Fault) -> None:
    """The application beside a worker is unhealthy, or (None) its holder is gone, for a while."""
    worker = injector.worker_of(fault)
    worker.application = fault.value
    injector.later(fault.seconds, worker.recover)


def _ill_member(injector: Injector, fault: Fault) -> None:
    """The same for all workers of a member, or of the one that this worker belongs to."""
    program = injector.bed.programs.get(fault.target)
    member = program.member if program else fault.target
    for worker in injector.bed.workers_of(member):
        _ill(injector, replace(fault, target=worker.name))


def _deafen(injector: Injector, fault: Fault) -> None:
    """Its watch brings nothing any more, and does not break either."""
    if link := injector.link_of(fault):
        injector.for_a_while(fault, link, "deaf_to_leases" if fault.value == "Leases" else "deaf", True)


def _refuse(injector: Injector, fault: Fault) -> None:
    if link := injector.link_of(fault):
        injector.for_a_while(fault, link, "refusing", True)


def _crowd(injector: Injector, fault: Fault) -> None:
    program = injector.bed.programs[fault.target]
    assert isinstance(program, OperatorProgram)
    program.crowd(fault.seconds)


def _watch_break(injector: Injector, fault: Fault) -> None:
    if link := injector.link_of(fault):
        link.break_watches()


def _hub_down(injector: Injector, fault: Fault) -> None:
    network = injector.bed.network
    injector.for_a_while(fault, network, "down", True)
    network.break_watches()


def _pause_holder(injector: Injector, fault: Fault) -> None:
    injector.bed.holders[fault.target].pause(fault.seconds)


def _crash_holder(injector: Injector, fault: Fault) -> None:
    injector.bed.holders[fault.target].crash()


def ask(injector: Injector, fault: Fault) -> None:
    """A client asks a worker for a role change; `fault.value` is its kind, perhaps with "force"."""
    bed, worker = injector.bed, injector.worker_of(fault)
    kind, _, force = fault.value.partition(" ")
    if force and not bed.calm and bed.schedule.may_keep_role:
        return  # nobody can be certain that a worker is dead that may answer for ever
    wish = Wish(Kind(kind), force=bool(force))
    present = bed.hub.federation
    table = (present.uid, present.status.term) if present and present.status else ("", 0)
    asked = Ask(wish, worker.member, bed.world.now, table, f"ask-{bed.number()}")
    if worker.ask(asked):
        bed.asks.append(asked)


def _place(injector: Injector, _: Fault) -> None:
    """Somebody asks for the passive member by kubectl, and does not withdraw the request."""
    bed, hub = injector.bed, injector.bed.hub
    present = hub.federation
    if present is None or present.status is None:
        return
    now = Now(0.0, START + timedelta(seconds=bed.world.now))
    member = bed.programs[injector.worker_with(PASSIVE)].member
    verdict = admit(
        present, Command(Kind.PROMOTE, member, id=f"placed-{bed.number()}", principal=CLIENT), now
    )
    if isinstance(verdict, Accepted):
        hub.write_status(present, verdict.status)


PROGRAM_FAULTS: Mapping[str, Inject] = {
    "stop": _stop,
    "stop after read": _stop_after_read,
    "once read": _once_read,
    "once active": _once_active,
    "once failing over": _once_failing_over,
    "crash": _crash,
    "kill member": _kill_member,
    "restart": _restart,
    "cut": _cut,
    "cut member": _cut_member,
    "slow": _slow,
    "ill": _ill,
    "ill member": _ill_member,
    "deafen": _deafen,
    "refuse": _refuse,
    "crowd": _crowd,
    "watch break": _watch_break,
    "hub down": _hub_down,
    "ask": ask,
    "place": _place,
    "pause holder": _pause_holder,
    "crash holder": _crash_holder,
}
