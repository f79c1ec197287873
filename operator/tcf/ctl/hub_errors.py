"""What a person reads when the hub does not do what a command asks for."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

from tcf.ctl.exits import Exit, StopError
from tcf.hub import errors

T = TypeVar("T")

_RIGHTS = "docs/security.md says which rights that takes; kubectl tcf doctor shows which you have"


def told(error: errors.HubError, *, status: Exit = Exit.REFUSED) -> StopError:
    """The error of the hub for a person who asked for something that was not carried out."""
    match error:
        case errors.ForbiddenError(policy=policy) if policy:
            return StopError(f"an admission policy of the hub refuses this: {policy}", _RIGHTS, status=status)
        case errors.ForbiddenError():
            return StopError(str(error), _RIGHTS, status=status)
        case errors.KindNotFoundError():
            return StopError(
                "the hub knows no federations: the CRD is not installed there, or this is not the hub",
                "check --context, or install the CRD (docs/install.md)",
                status=status,
            )
        case errors.NotConfiguredError():
            return StopError(
                str(error), "name a kubeconfig with --kubeconfig, or set KUBECONFIG", status=status
            )
        case _:
            return StopError(str(error), status=status)


def run(work: Coroutine[Any, Any, T], *, unreachable: Exit = Exit.REFUSED) -> T:
    """Run a command to its end.

    Args:
        unreachable: the exit status if the hub does not answer.

    Raises:
        StopError: the hub refuses something, or does not answer.
    """
    import asyncio  # noqa: PLC0415 - --help needs none of it

    try:
        return asyncio.run(work)
    except errors.HubError as error:
        raise told(error, status=unreachable) from error


def no_federation(name: str, namespace: str) -> StopError:
    return StopError(
        f"there is no federation {name} in namespace {namespace}",
        "see which there are: kubectl tcf list -A",
        "choose another namespace with -n",
    )
