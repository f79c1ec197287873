"""Figures and their table."""

from __future__ import annotations

import operator
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

_HEAD = ("part", "figure", "runs", "measured", "floor", "ratio, pair by pair", "goal", "")
_COMPARED: dict[str, Callable[[float, float], bool]] = {"≥": operator.ge, "≤": operator.le}


@dataclass(frozen=True)
class Goal:
    """`≥ 0.95` or `≤ 1.1`: for the ratio to the floor, or for the figure itself if there is no floor."""

    sign: str
    limit: float

    def met(self, value: float) -> bool:
        return _COMPARED[self.sign](value, self.limit)


@dataclass(frozen=True)
class Figure:
    """What was measured in each run, and the floor in the same runs if there is one."""

    part: str
    name: str
    unit: str
    values: Sequence[float]
    floor: Sequence[float] = ()
    goal: Goal | None = None
    worst: bool = False
    """The goal is for the worst value, not for the median."""

    @property
    def ratios(self) -> list[float]:
        return (
            [ours / theirs for ours, theirs in zip(self.values, self.floor, strict=True)]
            if self.floor
            else []
        )

    @property
    def met(self) -> bool | None:
        """None without a goal."""
        if self.goal is None:
            return None
        compared = self.ratios or list(self.values)
        return self.goal.met(max(compared) if self.worst else statistics.median(compared))

    def cells(self) -> tuple[str, ...]:
        goal = ""
        if self.goal:
            goal = f"{self.goal.sign} {self.goal.limit:g}{' x' if self.floor else f' {self.unit}'}"
        verdict = {None: "", True: "met", False: "**missed**"}[self.met]
        unit = f" {self.unit}" if self.unit else ""
        return (
            self.part,
            self.name,
            str(len(self.values)),
            _spread(self.values) + unit,
            _spread(self.floor) + unit if self.floor else "",
            _spread(self.ratios) if self.floor else "",
            goal,
            verdict,
        )


def verdict(figures: Iterable[Figure]) -> str:
    """How many goals are met, and which are not."""
    judged = [figure for figure in figures if figure.goal]
    missed = [f"{figure.part}, {figure.name}" for figure in judged if not figure.met]
    met = f"{len(judged) - len(missed)} of {len(judged)} goals are met"
    return f"{met}. Missed: {'; '.join(missed)}." if missed else f"{met}."


def table(figures: Iterable[Figure]) -> str:
    rows = [_HEAD, tuple("---" for _ in _HEAD), *(figure.cells() for figure in figures)]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _spread(values: Sequence[float]) -> str:
    middle = _short(statistics.median(values))
    if len(values) == 1:
        return middle
    return f"{middle} ({_short(min(values))} to {_short(max(values))})"


def _short(value: float) -> str:
    """Three significant digits."""
    if abs(value) >= 100:  # noqa: PLR2004
        return f"{value:,.0f}"
    return f"{value:.3g}"
