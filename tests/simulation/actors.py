"""The real worker and the real coordinator, as processes of the simulated world."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, cast

from simulation.network import Link, Network
from simulation.sim_hub import NAME, NAMESPACE
from simulation.stand_ins import SimEvents, SimFederations, SimHeartbeats, SimLeases, watch
from simulation.world import Machine, Process, World
from tcf.coordinator.dispatcher import Dispatcher
from tcf.coordinator.heartbeat_writer import HeartbeatWriter
from tcf.coordinator.roster import Roster
from tcf.coordinator.turns import Rank, Turns
from tcf.core.model import Application, Federation, MemberRef, Principal, Refusal, WorkerLease
from tcf.core.reading import Reading
from tcf.hub import errors
from tcf.hub.heartbeat_leases import Heartbeats
from tcf.worker.conclusion import Part
from tcf.worker.renewal import Worker
from tcf.worker.switchovers import Course, Switchovers, Wish

CLIENT = Principal("10.0.0.9")
_KOPF_RETRY = 0.3
_KOPF_DEADLINE = 10.0
_ALL_TURNS = 32
_FIRST = Rank(of_peers=False, rests=False, priority=-1000, since=0.0)


@dataclass(eq=False)
class Ask:
    """A POST of a client, and its answer. `result` is None while it waits, and stays so after a crash."""

    wish: Wish
    member: str
    asked_at: float
    table: tuple[str, int]
    """Uid and term of what the hub had then."""
    request: str
    result: Reading | Refusal | None = None
    abandoned: bool = False


class Effect:
    """Something that a worker's "active" has caused, such as a mark on its Pod. It outlives the process.

    Attributes:
        present: it has been caused, and has not ended since.
        since: when it was caused, if it is present.
    """

    def __init__(self, world: World, worker: str, *, longest: float) -> None:
        """`longest`: seconds that it takes to end, at most; 0 if there is no such thing."""
        self.present = False
        self.since = 0.0
        self.parts: tuple[Part, ...] = (self._end,) if longest else ()
        self._world = world
        self._worker = worker
        self._longest = longest
        self._causes = 0

    def cause(self) -> None:
        """The worker answers "active"."""
        if not self.present:
            self.present, self.since = True, self._world.now
        self._causes += 1

    async def _end(self) -> None:
        causes, seconds = self._causes, self._longest * self._world.random.random()
        self._world.note(self._worker, "concludes, for %.3f s", seconds)
        await asyncio.sleep(seconds)
        if self._causes == causes:
            self.present = False
        self._world.note(self._worker, "has concluded%s", ", but its role is back" * self.present)


class Program:
    """A program on a machine of its own. It may run, be stopped, be killed and be started again."""

    member: str

    def __init__(self, name: str, network: Network, machine: Machine, new_process: NewProcess) -> None:
        self.name = name
        self.network = network
        self.world: World = network.world
        self.machine = machine
        self._new_process = new_process
        self.process: Process | None = None
        self.link: Link | None = None

    @property
    def running(self) -> bool:
        return self.process is not None

    def start(self) -> None:
        if self.process:
            return
        self.world.note(self.name, "starts")
        self.process = self._new_process(self)
        self.link = Link(self.network, self.process, worker=isinstance(self, WorkerProgram))
        asyncio._set_running_loop(self.process)
        try:
            self.begin(self.process, self.link)
        finally:
            asyncio._set_running_loop(None)

    def crash(self) -> None:
        if self.process and self.link:
            self.world.note(self.name, "crashes")
            self.process.crash()
            self.link.close()
            self.process = self.link = None

    def begin(self, process: Process, link: Link) -> None:
        raise NotImplementedError


NewProcess = Callable[[Program], Process]


class WorkerProgram(Program):
    def __init__(
        self,
        name: str,
        member: str,
        network: Network,
        machine: Machine,
        new_process: NewProcess,
        *,
        effect: Effect,
        reports: bool,
    ) -> None:
        super().__init__(name, network, machine, new_process)
        self.member = member
        self.effect = effect
        self.application: Application | None = Application.HEALTHY
        """How the application is; None: nobody reports on it."""
        self._reports = reports
        self.worker: Worker | None = None
        self.last: Reading | None = None
        """The reading that the checker has looked at last."""
        self.looked_at = -1.0
        self.lost: Reading | None = None
        """The reading that it had when it heard that its Lease was lost."""
        self._main: asyncio.Task[None] | None = None
        self._asked: list[Ask] = []

    def begin(self, process: Process, link: Link) -> None:
        member = MemberRef(NAMESPACE, NAME, self.member)
        self.last = self.lost = None
        link.lease_lost = self._lose
        self.worker = Worker(
            member,
            SimFederations(link, renewing=True),
            SimLeases(link, report=(lambda: self.application) if self._reports else None),
            holder=self.name,
            clock=process.machine,
            parts=self.effect.parts,
        )
        self._main = process.create_task(self.worker.run())

    def _lose(self) -> None:
        self.lost = self.worker.knowledge.state.reading if self.worker else None

    def recover(self) -> None:
        """The application is healthy again."""
        self.application = Application.HEALTHY

    def answer(self) -> Reading | Refusal | None:
        """The answer to a probe now; None if nobody is there to give one."""
        if self.worker is None or self.process is None or self.process.stopped:
            return None
        return self.worker.knowledge.answer()

    def stop(self, then: Callable[[], None]) -> None:
        """SIGTERM: a clean stop, after which the process is gone."""
        if self.process is None or self._main is None or self._main.done():
            return
        self.world.note(self.name, "is asked to stop")

        def gone(_: object) -> None:
            self.crash()
            then()

        self._main.add_done_callback(gone)
        self.process.call_soon(self._main.cancel)

    def crash(self) -> None:
        for ask in self._asked:
            ask.abandoned = ask.abandoned or ask.result is None
        super().crash()
        self.worker = self._main = None
        self._asked = []

    def ask(self, ask: Ask) -> bool:
        """A client's POST; False if nobody is listening."""
        if self.process is None or self.worker is None or self.link is None:
            return False
        switchovers = Switchovers(self.worker.knowledge, SimFederations(self.link))

        async def wait() -> None:
            ask.result = await switchovers.ask(ask.wish, CLIENT, Course(ask.request))
            outcome = (
                ask.result.reason if isinstance(ask.result, Refusal) else f"done, term {ask.result.term}"
            )
            self.world.note(self.name, "answers %s: %s", ask.wish.kind, outcome)

        self._asked.append(ask)
        process = self.process
        process.call_soon(lambda: process.create_task(wait()))
        return True


class OperatorProgram(Program):
    """The coordinator, fed by watches as kopf feeds it."""

    turns: Turns | None = None

    def crowd(self, seconds: float) -> None:
        """So many other federations have to be attended to that no turn is left for so long."""
        process, turns = self.process, self.turns
        if process is None or turns is None:
            return

        async def occupy() -> None:
            async with turns.turn(_FIRST):
                await asyncio.sleep(seconds)

        self.world.note(self.name, "is busy for %.3f s", seconds)
        for _ in range(_ALL_TURNS):
            process.call_soon(lambda: process.create_task(occupy()))

    def begin(self, process: Process, link: Link) -> None:
        stores = (SimFederations(link), SimLeases(link), SimEvents(link))
        roster = Roster(self.name, clock=process.machine)
        dispatcher = Dispatcher(*stores, roster=roster, clock=process.machine)
        self.turns = dispatcher.turns
        heartbeat = HeartbeatWriter(
            cast("Heartbeats", SimHeartbeats(link)),
            roster=roster,
            namespaces=dispatcher.namespaces,
            at_work=lambda: True,
            clock=process.machine,
        )

        def federation(value: Any, *, deleted: bool) -> None:
            dispatcher.federation_event(value, at=process.machine.boot(), deleted=deleted)

        def lease(value: Any, *, deleted: bool) -> None:
            dispatcher.lease_event((NAMESPACE, NAME), value, at=process.machine.boot(), deleted=deleted)

        process.create_task(dispatcher.run())
        process.create_task(heartbeat.run())
        process.create_task(self._watch(link, Federation, federation))
        process.create_task(self._watch(link, WorkerLease, lease))

    async def _watch(self, link: Link, kind: type, take: Callable[..., None]) -> None:
        while True:
            try:
                events = watch(link, kind, deadline=_KOPF_DEADLINE)
                async with aclosing(events):
                    async for value, deleted in events:
                        take(value, deleted=deleted)
            except errors.HubError:
                await asyncio.sleep(_KOPF_RETRY)
