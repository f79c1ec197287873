"""Asks a person to agree to what a command is about to do."""

from __future__ import annotations

import click

from tcf.ctl.exits import Exit, StopError
from tcf.ctl.terminal import can_ask, ctrl_c_ends_the_process


def check_can_ask() -> None:
    """Raises StopError if there is nobody who could agree."""
    if not can_ask():
        raise StopError(
            "there is no terminal to ask you on: add --yes to act without a question, or --dry-run to look",
            status=Exit.USAGE,
        )


def agree(question: str) -> None:
    """Raises StopError unless the person says yes."""
    with ctrl_c_ends_the_process():
        agreed = click.confirm(question, err=True)
    _check(agreed=agreed)


def agree_by_typing(word: str, question: str) -> None:
    """Raises StopError unless the person types the word."""
    with ctrl_c_ends_the_process():
        typed = click.prompt(question, err=True, default="")
    _check(agreed=typed == word)


def _check(*, agreed: bool) -> None:
    if not agreed:
        raise StopError("you did not agree, so nothing was changed")
