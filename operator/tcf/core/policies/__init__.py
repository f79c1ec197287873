"""The reasons for which a request is refused: one per module, each `check(proposal) -> Refusal | None`.

A policy knows nothing of HTTP or of where the request came from beyond what `Proposal` says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from tcf.core.model import Refusal, Spec, Status, Unfenceable


@dataclass(frozen=True, slots=True)
class Proposal:
    """A wish to make `target` ("" for nobody) the active member, and what it is judged by.

    Attributes:
        spec, status: of the federation, from one read.
        cluster: the member on whose behalf it is made.
        target: the member that is to become active, "" for nobody.
        live_workers: how many workers of the target are alive, as far as the one who judges knows.
        unfenceable: silent workers under KeepRole, which no wait will ever fence.
        expected_term: the term that the client believes to be current, None if it does not say.
        force: a person overrides what may be overridden.
    """

    spec: Spec
    status: Status
    cluster: str
    target: str
    live_workers: int = 0
    unfenceable: tuple[Unfenceable, ...] = ()
    expected_term: int | None = None
    force: bool = False


Policy = Callable[[Proposal], Refusal | None]


def first_refusal(policies: Iterable[Policy], proposal: Proposal) -> Refusal | None:
    """The verdict of the first policy that objects."""
    return next((refusal for policy in policies if (refusal := policy(proposal))), None)
