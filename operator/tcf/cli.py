"""The command lines of `tcf-operator` and `tcf-worker` (also `python -m tcf operator|worker`)."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import click

from tcf.core.model import MemberRef
from tcf.core.pod_marks import Marks
from tcf.hub.credentials import SERVICE_ACCOUNT
from tcf.options import ADDRESS, CLUSTER, FILE, IDENTITY, LOOPBACK, NAME, POD, SERVE, F, only_here, option
from tcf.runtime import logs
from tcf.runtime.address import Address
from tcf.serving_options import auth_settings, serving, tls_settings
from tcf.settings import AuthMode, HubSettings, OperatorSettings, PodSettings, WorkerSettings


def _common(function: F) -> F:
    """The options that both programs have."""
    options = (
        option(
            "--kubeconfig",
            type=FILE,
            metavar="FILE",
            help="How to reach the hub. Default: the ServiceAccount of the pod in which this program runs."
            " The environment variable KUBECONFIG is ignored.",
        ),
        option("--context", metavar="NAME", help="Context of the kubeconfig. Default: its current context."),
        option(
            "--identity",
            type=IDENTITY,
            default=socket.gethostname,
            show_default="the host name",
            help="Name of this process in Leases and Events.",
        ),
        option(
            "--log-format",
            type=click.Choice(["text", "json"], case_sensitive=False),
            default="text",
            show_default=True,
            help="Lines of text for a terminal, or JSON objects for a log collector.",
        ),
        option(
            "--log-level",
            type=click.Choice(["debug", "info", "warning", "error"], case_sensitive=False),
            default="info",
            show_default=True,
        ),
    )
    version = click.version_option(package_name="tcf-operator", message="%(prog)s %(version)s")
    for each in reversed((*options, version)):
        function = each(function)
    return function


_SETTINGS: dict[str, Any] = {
    "help_option_names": ["-h", "--help"],
    "max_content_width": 100,
    "show_default": True,
}


@click.command("tcf-worker", context_settings=_SETTINGS)
@option("--federation", type=NAME, required=True, help="Name of the ClusterFederation.")
@option("--cluster", type=CLUSTER, required=True, help="Id of the member for which this worker answers.")
@option(
    "--namespace",
    type=NAME,
    show_default="that of this pod, otherwise default",
    help="Namespace of the ClusterFederation on the hub.",
)
@option(
    "--listen",
    type=ADDRESS,
    default="127.0.0.1:8080",
    show_default=True,
    help="Address for /tcf/*, /healthz and /readyz.",
)
@option(
    "--holds-listen",
    type=LOOPBACK,
    help="One more address, for holders beside this worker (tcf-run, for example). It must be a loopback"
    " address: nobody needs a token there.",
)
@option(
    "--pod-condition",
    is_flag=True,
    help="Write the condition tcf.dev/active of this worker's own pod, for its readinessGates."
    " Needs the rights to get pods and to patch pods/status in the pod's namespace.",
)
@option(
    "--pod-label",
    is_flag=True,
    help="Write the label tcf.dev/role of this worker's own pod, for the selectors of Services."
    " Needs the rights to get and to patch pods in the pod's namespace.",
)
@option(
    "--pod-name",
    type=POD,
    metavar="NAME",
    show_default="the host name",
    help="Name of that pod.",
)
@option(
    "--pod-uid",
    metavar="UID",
    show_default="that of the first pod found with that name",
    help="Uid of that pod. A pod with the same name and another uid is left alone.",
)
@option(
    "--pod-namespace",
    type=NAME,
    metavar="NAME",
    show_default="that of the pod's ServiceAccount, otherwise default",
    help="Namespace of that pod.",
)
@option(
    "--pod-kubeconfig",
    type=FILE,
    metavar="FILE",
    help="How to reach the cluster of that pod. Default: the pod's ServiceAccount.",
)
@serving
@_common
def _worker(
    *,
    federation: str,
    cluster: str,
    namespace: str | None,
    listen: Address,
    holds_listen: Address | None,
    pod_condition: bool,
    pod_label: bool,
    pod_name: str | None,
    pod_uid: str | None,
    pod_namespace: str | None,
    pod_kubeconfig: Path | None,
    **common: Any,
) -> int:
    """Answer for one member of a federation: is it the active one?

    A worker answers GET /tcf/status, /tcf/is_active and /tcf/clusters by its reading of the hub, until that
    expires. It carries out POST /tcf/toggle, /tcf/promote and /tcf/demote. Any number of workers may run for
    one member. If the hub is down, a worker starts anyway, and tries again until the hub is back.

    Each option can also be given by the environment variable that is named with it.
    """
    from tcf.wiring import run_worker  # noqa: PLC0415 - --help needs none of it

    member = MemberRef(namespace or _own_namespace(), federation, cluster)
    pod = None
    if pod_condition or pod_label:
        marks = Marks(condition=pod_condition, label=pod_label)
        hub, where = HubSettings(pod_kubeconfig, None), pod_namespace or _own_namespace()
        pod = PodSettings(hub, where, pod_name or socket.gethostname(), pod_uid, marks)
    settings = WorkerSettings(
        _hub(common),
        member,
        listen,
        common["identity"],
        auth_settings(common),
        common["audit_log"],
        pod,
        tls_settings(common),
        common["probe_listen"],
        holds_listen,
    )
    return _run(common, run_worker(settings))


@click.command("tcf-operator", context_settings=_SETTINGS)
@option(
    "--namespace",
    "namespaces",
    type=NAME,
    multiple=True,
    show_default="all namespaces",
    help="Namespace to look after; may be repeated.",
)
@option(
    "--listen",
    type=ADDRESS,
    default="127.0.0.1:8090",
    show_default=True,
    help="Address for /healthz and /readyz.",
)
@option(
    "--serve",
    type=SERVE,
    multiple=True,
    help="Also work as a worker: answer /tcf/* for this member on this address; may be repeated.",
)
@option(
    "--console",
    type=ADDRESS,
    help="Address for the console, a page to see federations and to move their roles. Unless it is a loopback"
    " address, it needs --auth kubernetes or --auth oauth2.",
)
@serving
@_common
def _operator(
    namespaces: tuple[str, ...],
    listen: Address,
    console: Address | None,
    serve: tuple[tuple[MemberRef, Address], ...],
    **common: Any,
) -> int:
    """Look after cluster federations: move their roles so that at most one member of each is active.

    An operator watches ClusterFederations and the Leases of their workers, and carries out requests. Any
    number of operators may run at once.

    Each option can also be given by the environment variable that is named with it.
    """
    from tcf.wiring import run_operator  # noqa: PLC0415 - --help needs none of it

    auth = auth_settings(common)
    if console and auth.mode is AuthMode.NONE and not only_here(console.host):
        raise click.UsageError(
            f"--console {console}: everybody who can reach this address could move the roles; use"
            " --auth kubernetes or --auth oauth2, or a loopback address such as 127.0.0.1:8091"
        )
    once = tuple(dict.fromkeys(namespaces))
    settings = OperatorSettings(
        _hub(common),
        once,
        listen,
        common["identity"],
        auth,
        common["audit_log"],
        serve,
        tls_settings(common),
        common["probe_listen"],
        console,
    )
    return _run(common, run_operator(settings))


def worker() -> None:
    """Entry point of `tcf-worker`."""
    sys.exit(_main(_worker, sys.argv[1:]))


def operator() -> None:
    """Entry point of `tcf-operator`."""
    sys.exit(_main(_operator, sys.argv[1:]))


def main() -> None:
    """Entry point of `python -m tcf`."""
    programs = {"operator": _operator, "worker": _worker}
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name not in programs:
        sys.stderr.write("usage: python -m tcf operator|worker [--help]\n")
        sys.exit(2)
    sys.exit(_main(programs[name], sys.argv[2:]))


def _main(command: click.Command, arguments: list[str]) -> int:
    """Run a command. If a value is wrong, print one line to stderr and return exit status 2."""
    try:
        return command.main(arguments, command.name, standalone_mode=False) or 0
    except click.ClickException as error:
        sys.stderr.write(f"{command.name}: {' '.join(error.format_message().split())}\n")
        return 2
    except click.Abort:
        return 130


def _hub(common: dict[str, Any]) -> HubSettings:
    if common["context"] and not common["kubeconfig"]:
        raise click.UsageError("--context is a part of a kubeconfig; give --kubeconfig, too")
    return HubSettings(common["kubeconfig"], common["context"])


def _run(common: dict[str, Any], process: Coroutine[None, None, int]) -> int:
    logs.configure(json=common["log_format"] == "json", level=common["log_level"])
    return asyncio.run(process)


def _own_namespace() -> str:
    try:
        return (SERVICE_ACCOUNT / "namespace").read_text(encoding="utf-8").strip()
    except OSError:
        return "default"
