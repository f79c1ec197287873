"""The demo of two PostgreSQL sites: a client writes, the sites switch, and one loses its power."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from pathlib import Path

from rig.committed_rows import RowWriter, downtime
from rig.member_site import Federation
from rig.patience import RigError
from rig.postgres_pair import SLOW, SPEC, PostgresPair, PostgresSite
from rig.postgres_programs import postgres_programs
from rig.reverse_proxies import program
from rig.row_writer import now

from demo.demo_home import FEDERATION, NAMESPACE, DemoError, say
from demo.demo_hub import DemoHub

_REST = 3.0
"""Seconds in which the client writes undisturbed, before something happens."""


def postgres_session(hub: DemoHub) -> None:
    """Play the session; raise DemoError if something is missing or does not happen."""
    try:
        programs = postgres_programs()
        program("haproxy")
        hub.bring_crd()
        hub.bring_namespace()
        hub.apply_federation()
        hub.change_federation(SPEC)
        with tempfile.TemporaryDirectory(prefix="tcf-demo-") as folder:
            federation = Federation(hub.kubeconfig, NAMESPACE, FEDERATION)
            say("Starting two sites. Each has PostgreSQL under Patroni, an etcd, a worker and tcf-run ...")
            with PostgresPair(Path(folder), programs, federation) as pair:
                pair.sites[0].postgres.query("CREATE TABLE rows (n bigint PRIMARY KEY, site text NOT NULL)")
                with pair.writer(pair.proxied, pause=0.02) as client:
                    _Session(pair, client).play()
    except RigError as error:
        raise DemoError(str(error)) from error


class _Session:
    """`client` inserts rows by HAProxy all the time."""

    def __init__(self, pair: PostgresPair, client: RowWriter) -> None:
        self._pair = pair
        self._client = client
        self._said = {site.member: len(site.log("tcf-run").splitlines()) for site in pair.sites}
        self._began = now()

    def play(self) -> None:
        first, second = self._pair.sites
        self._begin("A client inserts rows by HAProxy. Here is what tcf-run says at both sites.")
        self._until_written_at(first)
        self._begin(f"A switchover: curl -X POST {second.worker.for_probes}/tcf/toggle")
        with ThreadPoolExecutor() as pool:
            answer = pool.submit(second.ask, "POST", "/tcf/toggle")
            self._until(answer.done, "the switchover is over")
        if answer.result().status != HTTPStatus.OK:
            raise DemoError(f"the switchover was refused: {answer.result().body.decode()}")
        self._until_written_at(second)
        self._begin(f"{second.member} loses its power: kill -9 for all of its programs.")
        second.kill()
        self._until_written_at(first)
        self._begin(f"{second.member} has power again.")
        second.start()
        self._until(lambda: "replayed_location" in second.postgres.wal, f"{second.member} is a standby")
        self._client.stop()
        self._until(lambda: bool(self._pair.same_rows()), "both sites have the same rows")
        committed = self._client.commits().keys()
        lost = len(committed - self._pair.same_rows().keys())
        say(f"\n{len(committed)} rows were committed, and both sites are the same. Lost: {lost}.")
        if lost:
            say("These had not been sent yet when the power was lost (docs/postgresql.md).")

    def _begin(self, what: str) -> None:
        """Let the client write undisturbed for a while, then say what happens now."""
        self._listen(_REST)
        say(f"\n{what}")
        self._began = now()

    def _until_written_at(self, site: PostgresSite) -> None:
        def written() -> bool:
            rows = self._client.commits().values()
            return any(row.member == site.member and row.sent > self._began for row in rows)

        self._until(written, f"the client writes at {site.member}")
        gap = downtime(self._client.commits(), self._began - 1, now())
        say(f"The client writes at {site.member}. The longest pause between two rows was {gap:.1f} s.")

    def _until(self, reached: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + SLOW
        while not reached():
            self._listen(0.1)
            if time.monotonic() > deadline:
                raise DemoError(f"not within {SLOW:.0f} s: {what}")

    def _listen(self, seconds: float) -> None:
        """For so long, show what tcf-run says."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(0.05)
            for site in self._pair.sites:
                lines = site.log("tcf-run").splitlines()
                for line in lines[self._said[site.member] :]:
                    said = line.removeprefix("tcf-run: ").partition(": /")[0]
                    say(f"  {now() - self._began:5.1f} s  {site.member}  {said}")
                self._said[site.member] = len(lines)
