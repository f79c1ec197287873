"""Measure how fast it is: each figure against a floor of the same run, on the same machine.

    make bench                   everything, some 35 minutes, written to docs/results/bench.md
    make bench-PART              one of probe, probe-close, probe-tls, silent, streams, switch, failover,
                                 policies, worker, scale
    make bench-load              ten minutes of load during switchovers, not part of the above
    make bench-flood             seven minutes of junk tokens, not part of the above

Needs wrk. When a part fails, the others are still measured, but the page of results stays as it was.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import socket
import sys
import tempfile
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from pathlib import Path

from controlplane.children import raise_when_stopped
from controlplane.plane import ControlPlane
from rig.asking import ask, free_port
from rig.hub_namespace import HubNamespace
from rig.kubectl import install_crd, kubectl_of
from rig.tcf_processes import TcfProcesses

from bench import results, scale
from bench.confined import policies
from bench.event_streams import delays, streaming
from bench.flood import flood
from bench.hub_costs import hub_costs
from bench.load import Load, counted, counting, wrk, wrk_version
from bench.lost_site import site
from bench.report import Figure, Goal, table, verdict
from bench.servers import PATH, Server, Servers, import_seconds, resident, servers
from bench.switches import switch
from bench.two_members import federations, killed

RUNS = 5
EXPLAINED = "[Benchmarks](../benchmarks.md) says what each part measures and what it is compared with."
LOAD_SECONDS = 600.0
HONEST = {200, 418, 500}
PROBE_RUNS, PROBE_SECONDS = 15, 2.0
"""Many short runs, because a shared machine may become slower by a quarter within seconds. They are not
shorter, because the first answers on 256 connections are slow: they wait until all connections are accepted.
In a shorter run, they would be one in a hundred."""
MILLION = 1_000_000
FEW_CONNECTIONS = 8
"""As many as a few load balancers keep. With TLS, each takes 23 KiB more."""
STREAMS = 200
SCRAPES = 100
IDLE_SECONDS = 600.0
"""How old an idle worker is when its memory is measured."""
QUIET_SECONDS = 60.0
"""For how long at least nothing else runs while its requests are counted."""


def probe(
    connections: tuple[int, ...] = (1, 32, 256), *, close: bool = False, tls: bool = False
) -> Iterator[Figure]:
    """GET /tcf/is_active against a bare aiohttp handler that answers with the same bytes."""
    part = "probe-close" if close else "probe-tls" if tls else "probe"
    with servers() as stage, stage.worker(tls=tls) as worker, stage.bare(tls=tls) as bare:
        if worker.looks() != bare.looks():
            raise RuntimeError(f"{worker.looks()} cannot be compared with {bare.looks()}")
        for count in connections:
            loads: dict[str, list[Load]] = {"ours": [], "bare": []}
            for run in range(PROBE_RUNS):
                pair: list[tuple[str, Server]] = [("ours", worker), ("bare", bare)]
                for name, server in pair if run % 2 else reversed(pair):
                    loads[name].append(wrk(server.port, count, PROBE_SECONDS, close=close, tls=tls))
            ours, bare_ones = loads["ours"], loads["bare"]
            what = f"{count} connection{'s' * (count > 1)}"

            def figure(name: str, pick: Callable[[Load], float], unit: str, goal: Goal | None) -> Figure:
                values, floor = [pick(load) for load in ours], [pick(load) for load in bare_ones]  # noqa: B023 - used at once
                return Figure(part, f"{what}: {name}", unit, values, floor, goal)  # noqa: B023

            yield figure("throughput", lambda load: load.rate, "requests/s", Goal("≥", 0.95))
            yield figure("p50", lambda load: load.p50, "µs", None)
            yield figure("p99", lambda load: load.p99, "µs", None if close else Goal("≤", 1.1))


def probe_close() -> Iterator[Figure]:
    """The same with a new connection for each request, as load balancers do."""
    yield from probe(close=True)


def probe_tls() -> Iterator[Figure]:
    """The same with HTTPS, and the memory of a worker with TLS and --auth kubernetes."""
    yield from probe(tls=True)
    for count in (FEW_CONNECTIONS, 32):
        ours, without = [], []
        with servers() as stage:
            for _ in range(RUNS):
                with stage.worker("--auth", "kubernetes", tls=True) as worker, stage.bare() as bare:
                    for server in (worker, bare):
                        _ask(server, MILLION / 10, count)
                    ours.append(worker.rss)
                    without.append(bare.rss)
        goal = Goal("≤", 8) if count == FEW_CONNECTIONS else None
        name = f"RSS after {count} connections; floor without TLS"
        yield from _beside_bare("probe-tls", name, ours, without, goal)


def silent() -> Iterator[Figure]:
    """Probes while other clients connect and say nothing, against probes without such clients."""
    with servers() as stage, stage.worker() as worker:
        for count in (5, 500):
            beside: list[Load] = []
            alone: list[Load] = []
            arrived = []
            for run in range(PROBE_RUNS):
                for loads in (beside, alone) if run % 2 else (alone, beside):
                    with contextlib.ExitStack() as mute:
                        if loads is beside:
                            arrived.append(1000 * _behind(worker.port, count, mute))
                        loads.append(wrk(worker.port, 32, PROBE_SECONDS))
            rates = [load.rate for load in beside], [load.rate for load in alone]
            yield Figure(
                "silent", f"{count} silent clients: throughput", "requests/s", *rates, Goal("≥", 0.95)
            )
            p99 = [load.p99 for load in beside], [load.p99 for load in alone]
            yield Figure("silent", f"{count} silent clients: p99", "µs", *p99, Goal("≤", 1.1))
            name = f"{count} silent clients arrive, then a probe"
            yield Figure("silent", name, "ms", arrived, (), Goal("≤", 250), worst=True)


def streams() -> Iterator[Figure]:
    """200 streams of events: what they cost, probes beside them, and how soon an event arrives."""
    with servers() as stage, stage.worker() as worker, stage.bare() as bare:
        before = {server: server.rss for server in (worker, bare)}
        with streaming(worker, STREAMS), streaming(bare, STREAMS):
            took = [1024 * (server.rss - rss) / STREAMS for server, rss in before.items()]
            yield Figure("streams", "memory for each", "KiB", took[:1], took[1:])
            loads: dict[Server, list[Load]] = {worker: [], bare: []}
            for run in range(PROBE_RUNS):
                for server in (worker, bare) if run % 2 else (bare, worker):
                    loads[server].append(wrk(server.port, 32, PROBE_SECONDS))
            rates = [[load.rate for load in each] for each in loads.values()]
            name = "32 connections beside them: throughput; floor also with streams"
            yield Figure("streams", name, "requests/s", rates[0], rates[1], Goal("≥", 0.95))
            p99 = [[load.p99 for load in each] for each in loads.values()]
            yield Figure("streams", "- p99", "µs", p99[0], p99[1])
        late = [1000 * each for each in delays(stage.plane, worker.port)]
        name = "from sending the write to the hub until the event has arrived"
        yield Figure("streams", name, "ms", late, (), Goal("≤", 50))


def _behind(port: int, count: int, mute: contextlib.ExitStack) -> float:
    """Seconds that a probe takes if it arrives after so many clients that say nothing."""
    for _ in range(count):
        silent = mute.enter_context(socket.socket())
        silent.setblocking(False)
        silent.connect_ex(("127.0.0.1", port))
    began = time.monotonic()
    ask(port, "GET", PATH)
    return time.monotonic() - began


def load() -> Iterator[Figure]:
    """Ten minutes of 256 connections during switchovers every 5 s (not part of `make bench`)."""
    with tempfile.TemporaryDirectory() as folder, ControlPlane.start() as plane:
        install_crd(plane)
        hub = HubNamespace(kubectl_of(plane, "load"), "load", plane.kubeconfig)
        hub.kubectl("create", "namespace", hub.namespace)
        with contextlib.closing(TcfProcesses(hub, Path(folder), development=False)) as programs:
            hub.apply()
            programs.operator()
            pair = programs.pair()
            pair[0].await_active()
            pair[1].await_status(418)
            sizes: list[float] = []
            refused = 0
            with counting(pair[0].port, 256, LOAD_SECONDS) as asking:
                while asking.poll() is None:
                    time.sleep(5)
                    refused += pair[(len(sizes) + 1) % 2].post("/tcf/promote").status != HTTPStatus.OK
                    sizes.append(resident(pair[0].process))
                counts, unanswered = counted(asking)
    early = sizes[len(sizes) // 10]
    yield Figure("load", f"answers: {counts}", "", [sum(counts.values())])
    other = sum(count for status, count in counts.items() if status not in HONEST)
    yield Figure("load", "answers other than 200, 418, 500", "", [other], (), Goal("≤", 0))
    yield Figure("load", "requests without an answer", "", [unanswered], (), Goal("≤", 0))
    yield Figure("load", f"switchovers refused, of {len(sizes)}", "", [refused], (), Goal("≤", 0))
    yield Figure("load", "RSS at the end", "MiB", [sizes[-1]])
    yield Figure("load", "- more than after a tenth", "MiB", [sizes[-1] - early], (), Goal("≤", 1))


def failover() -> Iterator[Figure]:
    """SIGKILL of every worker of the active member to the first 200 of the other, failover.timeout 1 s."""
    with ControlPlane.start() as plane:
        install_crd(plane)
        for duration in (1, 3):
            with federations(plane, 1, duration) as (federation,):
                values = [killed(federation) for _ in range(RUNS)]
            goal = Goal("≤", round(duration * 1.1 + 0.5, 1))
            yield Figure("failover", f"leaseDuration {duration} s", "s", values, (), goal, worst=True)


def worker() -> Iterator[Figure | None]:
    """A worker with in-cluster credentials, leaseDuration 15 s, against a bare aiohttp process."""
    with servers() as stage, contextlib.ExitStack() as running:
        pairs = [
            (running.enter_context(stage.worker()), running.enter_context(stage.bare())) for _ in range(RUNS)
        ]
        begun, cpu = time.monotonic(), [idle.cpu for idle, _ in pairs]
        yield from _started(stage)
        early, age = [idle.rss for idle, _ in pairs], (time.monotonic() - begun) / 60
        yield from _loaded(stage)
        yield from _with_everything(stage)
        quiet_since, requests = time.monotonic(), scale.requests(stage.plane)
        yield None
        left = max(QUIET_SECONDS + quiet_since, IDLE_SECONDS + begun) - time.monotonic()
        if left > 0:
            print(f"  {left:.0f} s more of idling ...", flush=True)
            time.sleep(left)
        asked = scale.requests(stage.plane) - requests
        asked *= 60 / (time.monotonic() - quiet_since) / len(pairs)
        lived = time.monotonic() - begun
        used = [100 * (idle.cpu - before) / lived for (idle, _), before in zip(pairs, cpu, strict=True)]
        late, bare = [idle.rss for idle, _ in pairs], [other.rss for _, other in pairs]
        yield from _sizes("after 10 minutes or more", late, bare, early, f"after {age:.1f} minutes")
        yield Figure("worker", "CPU when idle", "% of a core", used, (), Goal("≤", 1))
        yield Figure("worker", f"API requests when idle, of {len(pairs)} each", "per minute", [asked])


def _started(stage: Servers) -> Iterator[Figure]:
    ours, floor, imports, imports_floor = [], [], [], []
    for _ in range(RUNS):
        with stage.worker() as one:
            ours.append(one)
        with stage.bare() as one:
            floor.append(one.ready)
        imports.append(import_seconds("tcf.wiring"))
        imports_floor.append(import_seconds("aiohttp.web"))
    yield Figure("worker", "start to first answer", "s", [one.started for one in ours], floor)
    yield Figure("worker", "start to first 200", "s", [one.ready for one in ours], floor)
    yield Figure("worker", "import", "s", imports, imports_floor)


def _loaded(stage: Servers) -> Iterator[Figure]:
    """Memory after a million probes, and whether it still grows then."""
    early, late, bare = [], [], []
    for _ in range(RUNS):
        with stage.worker() as one, stage.bare() as other:
            for server in (one, other):
                _ask(server, MILLION / 5)
            early.append(one.rss)
            for server in (one, other):
                _ask(server, 4 * MILLION / 5)
            late.append(one.rss)
            bare.append(other.rss)
    yield from _sizes("after a million probes", late, bare, early, "after 200,000")


def _with_everything(stage: Servers) -> Iterator[Figure]:
    """Memory with TLS, authentication, an audit log, a stream and scrapes. The floor has none of them."""
    ours, without = [], []
    for _ in range(RUNS):
        inside = free_port()
        options = ("--auth", "kubernetes", "--audit-log", "audit", "--probe-listen", f"127.0.0.1:{inside}")
        with stage.worker(*options, tls=True) as one, stage.bare() as other, streaming(one, 1):
            for _ in range(SCRAPES):
                ask(inside, "GET", "/metrics")
                one.ask("POST", "/tcf/toggle")  # it is refused, and goes to the audit log
            for server in (one, other):
                _ask(server, MILLION / 10, FEW_CONNECTIONS)
            ours.append(one.rss)
            without.append(other.rss)
    yield from _beside_bare("worker", "RSS with everything on", ours, without, Goal("≤", 8))


def _sizes(
    now: str, ours: list[float], bare: list[float], early: list[float], before: str
) -> Iterator[Figure]:
    """The memory (MiB) of worker and bare process, and how much the worker's has grown."""
    yield from _beside_bare("worker", f"RSS {now}", ours, bare, Goal("≤", 8))
    grown = [a - b for a, b in zip(ours, early, strict=True)]
    yield Figure("worker", f"- more than {before}", "MiB", grown, (), Goal("≤", 0.5))


def _beside_bare(
    part: str, name: str, ours: list[float], bare: list[float], goal: Goal | None
) -> Iterator[Figure]:
    """The memory (MiB) of worker and bare process. `goal`: for how much more the worker takes."""
    yield Figure(part, name, "MiB", ours, bare)
    more = [a - b for a, b in zip(ours, bare, strict=True)]
    yield Figure(part, "- more than bare aiohttp", "MiB", more, (), goal)


def _ask(server: Server, count: float, connections: int = 32) -> None:
    while count > 0:
        count -= wrk(server.port, connections, 5, tls=server.tls).rate * 5


Part = Callable[[], Iterator[Figure | None]]
"""Yields what it has measured. It yields None when it has to wait: then others are measured meanwhile."""
PARTS: dict[str, Part] = {
    "worker": worker,
    "probe": probe,
    "probe-close": probe_close,
    "probe-tls": probe_tls,
    "silent": silent,
    "streams": streams,
    "switch": switch,
    "failover": failover,
    "policies": policies,
    "scale": scale.scaling,
}
ON_DEMAND: dict[str, Part] = {"load": load, "flood": flood, "site": site, "hub-costs": hub_costs}

_PAGES = {tuple(PARTS): ("bench.md", "make bench"), ("site",): ("site.md", "make bench-site")}
"""The page on which the figures of these parts are kept, and the command that measures them."""


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="make bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", choices=[*PARTS, *ON_DEMAND, []], help="which (default: all)")
    wanted = parser.parse_args().parts or list(PARTS)
    raise_when_stopped()
    began = time.monotonic()
    name, command = _PAGES.get(tuple(wanted), ("", "make bench"))
    figures, failed = measured({name: {**PARTS, **ON_DEMAND}[name] for name in wanted})
    minutes = (time.monotonic() - began) / 60
    shown = f"{_about(command, minutes)}\n\n{verdict(figures)}\n\n{table(figures)}\n"
    print(f"\n{shown}")
    for part in failed:
        print(f"The part {part} failed: see above.")
    if name and failed:
        print("The page of results has been left as it was.")
    elif name:
        page = results.write(name, command, shown, explained=EXPLAINED)
        print(f"written: {page}")
    return bool(failed)


def measured(parts: Mapping[str, Part]) -> tuple[list[Figure], list[str]]:
    """Measure one part after the other; return the figures, and the names of the parts that failed."""
    figures: dict[str, list[Figure]] = {name: [] for name in parts}
    failed: list[str] = []
    under_way = deque((name, part()) for name, part in parts.items())
    while under_way:
        name, part = under_way.popleft()
        print(f"{name}: {'goes on' if figures[name] else parts[name].__doc__}", flush=True)
        try:
            for figure in part:
                if figure is None:
                    under_way.append((name, part))
                    break
                figures[name].append(figure)
                print("  " + " | ".join(figure.cells()[1:]), flush=True)
        except Exception:  # noqa: BLE001 - whatever is wrong with one part must not stop the others
            traceback.print_exc()
            failed.append(name)
    return list(itertools.chain.from_iterable(figures.values())), failed


def _about(command: str, minutes: float) -> str:
    """When and where the figures were measured, and how to read them."""
    return "\n".join(
        (
            results.measured_by(command, f", in {minutes:.0f} minutes, with {wrk_version()}"),
            "Each value is the median (min to max) of so many runs.",
            "Floors are measured in turns with it, and ratios are taken pair by pair.",
            "Only `scale` measures one size after the other, and compares with the median of a smaller one.",
        )
    )


if __name__ == "__main__":
    sys.exit(main())
