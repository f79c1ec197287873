#!/usr/bin/env python3
"""Moves PostgreSQL between two sites, each with a Patroni cluster, as `tcf-run` asks for it.

Commands, each for one option of `tcf-run`:

  on-active    make this site's PostgreSQL the primary; returns when it takes writes
  on-passive   make it follow the other site; succeeds only when that one has all that was committed here
  check        is the PostgreSQL of this site healthy?

And:

  may-promote  for Patroni's pre_promote: succeeds only while the worker says that this site is active
  status       show both sites, and how many bytes of WAL the follower lacks

It needs Python 3.11 and nothing else. docs/postgresql.md explains how it is set up, and patroni-switch.toml
beside this file is an example of its configuration.
Exit status: 0 done or healthy; 1 not (yet), see stderr; 2 usage.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import http.client
import json
import ssl
import sys
import time
import tomllib
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Json = dict[str, Any]

CONFIG = Path("/etc/tcf/patroni-switch.toml")
ATTEMPT = 10.0
"""Seconds for which one attempt may wait for Patroni. tcf-run makes as many as it needs."""
DEADLINE = 3.0
"""Seconds that a server has to answer."""
_OWES = "tcf_owes"
"""A key of our own in the configuration that Patroni keeps: `Site.owes`. Patroni leaves it alone."""
PAUSE = 0.1
"""Seconds between two looks at Patroni."""


class SwitchError(Exception):
    """What stands in the way, in words for a person."""


# --- what is known of a site, and what follows from it ----------------------------------------------------


@dataclass(frozen=True)
class Node:
    """One PostgreSQL, as its Patroni describes it.

    Attributes:
        state: Patroni's word, such as "running"; "unreachable" if Patroni does not answer.
        leads: it is the leader of its Patroni cluster.
        writes: it is not in recovery, so it takes writes.
        received: bytes of WAL, counted from its very beginning, that it may have; 0 if unknown.
        applied: bytes of WAL that it certainly has, on disk and applied.
        timeline: of that WAL; 0 if unknown.
    """

    name: str
    state: str
    leads: bool = False
    writes: bool = False
    received: int = 0
    applied: int = 0
    timeline: int = 0

    @property
    def runs(self) -> bool:
        return self.state == "running" and self.applied > 0


@dataclass(frozen=True)
class Site:
    """A Patroni cluster.

    Attributes:
        follows: the settings of the standby_cluster in its configuration; {} if there is none.
        owes: it has been the primary, and it is not certain yet that the other site has everything.
    """

    nodes: tuple[Node, ...]
    follows: Json = field(default_factory=dict)
    owes: bool = False

    @property
    def leader(self) -> Node | None:
        return next((node for node in self.nodes if node.leads), None)


def trouble(site: Site) -> str:
    """Why a site's PostgreSQL is not healthy; "" if it is."""
    if site.leader is None:
        return "Patroni has no leader"
    if not site.leader.runs:
        return f"the PostgreSQL of {site.leader.name} does not run ({site.leader.state})"
    return ""


def still_writing(site: Site) -> str:
    """Why somebody may still write at a site; "" if certainly nobody can."""
    if not site.nodes:
        return "Patroni knows no server of its own"
    for node in site.nodes:
        if node.writes:
            return f"{node.name} still takes writes"
        if node.state in ("unreachable", "unknown"):
            return f"{node.name} may still take writes: its Patroni says {node.state}"
    return ""


def lacking(former: Site, successor: Site) -> int | str:
    """How many bytes that the former site has the successor lacks; or why that is not known.

    The answer is final only when nobody writes at the former site. What counts is the end of the checkpoint
    that PostgreSQL writes when it shuts down: it comes after everything that was ever committed.
    """
    ours, theirs = former.leader, successor.leader
    if theirs is None or not theirs.runs:
        return f"nobody knows what the site that takes over has: {trouble(successor)}"
    if theirs.writes:
        return 0  # it has begun a timeline of its own: nothing more can come
    if ours is None or not ours.runs:
        return f"nobody knows what was committed last: {trouble(former)}"
    if not ours.timeline or not theirs.timeline:
        return "a timeline is not known yet"
    if theirs.timeline < ours.timeline:
        return f"timeline {ours.timeline} has not arrived at {theirs.name}"
    if theirs.timeline > ours.timeline:
        return 0  # it has begun with a promotion, after which nothing of an older one is ever applied
    last = max(node.received for node in former.nodes if node.timeline == ours.timeline)
    return max(0, last - theirs.applied)


def holding_up_passive(here: Site, there: Site | str) -> str:
    """Why this site may not let go yet; "" if the other one has everything and nobody writes here."""
    if reason := still_writing(here):
        return reason
    if not here.owes:
        return ""
    if reason := trouble(here):
        return f"nobody knows what was committed last: {reason}"
    if isinstance(there, str):
        return f"nobody knows whether the other site has everything: {there}"
    missing = lacking(here, there)
    return missing if isinstance(missing, str) else f"the other site lacks {missing} bytes" if missing else ""


# --- Patroni and the worker -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Access:
    """How to talk to Patroni's REST API. Both sites have the same."""

    username: str = ""
    password_file: str = ""
    ca_file: str = ""
    certificate: str = ""
    key: str = ""

    def headers(self) -> dict[str, str]:
        if not self.username:
            return {}
        both = f"{self.username}:{Path(self.password_file).read_text().strip()}"
        return {"Authorization": "Basic " + base64.b64encode(both.encode()).decode()}

    def tls(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.ca_file or None)
        if self.certificate:
            context.load_cert_chain(self.certificate, self.key or None)
        return context


@dataclass(frozen=True)
class Patroni:
    """The Patroni cluster of a site.

    Attributes:
        urls: of the REST API of any of its nodes, best of all.
        standby_cluster: its configuration while this site follows the other one.
    """

    urls: tuple[str, ...]
    standby_cluster: Json
    access: Access

    def read(self) -> Site:
        """Ask the first node that answers for all nodes, and each of these about itself.

        Raises:
            SwitchError: no node answers.
        """
        troubles = []
        for url in self.urls:
            try:
                members = self._members(url)
                config = self._ask(f"{url}/config")
            except SwitchError as error:
                troubles.append(str(error))
            else:
                return Site(
                    tuple(map(self._node, members)), config.get("standby_cluster") or {}, _OWES in config
                )
        raise SwitchError("; ".join(troubles))

    def follow(self, site: Site) -> None:
        """Make this site follow the other one. If it does not do so yet, it owes what it has written."""
        owes = True if site.owes or not site.follows else None
        self._change("PATCH", "config", {"standby_cluster": self.standby_cluster, _OWES: owes})

    def settle(self) -> None:
        """Note that the other site has everything."""
        self._change("PATCH", "config", {_OWES: None})

    def lead(self) -> None:
        """Make this site follow nobody."""
        self._change("PATCH", "config", {"standby_cluster": None, _OWES: None})

    def _change(self, method: str, path: str, body: Json) -> None:
        """Send a change to the leader if there is one: its Patroni then acts at once."""
        troubles = []
        for url in self.urls:
            try:
                members = self._members(url)
            except SwitchError as error:
                troubles.append(str(error))
                continue
            leaders = [_root(each["api_url"]) for each in members if _leads(each)]
            ask(method, f"{(*leaders, url)[0]}/{path}", body, self.access)
            return
        raise SwitchError("; ".join(troubles))

    def elect(self, site: Site, report: Callable[[str], None]) -> bool:
        """Ask Patroni to make the node with the most WAL the leader; return whether there is such a node.

        By itself it elects no node that has less WAL than the cluster once had. After a failover this
        may be every node: pg_rewind has removed what the other site does not have.
        """
        candidate = max(site.nodes, key=lambda node: node.applied, default=None)
        if candidate is None or not candidate.runs:
            return False
        report(f"asking Patroni to make {candidate.name} the leader")
        try:
            self._change("POST", "failover", {"candidate": candidate.name})
        except SwitchError as error:
            report(str(error))
        return True

    def is_to_follow(self, site: Site) -> bool:
        """Whether its configuration says that it follows the other site, with the right settings."""
        return bool(site.follows) and all(
            site.follows.get(key) == value for key, value in self.standby_cluster.items()
        )

    def _members(self, url: str) -> list[Json]:
        """The nodes that a node knows. Raises SwitchError if it does not say."""
        members = self._ask(f"{url}/cluster").get("members")
        fields = {"name", "role", "api_url"}
        if not isinstance(members, list) or not all(
            isinstance(member, dict) and fields <= member.keys() for member in members
        ):
            raise SwitchError(f"GET {url}/cluster: the answer does not list the nodes")
        return members

    def _node(self, member: Json) -> Node:
        name, leads = member["name"], _leads(member)
        try:
            # If its PostgreSQL does not run, it answers 503, and describes itself as always.
            found = self._ask(f"{_root(member['api_url'])}/patroni", fine=(200, 503))
        except SwitchError:
            return Node(name, "unreachable", leads)
        wal = found.get("xlog", {})
        writes = "location" in wal
        applied = wal.get("location" if writes else "replayed_location", 0)
        received = max(applied, wal.get("received_location", 0))
        return Node(name, found["state"], leads, writes, received, applied, found.get("timeline") or 0)

    def _ask(self, url: str, fine: tuple[int, ...] = (200,)) -> Json:
        answer = ask("GET", url, None, self.access, fine)
        try:
            found = json.loads(answer)
        except ValueError:
            raise SwitchError(f"GET {url}: the answer is no JSON") from None
        if not isinstance(found, dict):
            raise SwitchError(f"GET {url}: the answer is not one of Patroni")
        return found


def _leads(member: Json) -> bool:
    return member["role"] in ("leader", "standby_leader")


def _root(api_url: str) -> str:
    """The URL of a node's REST API, from what Patroni calls its api_url."""
    return api_url.removesuffix("/patroni")


def ask(
    method: str, url: str, body: Json | None, access: Access, fine: tuple[int, ...] = (200, 202)
) -> bytes:
    """Send one request; return the answer. No redirect is followed, and no proxy of the environment is used.

    Raises:
        SwitchError: there was no answer, or its status is not `fine`.
    """
    parts = urllib.parse.urlsplit(url)
    place = parts.hostname or "", parts.port
    try:
        connection = (
            http.client.HTTPSConnection(*place, timeout=DEADLINE, context=access.tls())
            if parts.scheme == "https"
            else http.client.HTTPConnection(*place, timeout=DEADLINE)
        )
        with contextlib.closing(connection):
            headers = {"Content-Type": "application/json", **access.headers()}
            connection.request(method, parts.path, json.dumps(body) if body is not None else None, headers)
            response = connection.getresponse()
            answer = response.read()
    except (OSError, http.client.HTTPException) as error:
        raise SwitchError(f"{method} {url}: {str(error) or type(error).__name__}") from error
    if response.status not in fine:
        said = answer[:100].decode(errors="replace")
        raise SwitchError(f"{method} {url}: {response.status} {response.reason if '<' in said else said}")
    return answer


# --- the commands -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Switch:
    """Both sites, and the worker of this one.

    Attributes:
        patience: seconds without progress after which a promotion waits no more for what the other site has.
    """

    here: Patroni
    there: Patroni
    worker: str
    patience: float

    def on_passive(self) -> None:
        report, deadline, asked = Report(), time.monotonic() + ATTEMPT, False
        while True:
            here = self.here.read()
            if self.here.is_to_follow(here):
                there = self._there()
                if not (reason := holding_up_passive(here, there)):
                    if here.owes:
                        self.here.settle()
                    return
            else:
                self.here.follow(here)
                reason = "this site has to follow the other one from now on"
            report(reason)
            # Patroni elects a leader by itself, in most cases.
            if not here.leader and not still_writing(here) and time.monotonic() > deadline - ATTEMPT / 2:
                asked = asked or self.here.elect(here, report)
            if time.monotonic() > deadline:
                raise SwitchError(f"this site cannot let go yet: {reason}")
            time.sleep(PAUSE)

    def on_active(self) -> None:
        if self._is_primary(self.here.read()):
            return
        self._fetch_the_rest()
        self.require_active()
        self.here.lead()
        deadline = time.monotonic() + ATTEMPT
        while not self._is_primary(here := self.here.read()):
            if time.monotonic() > deadline:
                raise SwitchError(f"not a primary yet: {trouble(here) or 'Patroni has not promoted it'}")
            time.sleep(PAUSE)

    def check(self) -> None:
        if reason := trouble(self.here.read()):
            raise SwitchError(reason)

    def status(self) -> None:
        sites = {"here": self.here.read(), "there": self._there()}
        for name, site in sites.items():
            if isinstance(site, str):
                print(f"{name}: {site}")
                continue
            print(f"{name}: {'follows the other site' if site.follows else 'has the primary'}")
            for node in site.nodes:
                role = "leader" if node.leads else "replica"
                print(f"  {node.name}: {role}, {node.state}, timeline {node.timeline}, WAL {node.applied}")
        here, there = sites.values()
        if isinstance(here, Site) and isinstance(there, Site):
            former, successor = (there, here) if here.follows else (here, there)
            missing = lacking(former, successor)
            print(missing if isinstance(missing, str) else f"the follower lacks {missing} bytes")

    def _fetch_the_rest(self) -> None:
        """If the other site can be reached, it becomes a standby, and this one gets all that it has.

        After a switch, the other site has done so already. After a failover, maybe only its worker is dead.

        Raises:
            SwitchError: the other site can be reached and goes on taking writes.
        """
        report, progress, ran = Report(), Progress(), False
        while not isinstance(there := self._there(), str):
            self._demote(there, report)
            ran = ran or not trouble(there)
            if not ran:
                report(f"going on without the other site: {trouble(there)}")
                return
            missing = lacking(there, self.here.read())
            stuck = progress.pause(missing) > self.patience
            if writing := next((node.name for node in there.nodes if node.writes), ""):
                report(f"{writing}, at the other site, still takes writes")
                if stuck:
                    raise SwitchError(f"no promotion while {writing}, at the other site, takes writes")
            elif not missing:
                return
            elif stuck:
                report(f"nothing more comes from the other site, going on without it: {missing}")
                return
            time.sleep(PAUSE)
        report(f"going on without the other site, which cannot be reached: {there}")

    def _demote(self, there: Site, report: Report) -> None:
        if self.there.is_to_follow(there):
            return
        self.require_active()
        try:
            self.there.follow(there)
        except SwitchError as error:
            report(f"the other site could not be told to follow this one: {error}")

    def _there(self) -> Site | str:
        try:
            return self.there.read()
        except SwitchError as error:
            return str(error)

    def _is_primary(self, site: Site) -> bool:
        """Not only by its configuration: Patroni calls a node the primary before it takes writes."""
        return not site.follows and site.leader is not None and site.leader.writes and site.leader.runs

    def require_active(self) -> None:
        """Ask the worker. A promotion that comes late, after this site has lost the role, stops here.

        Raises:
            SwitchError: this site is not active.
        """
        try:
            ask("GET", f"{self.worker}/tcf/is_active", None, Access())
        except SwitchError as error:
            raise SwitchError(f"this site is not active: {error}") from None


class Progress:
    """Notices how long nothing has arrived."""

    def __init__(self) -> None:
        self._least, self._moved = sys.maxsize, time.monotonic()

    def pause(self, missing: int | str) -> float:
        """Seconds since fewer bytes than ever were missing."""
        if isinstance(missing, int) and missing < self._least:
            self._least, self._moved = missing, time.monotonic()
        return time.monotonic() - self._moved


class Report:
    """Says on stderr what is being waited for, once for each reason."""

    def __init__(self) -> None:
        self._said: set[str] = set()

    def __call__(self, reason: str) -> None:
        kind = "".join("#" if letter.isdigit() else letter for letter in reason)
        if kind not in self._said:
            self._said.add(kind)
            print(reason, file=sys.stderr, flush=True)


# --- configuration and command line -----------------------------------------------------------------------


def _urls(given: object, name: str) -> tuple[str, ...]:
    """Raises ValueError unless it is a list of URLs that can be asked."""
    if not isinstance(given, list) or not given:
        raise ValueError(f'{name} is {given!r}; give a list of URLs such as ["http://10.1.0.11:8008"]')
    for url in given:
        parts = urllib.parse.urlsplit(str(url))
        if parts.scheme not in {"http", "https"} or not parts.hostname or (parts.port or 1) < 1:
            raise ValueError(f"{name}: {url!r} is not a URL such as http://10.1.0.11:8008")
    return tuple(str(url).rstrip("/") for url in given)


def load(path: Path) -> Switch:
    """Read the configuration.

    Raises:
        SwitchError: it cannot be read, or lacks something.
    """
    try:
        found = tomllib.loads(path.read_text())
        access = Access(**found.get("rest", {}))
        here, there = (
            Patroni(_urls(found[site]["patroni"], f"{site}.patroni"), found[site]["standby_cluster"], access)
            for site in ("here", "there")
        )
        (worker,) = _urls([found["worker"]], "worker")
        return Switch(here, there, worker, float(found["patience"]))
    except OSError as error:
        raise SwitchError(f"{path}: {error.strerror}") from error
    except KeyError as error:
        raise SwitchError(f"{path}: {error} is missing") from error
    except (ValueError, TypeError) as error:
        raise SwitchError(f"{path}: {error}") from error


COMMANDS: dict[str, Callable[[Switch], None]] = {
    "on-active": Switch.on_active,
    "on-passive": Switch.on_passive,
    "check": Switch.check,
    "may-promote": Switch.require_active,
    "status": Switch.status,
}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", type=Path, default=CONFIG, metavar="FILE", help=f"default: {CONFIG}")
    parser.add_argument("command", choices=COMMANDS)
    options = parser.parse_args(arguments)
    try:
        COMMANDS[options.command](load(options.config))
    except SwitchError as error:
        print(f"{options.command}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
