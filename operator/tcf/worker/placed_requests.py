"""Requests in the status of a federation: how they are placed, waited for and withdrawn.

A worker does this for its clients, and `kubectl tcf` for a person. `core.admission` decides what may be
placed, and `core.claims` what is known of the outcome. This module only reads, writes and waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any, Protocol, TypeVar

from tcf.core import claims
from tcf.core.admission import Accepted, Admission, Command, admit
from tcf.core.claims import PATIENCE_SECONDS, Patience
from tcf.core.history import untouched, withdrawn
from tcf.core.model import Federation, HistoryEntry, Status
from tcf.hub import errors
from tcf.hub.interfaces import FederationStore
from tcf.hub.records import newer
from tcf.runtime.backoff import Backoff
from tcf.runtime.clock import Clock
from tcf.runtime.waiting import within

T = TypeVar("T")

READ_SECONDS = 5.0
"""The deadline of one read or write that somebody waits for."""


class OutcomeUnknownError(Exception):
    """A write was sent, and this program cannot find out whether it was carried out."""


class HubLostError(OutcomeUnknownError):
    """The same, and only because the hub does not answer: when it is back, this program can find out."""


class Sight(Protocol):
    """What the program that waits for a request sees of the federation meanwhile.

    Attributes:
        latest: the newest version seen; None before the first, and while there is no such object.
        stopped: nothing more will be seen.
    """

    @property
    def latest(self) -> Federation | None: ...

    @property
    def stopped(self) -> bool: ...

    def known_term(self, uid: str) -> int:
        """The highest term that was seen of object `uid`; 0 if that is not the present one."""

    def changed(self) -> Coroutine[Any, Any, None]:
        """Wait until `latest` may have changed."""


class PlacedRequests:
    """Requests of one program in one federation. Every method but `check_is_still` raises `HubError`."""

    def __init__(
        self, federations: FederationStore, namespace: str, name: str, *, sight: Sight, clock: Clock
    ) -> None:
        self._federations = federations
        self._where = namespace, name
        self._sight = sight
        self._clock = clock

    async def place(self, command: Command, *, dry_run: bool) -> tuple[Federation, Admission]:
        """Read the federation, judge the command and write the request; again after each conflict.

        Returns:
            the federation that was judged, and the verdict. If that is `Accepted`, the request is on the hub
            (but not in a dry run).

        Raises:
            OutcomeUnknownError: a write was sent, and nobody can find out what has become of it.
        """
        backoff = Backoff(first=0.01, longest=1)
        before = self._sight.latest
        known = self._sight.known_term(before.uid) if before else 0
        federation = await self._get()
        same = before is not None and before.uid == federation.uid
        if same and (refusal := claims.restored_since(federation, known)):
            return federation, refusal
        while True:
            verdict = admit(federation, command, self._clock.now())
            if dry_run or not isinstance(verdict, Accepted):
                return federation, verdict
            if await self._write(federation, verdict.status):
                return federation, verdict
            await asyncio.sleep(backoff.next())
            federation, status = await self._certainly(partial(self._after, federation, command.id))
            # The version has changed. Most likely another program has written, but it may also have been an
            # attempt of ours whose answer was lost, or one that a proxy has repeated.
            if claims.knows(status, command.id):
                return federation, verdict

    async def _write(self, federation: Federation, status: Status) -> bool:
        """Write `status`, and repeat that while the outcome is unknown. False if there is another version.

        The repetition does no harm, because it names the same version. As soon as the hub answers 409, no
        earlier attempt can succeed any more, and a read shows whether one has.
        """
        backoff = Backoff(first=0.02, longest=1)
        give_up = self._clock.boot() + PATIENCE_SECONDS
        ambiguous = False
        while True:
            try:
                await self._federations.write_status(federation, status, deadline=READ_SECONDS)
            except errors.ConflictError:
                return False
            except errors.NotFoundError as error:
                # The federation was there a moment ago. A proxy may have repeated an attempt that succeeded.
                raise OutcomeUnknownError(claims.DELETED) from error
            except errors.HubError as error:
                ambiguous = ambiguous or error.ambiguous
                if not ambiguous:
                    raise
                if self._clock.boot() >= give_up:
                    raise HubLostError(claims.hub_lost(claims.WRITING, error.public)) from error
                await asyncio.sleep(backoff.next())
            else:
                return True

    async def outcome(self, federation: Federation, request: str, *, own: bool) -> HistoryEntry:
        """How the request has ended. If it is our own and no operator acts on it in time, withdraw it.

        Raises:
            OutcomeUnknownError: nobody can find that out, or it takes too long.
        """
        patience = Patience.with_request_in(federation, self._clock.boot())
        entry = await self._ended_by(federation, request, patience.withdraw_at)
        if entry is None and own:
            entry = await self._certainly(lambda: self.withdraw(federation, request))
        entry = entry or await self._ended_by(federation, request, patience.give_up_at)
        if entry is None:
            raise OutcomeUnknownError(claims.TOO_LONG)
        return entry

    async def _ended_by(self, federation: Federation, request: str, deadline: float) -> HistoryEntry | None:
        """The request's entry in the history, as soon as this program knows it; None after `deadline`."""
        while True:
            self.check_is_still(federation)
            if self._sight.stopped:
                raise OutcomeUnknownError(claims.STOPPED)
            entry = claims.end_of(request, federation, self._sight.latest)
            left = deadline - self._clock.boot()
            if entry or left <= 0:
                return entry
            await within(left, self._sight.changed())

    async def withdraw(self, placed: Federation, request: str) -> HistoryEntry | None:
        """Withdraw a request if no operator has acted on it. Returns its end, or None if one has.

        Raises:
            OutcomeUnknownError: nobody can find out how it has ended.
        """
        while True:
            federation, status = await self._after(placed, request)
            if entry := status.ended(request):
                return entry
            if not untouched(status):
                return None
            without = withdrawn(status, request, self._clock.now())
            if without is None:
                raise OutcomeUnknownError(claims.REMOVED)
            await self._write(federation, without)

    async def _after(self, before: Federation, request: str) -> tuple[Federation, Status]:
        """The federation as it is now. It shows how a request that was made in `before` has ended."""
        known = self._sight.known_term(before.uid)
        federation = await self._get()
        if why := claims.uncertain(before, federation, request, known):
            raise OutcomeUnknownError(why)
        assert federation.status is not None  # noqa: S101 - without one, it would be uncertain
        return federation, federation.status

    def check_is_still(self, federation: Federation) -> None:
        """Raises OutcomeUnknownError if this program has since seen another object with that name."""
        latest = self._sight.latest
        if latest is None or latest.uid == federation.uid:
            return
        if newer(latest.resource_version, federation.resource_version):
            raise OutcomeUnknownError(claims.RECREATED)

    async def _get(self) -> Federation:
        return await self._federations.get(*self._where, deadline=READ_SECONDS)

    async def _certainly(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Repeat `ask` until the hub answers: it has a request of ours, and we must know its outcome."""
        backoff = Backoff(first=0.05, longest=1)
        give_up = self._clock.boot() + PATIENCE_SECONDS
        while True:
            try:
                return await ask()
            except errors.NotFoundError as error:
                raise OutcomeUnknownError(claims.DELETED) from error
            except errors.HubError as error:
                if self._clock.boot() >= give_up:
                    raise HubLostError(claims.hub_lost(claims.WAITING, error.public)) from error
            await asyncio.sleep(backoff.next())
