"""The types of the options of a request, with the limits that a worker's parameters have."""

from __future__ import annotations

import click

from tcf.core.annotations import LONGEST_TERM
from tcf.hub.records import seconds
from tcf.runtime.text import unfit


class _ReasonType(click.ParamType[str]):
    name = "TEXT"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if wrong := unfit(value):
            self.fail(f"it {wrong}", param, ctx)
        return value


class _TermType(click.ParamType[int]):
    name = "N"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if not value.isascii() or not value.isdigit() or len(value) > LONGEST_TERM:
            self.fail(f"{value!r} is not a term such as 1795457003000 (see kubectl tcf list)", param, ctx)
        return int(value)


class _DurationType(click.ParamType[int]):
    """A time span in whole seconds, as in the resource."""

    name = "TIME"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            found = seconds(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        return found


REASON = _ReasonType()
TERM = _TermType()
DURATION = _DurationType()
