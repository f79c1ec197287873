"""tcf-run and a worker that does not do what it should."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
from aiohttp import web
from rig.files import place
from rig.patience import eventually
from support.certificate_authority import CertificateAuthority
from support.holds_server import HoldsServer, Trouble
from support.run_process import RunProcess

Runs = Callable[..., RunProcess]


def says(status: int, body: str = "", **headers: str) -> Trouble:
    names = {name.replace("_", "-"): value for name, value in headers.items()}

    async def trouble(_: web.BaseRequest) -> web.StreamResponse:
        return web.Response(status=status, text=body, headers=names)

    return trouble


async def silent(_: web.BaseRequest) -> web.StreamResponse:
    await asyncio.Event().wait()
    raise AssertionError


async def slow(request: web.BaseRequest) -> web.StreamResponse:
    """An answer, byte by byte, that never ends."""
    response = web.StreamResponse(headers={"X-TCF-Held-For": "9.0", "Content-Length": "1000"})
    await response.prepare(request)
    while True:
        await response.write(b"a")
        await asyncio.sleep(0.1)


async def endless_head(request: web.BaseRequest) -> web.StreamResponse:
    assert request.transport
    request.transport.write(b"HTTP/1.1 200 OK\r\nX-Junk: " + b"a" * 100_000)
    return await silent(request)


async def junk(request: web.BaseRequest) -> web.StreamResponse:
    assert request.transport
    request.transport.write(b"\x00\xff\x1b[31m SSH-2.0\r\n\r\n")
    return await silent(request)


ROLE = {"X_TCF_Term": "9", "X_TCF_Cluster": "c", "X_TCF_Federation": "n/f"}
TROUBLES: dict[str, tuple[Trouble, str]] = {
    "another server": (says(200, "<html>Welcome</html>"), "is this a TCF worker?"),
    "no time": (says(200, "active", **ROLE), "it grants no hold"),
    "no number": (says(200, "active", **ROLE, X_TCF_Held_For="soon"), "it grants no hold"),
    "infinity": (says(200, "active", **ROLE, X_TCF_Held_For="inf"), "it grants no hold"),
    "negative": (says(200, "active", **ROLE, X_TCF_Held_For="-5"), "it grants no hold"),
    "no term": (says(200, "active", X_TCF_Held_For="9.0"), "it grants no hold"),
    "moved": (says(307, Location="http://127.0.0.1:1/"), "redirects are not followed"),
    "not found": (
        says(404, '{"error": "there is no such path"}'),
        "there is no such path; it knows no holds",
    ),
    "no right": (says(403, '{"error": "alice may not"}'), "alice may not; the token's user lacks a right"),
    "too many": (says(503, '{"error": "64 holders"}'), "the worker answers 503: 64 holders"),
    "broken JSON": (says(500, '{"error": '), 'the worker answers 500: {"error":'),
    "deep JSON": (says(500, '{"a":' + "[" * 50_000), "the worker answers 500"),
    "a terminal's codes": (says(500, '{"error": "\\u001b[31mred"}'), "500: ?[31mred"),
    "silent": (silent, "no answer from"),
    "slow": (slow, "no answer from"),
    "endless head": (endless_head, "does not answer as a worker does"),
    "junk": (junk, "does not speak HTTP"),
}


@pytest.mark.parametrize("trouble", TROUBLES)
def test_an_answer_that_is_none_starts_nothing(runs: Runs, worker: HoldsServer, trouble: str) -> None:
    worker.role = "active"
    worker.trouble, message = TROUBLES[trouble]
    run = runs("--for", "2s")
    run.await_log(message)
    asked = len(worker.seen)
    eventually(lambda: len(worker.seen) > asked, what="it asks again")
    assert not run.acts
    worker.trouble = None
    run.await_act()
    assert run.stop() == 143
    run.check_promise()


@pytest.mark.parametrize("trouble", ["another server", "too many", "silent", "slow", "junk"])
def test_trouble_ends_the_command_in_time(runs: Runs, worker: HoldsServer, trouble: str) -> None:
    worker.cap = 4.0
    worker.become("active")
    run = runs(shape="stubborn")
    run.await_act()
    worker.fail(TROUBLES[trouble][0])
    run.await_log("SIGKILL")
    run.await_quiet()
    run.check_promise()
    worker.trouble = None
    run.await_act(after=run.acts[-1].at)


@pytest.mark.parametrize("trouble", ["silent", "too many", "junk"])
def test_short_trouble_ends_nothing(runs: Runs, worker: HoldsServer, trouble: str) -> None:
    """A worker that is restarted, for example."""
    worker.become("active")
    run = runs("--for", "60s")
    first = run.await_act()
    worker.fail(TROUBLES[trouble][0])
    run.await_log("asking again")
    worker.trouble = None
    asked = len(worker.seen)
    eventually(lambda: len(worker.seen) > asked + 1, what="it asks again")
    assert run.await_act(after=run.now()).pid == first.pid
    assert "SIGTERM" not in run.log
    assert len(worker.holds) == 1


def test_a_worker_that_is_unknowing_ends_nothing_at_once(runs: Runs, worker: HoldsServer) -> None:
    worker.become("active")
    run = runs("--for", "60s")
    first = run.await_act()
    worker.become("")
    run.await_log("the worker answers 500: the reading has expired; the hold lasts for")
    worker.become("active")
    run.await_log("the worker answers again")
    assert run.await_act(after=run.now()).pid == first.pid


def test_a_worker_that_promises_too_much_is_not_believed(runs: Runs, worker: HoldsServer) -> None:
    worker.trouble = says(200, "active", **ROLE, X_TCF_Held_For="100000")
    run = runs("--for", "3s", shape="stubborn")
    run.await_act()
    worker.fail(silent)
    failed = run.now()
    run.await_log("SIGKILL")
    run.await_quiet()
    assert run.acts[-1].at < failed + 3.0


def test_a_port_where_nobody_listens(runs: Runs, worker: HoldsServer, tmp_path: Path) -> None:
    run = runs("--worker", "http://127.0.0.1:1")
    run.await_log("http://127.0.0.1:1: Connection refused; asking again")
    assert run.stop() == 143


def test_a_name_that_does_not_exist(runs: Runs) -> None:
    run = runs("--worker", "http://worker.invalid:8080")
    run.await_log("http://worker.invalid:8080: the name of the host cannot be resolved")
    assert run.stop() == 143


def test_a_name_is_resolved(runs: Runs, worker: HoldsServer) -> None:
    """localhost may have an address at which nobody listens, too."""
    worker.become("active")
    run = runs("--worker", worker.url.replace("127.0.0.1", "localhost"))
    run.await_act()
    assert run.stop() == 143
    run.check_promise()


def test_proxies_are_not_used(runs: Runs, worker: HoldsServer) -> None:
    worker.become("active")
    proxies = dict.fromkeys(("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"), "http://127.0.0.1:1")
    runs(**proxies).await_act()


def test_one_connection_is_enough(runs: Runs, worker: HoldsServer) -> None:
    worker.become("active")
    needs_one_connection(runs(), worker)


def needs_one_connection(run: RunProcess, worker: HoldsServer) -> None:
    """From an active worker until the hold is released after it has become passive."""
    run.await_act()
    eventually(lambda: len(worker.seen) > 4, what="it asks several times")
    assert len(worker.connections) == 1
    worker.become("passive")
    eventually(lambda: any(hold.released for hold in worker.holds.values()), what="the hold is released")
    assert len(worker.connections) <= 2, "a request that was given up takes its connection with it"


# --- tokens and TLS -------------------------------------------------------------------------------------


def test_a_token_is_read_again(runs: Runs, worker: HoldsServer, tmp_path: Path) -> None:
    worker.token = "right"  # noqa: S105 - of a stand-in
    worker.become("active")
    token = tmp_path / "token"
    run = runs("--token-file", str(token))
    run.await_log(f"--token-file {token} cannot be read")
    place(token, " \n")
    run.await_log("does not contain a token")
    place(token, "wrong\n")
    run.await_log("401: send a token; give --token-file")
    place(token, "right\n")
    run.await_act()
    assert "right" not in run.log


@pytest.fixture
def secure(authority: CertificateAuthority) -> object:
    with HoldsServer(tls=authority.server().server_context) as server:
        yield server


def test_https(runs: Runs, secure: HoldsServer, authority: CertificateAuthority) -> None:
    secure.become("active")
    needs_one_connection(runs("--worker", secure.url, "--ca-file", str(authority.file)), secure)


def test_https_with_another_authority(runs: Runs, secure: HoldsServer, tmp_path: Path) -> None:
    other = CertificateAuthority(tmp_path, "other")
    ca_file = tmp_path / "ca.pem"
    run = runs("--worker", secure.url, "--ca-file", str(ca_file))
    run.await_log(f"--ca-file {ca_file} cannot be used")
    place(ca_file, other.file.read_text())
    run.await_log("certificate verify failed")
    assert not run.acts
    assert isinstance(ssl.create_default_context(cafile=ca_file), ssl.SSLContext)


def test_https_on_a_port_without_it(runs: Runs, worker: HoldsServer) -> None:
    run = runs("--worker", worker.url.replace("http:", "https:"))
    run.await_log("https://127.0.0.1")
    eventually(lambda: "asking again" in run.log, what="it says so")
    assert not run.acts
