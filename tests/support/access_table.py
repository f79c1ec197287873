"""Who may do what: the table of what a worker answers, to be compared with the table of what it should."""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product

from rig.asking import Answer, ask
from rig.hub_namespace import HubNamespace
from rig.tcf_processes import TcfProcess, TcfProcesses

Table = dict[str, str]
"""For each caller, a word for each kind of request (`_COLUMNS`): `yes`, or the status of the refusal."""

Request = tuple[str, str]
"""A method, and a path with its query."""
_GETS = (
    *product(("GET", "HEAD", "OPTIONS"), ("/tcf/status", "/tcf/is_active", "/tcf/clusters")),
    *product(("GET", "HEAD"), ("/tcf/holds",)),
)
_HOLDS = (
    ("DELETE", "/tcf/holds/app"),
    ("PUT", "/tcf/holds/app?for=1s"),
    ("DELETE", "/tcf/holds/app"),
)
"""The first request is of somebody who has not been let in before. The last one leaves no hold."""
_LOOK, _SWITCH = "get clusterfederations", "create clusterfederations/switchover"


def _posts(query: str) -> tuple[Request, ...]:
    """In an order in which each of them moves the role, if cluster_1 is active at first."""
    return tuple(("POST", f"/tcf/{what}{query}") for what in ("toggle", "promote", "demote"))


@dataclass(frozen=True)
class _Column:
    """Requests whose answers have to agree. `missing`: what a refusal may say that the caller lacks."""

    requests: tuple[Request, ...]
    missing: tuple[str, ...]
    moves: bool = False


_COLUMNS = {
    "GET": _Column(_GETS, (_LOOK,)),
    "hold": _Column(_HOLDS, ("update clusterfederations/holds",)),
    "dry run": _Column(_posts("?dry_run=true"), (_LOOK,)),
    "forced dry run": _Column(_posts("?dry_run=true&force=true"), (_LOOK,)),
    "POST": _Column(_posts(""), (_SWITCH,), moves=True),
    "forced POST": _Column(_posts("?force=true"), (_SWITCH, "create clusterfederations/force"), moves=True),
}


@dataclass(frozen=True)
class Caller:
    """Who asks: the header Authorization if there is one, and the connection's TLS unless it is plain."""

    authorization: str | None = None
    tls: ssl.SSLContext | None = None

    def ask(self, worker: TcfProcess, method: str, path: str) -> Answer:
        headers = {"Authorization": self.authorization} if self.authorization is not None else {}
        return ask(worker.port, method, path, headers=headers, tls=self.tls)


def bearer(token: str, tls: ssl.SSLContext | None = None) -> Caller:
    """Somebody who has this token."""
    return Caller(f"Bearer {token}", tls)


def read_table(text: str) -> Table:
    """A table with the names of its columns on top, and at least two blanks between columns."""
    head, *rows = (re.split(r"\s{2,}", line.strip()) for line in text.strip().splitlines())
    assert head == list(_COLUMNS)
    return {name: " ".join(cells) for name, *cells in rows}


def open_worker(hub: HubNamespace, programs: TcfProcesses) -> TcfProcess:
    """Create the federation, with an operator that answers for cluster_2; start a worker of cluster_1."""
    hub.apply(leaseDuration="15s")
    programs.operator("--serve", f"{hub.namespace}/shop/cluster_2=127.0.0.1:0")
    worker = programs.worker("cluster_1")
    worker.await_active()
    return worker


@dataclass(frozen=True)
class Door:
    """Two workers of cluster_1 in the federation `shop`: one is guarded, one lets in everybody."""

    guarded: TcfProcess
    open: TcfProcess

    def table(self, callers: Mapping[str, Caller]) -> Table:
        """What the guarded worker answers to each caller.

        Only POSTs move a role, unless they are refused or dry runs.
        """
        self.guarded.await_ready()
        return {name: self._row(caller) for name, caller in callers.items()}

    def _row(self, caller: Caller) -> str:
        cells = []
        term = self._make_cluster_1_active()
        for column in _COLUMNS.values():
            verdicts = [
                _verdict(caller.ask(self.guarded, method, path), column) for method, path in column.requests
            ]
            cells.append("/".join(dict.fromkeys(verdicts)))
            moved = self._moved_since(term)
            assert moved == (column.moves and "yes" in verdicts)
            if moved:
                term = self._make_cluster_1_active()
        return " ".join(cells)

    def _make_cluster_1_active(self) -> str:
        """The term of the table in which it is."""
        answer = self.open.post("/tcf/promote")
        assert answer.status == 200, answer
        return answer.headers["X-TCF-Term"]

    def _moved_since(self, term: str) -> bool:
        """Has the hub a table of another term?"""
        return self.open.post(f"/tcf/promote?dry_run=true&expected_term={term}").reason == "TermMismatch"


def _verdict(answer: Answer, column: _Column) -> str:
    if answer.status in {200, 204, 418}:
        return "yes"
    if answer.status == 401:
        assert answer.reason == "Unauthenticated"
        assert answer.headers["WWW-Authenticate"] == "Bearer"
    if answer.status == 403:
        assert answer.reason == "Forbidden"
    if answer.body:  # the answer to a HEAD has none
        told = answer.error
        assert answer.status != 403 or any(f"{right} of shop" in told for right in column.missing)
    return str(answer.status)
