"""The worker's own Lease: created under a new name, renewed under its version, deleted at a clean stop.

Only one task uses it, one call at a time.
"""

from __future__ import annotations

import re
import secrets

from tcf.core.lease_content import Renewal
from tcf.core.model import MemberRef, WorkerLease
from tcf.hub import errors
from tcf.hub.interfaces import LeaseStore
from tcf.runtime.logs import Fields

_FAREWELL = 3.0
"""Seconds that a clean stop may take to delete the Lease. If it stays, a fence may have to wait for it."""


class LeaseChangedError(Exception):
    """The Lease had another version than expected, but is still this worker's. The new version is known now.

    What the cycle has read does not count any more: it has to begin again.
    """


class LeaseLostError(Exception):
    """This worker has no Lease any more, so another member may be promoted. It has to register again."""


class LeaseKeeper:
    """Keeps one Lease. Every method may raise `HubError`; deadlines are in seconds.

    Attributes:
        lease: as it was last written or read; None while this worker is not registered.
    """

    def __init__(self, leases: LeaseStore, member: MemberRef, *, holder: str, log: Fields) -> None:
        self.lease: WorkerLease | None = None
        self._leases = leases
        self._member = member
        self._holder = holder
        self._log = log
        self._name = _fresh_name(member)

    async def register(self, duration: int, *, deadline: float) -> None:
        """Create the Lease, with this duration in seconds.

        Raises:
            LeaseLostError: somebody has changed it already.
        """
        member = self._member
        try:
            self.lease = await self._leases.create(
                member.namespace,
                self._name,
                federation=member.federation,
                cluster=member.cluster,
                holder=self._holder,
                duration=duration,
                deadline=deadline,
            )
        except errors.ConflictError as error:
            # The name is random, so this is our own Lease, from an earlier attempt whose answer was lost.
            lease = await self._leases.get(member.namespace, self._name, deadline=deadline)
            if not counts(lease, member):
                raise self._lost("somebody has changed it") from error
            self.lease = lease
        self._log.info("registered", extra={"lease": self.lease.name})

    async def renew(self, renewal: Renewal, *, deadline: float) -> None:
        """Write the Lease.

        Raises:
            LeaseChangedError: the Lease had another version, which is known now.
            LeaseLostError: the Lease is gone, or is no longer this worker's.
            HubError: the Lease has the expected version, but the hub did not take the write.
        """
        assert self.lease is not None  # noqa: S101 - every turn begins by registering
        namespace = self._member.namespace
        try:
            self.lease = await self._leases.renew(namespace, self.lease, renewal, deadline=deadline)
        except errors.NotFoundError as error:
            raise self._lost("somebody has deleted it") from error
        except (errors.ConflictError, errors.InvalidError) as error:
            if await self._reclaim(self.lease, deadline=deadline):
                raise LeaseChangedError from error
            raise

    async def _reclaim(self, known: WorkerLease, *, deadline: float) -> bool:
        """Find out why the Lease has another version: a write of ours whose answer was lost, or something
        worse.

        As long as it is the same object, no coordinator has fenced this worker by deleting it. So the worker
        goes on with the newest version, and its present reading stays as it was.

        Returns:
            False if the Lease still has the expected version.

        Raises:
            LeaseLostError: the Lease is gone, or is no longer this worker's.
        """
        try:
            found = await self._leases.get(self._member.namespace, known.name, deadline=deadline)
        except errors.NotFoundError as error:
            raise self._lost("somebody has deleted it") from error
        if found == known:
            return False
        if found.uid != known.uid or not counts(found, self._member):
            raise self._lost("somebody has changed it, or replaced it by another")
        self.lease = found
        return True

    def _lost(self, why: str) -> LeaseLostError:
        self._log.warning("lease lost: %s", why, extra={"lease": self._name})
        self.lease = None
        self._name = _fresh_name(self._member)
        return LeaseLostError(why)

    async def leave(self, content: Renewal) -> None:
        """Write the Lease for the last time, and keep it."""
        for _ in range(2):  # a write that the stop has interrupted may have given it another version
            try:
                await self.renew(content, deadline=_FAREWELL)
            except LeaseChangedError:
                continue
            except LeaseLostError:
                return
            except errors.HubError as error:
                self._log.warning("cannot write the Lease; a switchover may need force=true: %s", error)
            return

    async def deregister(self) -> None:
        """Delete the Lease, so that no fence has to wait until it is silent."""
        if self.lease is None:
            return
        try:
            await self._leases.delete(
                self._member.namespace, self.lease, any_version=True, deadline=_FAREWELL
            )
        except errors.NotFoundError:
            pass
        except errors.HubError as error:
            self._log.warning("cannot delete the Lease; a switchover may have to wait for it: %s", error)
        self.lease = None


def counts(lease: WorkerLease, member: MemberRef) -> bool:
    """Does a coordinator count the Lease as one of this member? It goes by the labels."""
    return (lease.federation, lease.cluster) == (member.federation, member.cluster)


def _fresh_name(member: MemberRef) -> str:
    """A new name for every registration, so that no worker takes over the Lease of an earlier process."""
    readable = re.sub(r"[^a-z0-9]+", "-", f"{member.federation}-{member.cluster}".lower()).strip("-")
    return f"{readable}-{secrets.token_hex(5)}"
