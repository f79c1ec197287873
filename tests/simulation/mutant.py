"""One break of the protocol, and how it is made: public names of the product, replaced for a while."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from unittest import mock

from simulation.schedule import Profile


@dataclass(frozen=True)
class Patch:
    """Something to stand in place of `owner.name`: of a module, or of a class."""

    owner: Any
    name: str
    instead: object


@dataclass(frozen=True)
class Mutant:
    """What is broken, how, and the directed profile that has to show it."""

    name: str
    what: str
    patches: Callable[[], Iterable[Patch]]
    profile: Profile

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The product is broken within this block."""
        with ExitStack() as stack:
            for patch in self.patches():
                stack.enter_context(mock.patch.object(patch.owner, patch.name, patch.instead))
            yield


def changed(owner: Any, name: str, change: Callable[..., Any]) -> Patch:
    """Calls `change(original, *args)` instead of `owner.name(*args)`."""
    original = getattr(owner, name)

    def instead(*args: Any, **kwargs: Any) -> Any:
        return change(original, *args, **kwargs)

    return Patch(owner, name, instead)
