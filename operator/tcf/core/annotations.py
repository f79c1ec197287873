"""Labels and annotations of this project, and the form `WORD/TERM` of the values that annotations have."""

from __future__ import annotations

from dataclasses import dataclass

LABEL_FEDERATION = "tcf.dev/federation"
LABEL_CLUSTER = "tcf.dev/cluster"
LABEL_OPERATOR = "tcf.dev/operator"
LABEL_ROLE = "tcf.dev/role"
ANNOTATION_ACKNOWLEDGED = "tcf.dev/acknowledged"
ANNOTATION_APPLICATION = "tcf.dev/application"
ANNOTATION_HELD_BY = "tcf.dev/held-by"
ANNOTATION_ISOLATION = "tcf.dev/isolation"
ANNOTATION_LAST_ACTIVE = "tcf.dev/last-active"
ANNOTATION_LONGEST_LEASE = "tcf.dev/longest-lease"
ANNOTATIONS_OF_OPERATORS = "tcf.dev/operator-"
"""The beginning of those on a heartbeat, one for each operator."""
LONGEST_TERM = 18
"""The most digits that a term may have. It fits into the API's int64 and still has room to rise."""


def parse_pair(text: str | None) -> tuple[str, int] | None:
    """The two parts of `WORD/TERM`; None for anything else."""
    word, _, term = (text or "").rpartition("/")
    valid = word and term.isascii() and term.isdigit() and len(term) <= LONGEST_TERM
    return (word, int(term)) if valid else None


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """A worker knows table `term` of object `uid`, and has lowered itself if that table requires it."""

    uid: str
    term: int

    def __str__(self) -> str:
        return f"{self.uid}/{self.term}"

    @classmethod
    def parse(cls, text: str | None) -> Acknowledgement | None:
        """The inverse of `str`; None for anything else, so a damaged annotation acknowledges nothing."""
        pair = parse_pair(text)
        return cls(*pair) if pair else None


NOBODY = "-"
"""In a note: no member was active, and none was about to become active. (No member can have this id.)"""


@dataclass(frozen=True, slots=True)
class LastActive:
    """A note of the member that was active last. It outlives the status, and a bootstrap chooses by it."""

    member: str
    term: int

    def __str__(self) -> str:
        return f"{self.member}/{self.term}"

    @classmethod
    def parse(cls, text: str | None) -> LastActive | None:
        """The inverse of `str`; None for anything else."""
        pair = parse_pair(text)
        return cls(*pair) if pair else None
