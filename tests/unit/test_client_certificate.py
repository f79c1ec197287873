"""Which certificates of clients count, and what is taken from them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tcf.web.client_certificate import CertificateSubject, subject

END = datetime(2027, 1, 2, 3, 4, 5, tzinfo=UTC)
CN, ORG = "commonName", "organizationName"

Fields = tuple[tuple[tuple[str, str], ...], ...]


def shown(*names: tuple[tuple[str, str], ...]) -> dict[str, object]:
    return {"subject": names, "notAfter": "Jan  2 03:04:05 2027 GMT"}


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ((((CN, "alice"),),), CertificateSubject("alice", ())),
        ((((ORG, "b"),), ((ORG, "a"),), ((CN, "alice"),)), CertificateSubject("alice", ("b", "a"))),
        ((((CN, "alice"), (ORG, "a")),), CertificateSubject("alice", ("a",))),
        ((), None),
        ((((ORG, "a"),),), None),
        ((((CN, ""),),), None),
        ((((CN, "alice"),), ((CN, "bob"),)), None),
        ((((CN, "alice"), (CN, "bob")),), None),
    ],
)
def test_a_subject_has_exactly_one_name(names: Fields, expected: CertificateSubject | None) -> None:
    assert subject(shown(*names), END - timedelta(seconds=1)) == expected


def test_a_certificate_counts_until_it_expires() -> None:
    """Even if the connection on which it was shown is still open then."""
    certificate = shown(((CN, "alice"),))
    assert subject(certificate, END - timedelta(seconds=1))
    assert subject(certificate, END) is None
