"""Which requests a web page has made a browser send, and which were meant for another host."""

from __future__ import annotations

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from tcf.web.cross_site import cross_site, foreign_host

Pairs = list[tuple[str, str]]


def headers(*pairs: tuple[str, str]) -> CIMultiDictProxy[str]:
    return CIMultiDictProxy(CIMultiDict(pairs))


HOST = ("Host", "tcf.example:8080")


@pytest.mark.parametrize(
    "pairs",
    [
        [],
        [("Sec-Fetch-Site", "same-origin")],
        [("Sec-Fetch-Site", "none")],
        [("Sec-Fetch-Site", "same-origin"), ("Origin", "http://evil.example")],  # browsers do not lie here
        [("Sec-Fetch-Site", "")],
        [("Origin", "http://tcf.example:8080")],
        [("Origin", "https://TCF.example:8080")],
    ],
)
def test_requests_of_programs_and_of_own_pages(pairs: Pairs) -> None:
    assert cross_site(headers(HOST, *pairs)) is None


@pytest.mark.parametrize(
    "pairs",
    [
        [("Sec-Fetch-Site", "cross-site")],
        [("Sec-Fetch-Site", "same-site")],
        [("Sec-Fetch-Site", "something new")],
        [("Sec-Fetch-Site", "cross-site"), ("Origin", "http://tcf.example:8080")],
        [("Sec-Fetch-Site", "same-origin"), ("Sec-Fetch-Site", "cross-site")],
        [("Origin", "http://evil.example")],
        [("Origin", "http://tcf.example")],
        [("Origin", "http://tcf.example:8080.evil.example")],
        [("Origin", "null")],
        [("Origin", "")],
        [("Origin", "http://[::1")],
        [("Origin", "http://tcf.example:8080"), ("Origin", "http://evil.example")],
        [("Sec-Fetch-Site", ""), ("Origin", "http://evil.example")],
    ],
)
def test_requests_of_other_pages(pairs: Pairs) -> None:
    refusal = cross_site(headers(HOST, *pairs))
    assert refusal is not None
    assert refusal.reason == "CrossSite"


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST:8080",
        "localhost.",
        "demo.localhost:1",
        "127.0.0.1",
        "127.8.9.10:80",
        "[::1]",
        "[::1]:80",
    ],
)
def test_names_of_the_loopback_address(host: str) -> None:
    assert foreign_host(headers(("Host", host))) is None


@pytest.mark.parametrize(
    "host",
    [
        "",
        ":80",
        "tcf.example",
        "localhost.evil.example",
        "evillocalhost",
        "10.0.0.1:8080",
        "[fe80::1]",
        "127.0.0.1.evil.example",
        "[::1",
    ],
)
def test_other_names(host: str) -> None:
    refusal = foreign_host(headers(("Host", host)))
    assert refusal is not None
    assert refusal.reason == "ForeignHost"


def test_no_browser_leaves_the_header_out() -> None:
    assert foreign_host(headers()) is None
    assert cross_site(headers()) is None
