"""Which proxy is used on the way to a hub: as kubectl has it."""

from __future__ import annotations

import pytest
from yarl import URL

from tcf.hub.proxies import proxy_for

PROXY = "http://proxy.example:3128"


@pytest.mark.parametrize(
    ("server", "environment", "used"),
    [
        ("https://hub.example", {}, None),
        ("https://hub.example", {"HTTPS_PROXY": PROXY}, PROXY),
        ("https://hub.example", {"https_proxy": PROXY}, PROXY),
        ("https://hub.example", {"HTTPS_PROXY": "proxy.example:3128"}, PROXY),
        ("https://hub.example", {"HTTP_PROXY": PROXY}, None),
        ("http://hub.example", {"HTTP_PROXY": PROXY}, PROXY),
        ("https://hub.example", {"ALL_PROXY": "socks5://proxy.example:1080"}, None),
        ("https://hub.example", {"HTTPS_PROXY": PROXY, "NO_PROXY": "hub.example"}, None),
        ("https://hub.example", {"HTTPS_PROXY": PROXY, "no_proxy": ".example"}, None),
        ("https://hub.example", {"HTTPS_PROXY": PROXY, "NO_PROXY": "*"}, None),
        ("https://hub.example", {"HTTPS_PROXY": PROXY, "NO_PROXY": "other.example,10.0.0.0/8"}, PROXY),
        ("https://10.1.2.3:6443", {"HTTPS_PROXY": PROXY, "NO_PROXY": "other.example, 10.0.0.0/8"}, None),
        ("https://10.1.2.3:6443", {"HTTPS_PROXY": PROXY, "NO_PROXY": "192.168.0.0/16,x/y"}, PROXY),
        ("https://[fd00::1]:6443", {"HTTPS_PROXY": PROXY, "NO_PROXY": "fd00::/8"}, None),
        ("https://127.0.0.1:6443", {"HTTPS_PROXY": PROXY}, None),
        ("https://[::1]:6443", {"HTTPS_PROXY": PROXY}, None),
        ("https://localhost:6443", {"HTTPS_PROXY": PROXY}, None),
    ],
)
def test_the_proxy_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, server: str, environment: dict[str, str], used: str | None
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    found = proxy_for(URL(server))
    assert (found and found.rstrip("/")) == used


def test_the_proxy_of_the_kubeconfig_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://other.example")
    monkeypatch.setenv("NO_PROXY", "*")
    assert proxy_for(URL("https://hub.example"), PROXY) == PROXY


def test_a_proxy_of_another_kind_is_refused_without_its_password() -> None:
    with pytest.raises(ValueError, match=r"^socks5://proxy.example:1080 is not an http or https URL$"):
        proxy_for(URL("https://hub.example"), "socks5://me:s3cret@proxy.example:1080")
