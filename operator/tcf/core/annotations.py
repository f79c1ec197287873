"""Labels and annotations of this project, and the notes of the form `WORD/TERM` that annotations hold."""

from __future__ import annotations

from dataclasses import dataclass

LABEL_FEDERATION = "tcf.dev/federation"
LABEL_CLUSTER = "tcf.dev/cluster"
ANNOTATION_ACKNOWLEDGED = "tcf.dev/acknowledged"
ANNOTATION_ISOLATION = "tcf.dev/isolation"
ANNOTATION_LAST_ACTIVE = "tcf.dev/last-active"
ANNOTATION_LONGEST_LEASE = "tcf.dev/longest-lease"
LONGEST_TERM = 18
"""Digits of a term; more would not fit the API's int64, with room to rise."""


def parse_pair(text: str | None) -> tuple[str, int] | None:
    """The parts of `WORD/TERM`, the form of every annotation of this project; None for anything else."""
    word, _, term = (text or "").rpartition("/")
    valid = word and term.isascii() and term.isdigit() and len(term) <= LONGEST_TERM
    return (word, int(term)) if valid else None


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """A worker's word that it has lowered itself as far as table `term` of object `uid` demands."""

    uid: str
    term: int

    def __str__(self) -> str:
        return f"{self.uid}/{self.term}"

    @classmethod
    def parse(cls, text: str | None) -> Acknowledgement | None:
        """The inverse of `str`; None for anything else, so that a damaged note acknowledges nothing."""
        pair = parse_pair(text)
        return cls(*pair) if pair else None


NOBODY = "-"
"""In a note: no member was active, and nobody was to become so. (It is no valid id.)"""


@dataclass(frozen=True, slots=True)
class LastActive:
    """Who was active at which term: a note that outlives the status, for the choice of who begins."""

    member: str
    term: int

    def __str__(self) -> str:
        return f"{self.member}/{self.term}"

    @classmethod
    def parse(cls, text: str | None) -> LastActive | None:
        """The inverse of `str`; None for anything else."""
        pair = parse_pair(text)
        return cls(*pair) if pair else None
