"""`GET /metrics` of both programs, as a Prometheus would read it."""

from __future__ import annotations

import re

from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as plain
from rig.asking import ask, free_port
from rig.files import ROOT
from rig.hub_namespace import HubNamespace
from rig.patience import eventually
from rig.tcf_processes import TcfProcess, TcfProcesses
from support.application import Application

Samples = dict[str, dict[frozenset[tuple[str, str]], float]]
OPENMETRICS = "application/openmetrics-text; version=1.0.0"


def scraped(program: TcfProcess, accept: str = "") -> Samples:
    """The samples of a program, by name and by labels."""
    answer = ask(program.port, "GET", "/metrics", headers={"Accept": accept} if accept else {})
    assert answer.status == 200, answer.body
    assert answer.headers["Content-Type"].startswith(accept.partition(";")[0] or "text/plain; version=0.0.4")
    parse = openmetrics if accept else plain
    found: Samples = {}
    families = list(parse(answer.body.decode()))
    names = [family.name for family in families]
    assert len(names) == len(set(names)), "each metric has one block"
    for family in families:
        for sample in family.samples:
            series = found.setdefault(sample.name, {})
            assert frozenset(sample.labels.items()) not in series, sample
            series[frozenset(sample.labels.items())] = sample.value
    return found


def value(samples: Samples, name: str, **labels: str) -> float | None:
    """The one sample with these labels, among others; None if there is none."""
    wanted = labels.items()
    found = [value for known, value in samples.get(name, {}).items() if wanted <= dict(known).items()]
    assert len(found) < 2, (name, labels, samples[name])
    return found[0] if found else None


def documented() -> set[str]:
    """The metrics in the tables of docs/metrics.md."""
    return set(re.findall(r"^\| `(tcf_\w+)", (ROOT / "docs/metrics.md").read_text(), re.MULTILINE))


def names(*scrapes: Samples) -> set[str]:
    """The metrics of ours, by the names that the tables use."""
    return {
        re.sub(r"_(bucket|sum|count)$", "", name)
        for samples in scrapes
        for name in samples
        if name.startswith("tcf_")
    }


def test_of_a_worker_and_an_operator(hub: HubNamespace, programs: TcfProcesses) -> None:
    hub.apply()
    operator = programs.operator()
    first, second = programs.pair()
    of = {"namespace": hub.namespace, "federation": "shop"}
    first.await_active()
    second.await_status(418)

    active, passive = scraped(first), scraped(second)
    for samples, cluster, role in ((active, "cluster_1", "active"), (passive, "cluster_2", "passive")):
        here = {**of, "cluster": cluster}
        assert value(samples, "tcf_is_active", **here) == (role == "active")
        assert value(samples, "tcf_role_known", **here) == 1
        assert value(samples, "tcf_role", **here, role=role) == 1
        assert value(samples, "tcf_role", **here, role="demoting") == 0
        assert value(samples, "tcf_term", **here) == int(first.is_active().headers["X-TCF-Term"])
        assert 0 < (value(samples, "tcf_valid_for_seconds", **here) or 0) <= 15
        assert value(samples, "tcf_build_info") == 1
        assert (
            value(samples, "tcf_hub_requests_total", verb="patch", resource="leases", code="200") or 0
        ) > 0
        assert (
            value(samples, "tcf_hub_request_duration_seconds_count", verb="create", resource="leases")
        ) == 1

    assert value(active, "tcf_application_healthy") is None, "no holder reports"
    Application(first.port).hold("2s", healthy="false")
    held = scraped(first)
    assert value(held, "tcf_holds", state="holding") == 1
    assert value(held, "tcf_application_healthy") == 0

    eventually(lambda: not value(scraped(first), "tcf_holds", state="holding"), what="the hold has run out")

    before = scraped(operator)
    assert value(before, "tcf_federation_active", **of, cluster="cluster_1") == 1
    assert second.post("/tcf/toggle").status == 200
    after = scraped(operator)
    assert value(after, "tcf_federation_active", **of, cluster="cluster_1") == 0
    assert value(after, "tcf_federation_active", **of, cluster="cluster_2") == 1
    assert value(after, "tcf_switchovers_total", **of, trigger="api", outcome="Succeeded") == 1
    assert value(after, "tcf_switchover_duration_seconds_count", **of, trigger="api") == 1
    without = [value(samples, "tcf_without_active_seconds_total", **of) or 0 for samples in (before, after)]
    assert without[0] < without[1]
    assert value(after, "tcf_federation_condition", **of, type="Ready", status="True") == 1
    assert value(after, "tcf_federation_condition", **of, type="Ready", status="False") == 0
    assert value(after, "tcf_member_workers", **of, cluster="cluster_1", state="live") == 1
    assert value(after, "tcf_member_silent_seconds", **of, cluster="cluster_1") == 0
    assert value(after, "tcf_paused", **of) == 0
    assert (value(after, "tcf_decisions_total", **of) or 0) > 0
    assert (value(after, "tcf_watch_events_total", resource="leases") or 0) > 0
    assert scraped(operator, OPENMETRICS).keys() == after.keys()
    assert names(active, held, after) == documented() - {"tcf_certificate_expiry_timestamp_seconds"}

    hub.kubectl("delete", "clusterfederation", "shop")

    def left() -> bool:
        series = (dict(labels) for known in scraped(operator).values() for labels in known)
        return any(labels.get("namespace") == hub.namespace for labels in series)

    eventually(lambda: not left(), what="no series is left of the federation")


def test_probes_may_be_scraped_unless_reading_needs_a_right(
    hub: HubNamespace, programs: TcfProcesses
) -> None:
    hub.apply()
    for reads, status in ((), 200), (("--auth-reads",), 404):
        port = free_port()
        one = programs.worker(
            "cluster_1", "--auth", "kubernetes", *reads, "--probe-listen", f"127.0.0.1:{port}"
        )
        assert ask(port, "GET", "/metrics").status == status
        assert ask(one.port, "GET", "/metrics").status == (401 if reads else 200)


def test_several_members_of_one_process(hub: HubNamespace, programs: TcfProcesses) -> None:
    hub.apply()
    ports = [free_port(), free_port()]
    serve = [
        word
        for n, port in enumerate(ports, 1)
        for word in ("--serve", f"{hub.namespace}/shop/cluster_{n}=127.0.0.1:{port}")
    ]
    operator = programs.operator(*serve)
    eventually(
        lambda: (
            [value(scraped(operator), "tcf_role_known", cluster=f"cluster_{n}") for n in (1, 2)] == [1, 1]
        ),
        what="both members know their role",
    )


def test_what_clients_make_up_is_no_series(hub: HubNamespace, programs: TcfProcesses) -> None:
    hub.apply()
    worker = programs.worker("cluster_1")
    for n in range(5):
        ask(worker.port, "GET", f"/made/up/{n}")
        ask(worker.port, "GET", f"/tcf/status?x={n}")
        ask(worker.port, "DELETE", f"/tcf/holds/app-{n}?id=x")
        ask(worker.port, "PURGE", "/tcf/status")
    requests = scraped(worker)["tcf_http_requests_total"]
    seen = {(dict(labels)["path"], dict(labels)["method"]): count for labels, count in requests.items()}
    assert seen.pop(("other", "GET")) == 5
    assert seen.pop(("/tcf/holds/NAME", "DELETE")) == 5
    assert seen.pop(("/tcf/status", "other")) == 5
    assert sum(count for (path, _), count in seen.items() if path == "/tcf/status") == 5
    assert {path for path, _ in seen} <= {"/tcf/status", "/healthz", "/readyz", "/tcf/is_active"}
