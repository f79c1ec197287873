"""A real Prometheus scrapes both programs; promtool checks what they serve and the alerts."""

from __future__ import annotations

import json
import subprocess
import urllib.parse
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from rig.asking import ask, free_port
from rig.files import ROOT
from rig.hub_namespace import HubNamespace
from rig.kept_process import KeptProcess
from rig.patience import eventually
from rig.reverse_proxies import program
from rig.tcf_processes import TcfProcess, TcfProcesses

CHART = ROOT / "charts/tcf-operator/files"


@pytest.fixture(scope="module")
def programs(hub: HubNamespace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[TcfProcess]]:
    """An operator and two workers, after a switchover."""
    hub.apply()
    processes = TcfProcesses(hub, tmp_path_factory.mktemp("scraped"))
    try:
        operator = processes.operator()
        first, second = processes.pair()
        first.await_active()
        assert second.post("/tcf/toggle").status == 200
        yield [operator, first, second]
    finally:
        processes.close()


@pytest.fixture(scope="module")
def prometheus(programs: list[TcfProcess], tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a Prometheus that scrapes them all, with the alerts."""
    folder, port = tmp_path_factory.mktemp("prometheus"), free_port()
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(CHART / "alerts.yaml")],
        "scrape_configs": [
            {
                "job_name": "tcf",
                "honor_labels": True,
                "static_configs": [{"targets": [f"127.0.0.1:{each.port}" for each in programs]}],
            }
        ],
    }
    (folder / "prometheus.yml").write_text(json.dumps(config))
    command = [
        program("prometheus"),
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with ExitStack() as stack:
        process = KeptProcess(command, log=folder / "prometheus.log", env={})
        stack.callback(process.stop)
        yield port


def found(port: int, path: str, **query: str) -> Any:
    """The data of an answer of Prometheus; None if there is none yet."""
    try:
        answer = ask(port, "GET", f"/api/v1/{path}?{urllib.parse.urlencode(query)}")
    except OSError:
        return None
    assert answer.status in {200, 503}, answer.body
    return json.loads(answer.body)["data"] if answer.status == 200 else None


def panels() -> list[tuple[str, str]]:
    """The title and the query of everything that the dashboard shows."""
    dashboard = json.loads((CHART / "dashboard.json").read_text())
    return [(panel["title"], target["expr"]) for panel in dashboard["panels"] for target in panel["targets"]]


def test_promtool_has_nothing_to_say(programs: list[TcfProcess]) -> None:
    for each in programs:
        checked = subprocess.run(
            [program("promtool", package="prometheus"), "check", "metrics"],
            input=each.get("/metrics").body,
            capture_output=True,
            check=False,
        )
        assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")


def test_alerts_fire_when_they_should() -> None:
    promtool = program("promtool", package="prometheus")
    for what in (
        ("check", "rules", CHART / "alerts.yaml"),
        ("test", "rules", ROOT / "tests/alerts/alerts_test.yaml"),
    ):
        done = subprocess.run([promtool, *map(str, what)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_all_targets_are_scraped_and_no_alert_is_firing(prometheus: int) -> None:
    def healths() -> list[str]:
        data = found(prometheus, "targets", state="active") or {"activeTargets": []}
        return [target["health"] for target in data["activeTargets"]]

    eventually(lambda: healths() == ["up"] * 3, what="three targets are up")
    # Until the first scrape, no operator is known: that alert is pending until the rules are looked at again.
    eventually(lambda: found(prometheus, "alerts") == {"alerts": []}, what="no alert fires or is about to")


@pytest.mark.parametrize(("title", "query"), panels(), ids=lambda each: each[:30])
def test_every_panel_of_the_dashboard_shows_something(
    prometheus: int, hub: HubNamespace, title: str, query: str
) -> None:
    query = query.replace("$namespace", hub.namespace).replace("$federation", "shop")

    def series() -> Any:
        return (found(prometheus, "query", query=query) or {}).get("result")

    assert eventually(series, what=f"{title} shows something")
