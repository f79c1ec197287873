"""The command lines of `tcf-operator` and `tcf-worker` (also `python -m tcf operator|worker`)."""

from __future__ import annotations

import asyncio
import re
import socket
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import click

from tcf.core.model import MemberRef
from tcf.core.pod_marks import Marks
from tcf.hub.credentials import SERVICE_ACCOUNT
from tcf.runtime import logs
from tcf.runtime.address import Address
from tcf.settings import HubSettings, OperatorSettings, PodSettings, WorkerSettings

F = TypeVar("F", bound=Callable[..., Any])


def _option(name: str, *names: str, **more: Any) -> Callable[[F], F]:
    """An option that can also be given by an environment variable."""
    variable = "TCF_" + name.removeprefix("--").replace("-", "_").upper()
    return click.option(name, *names, envvar=variable, show_envvar=True, **more)


_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?")
_POD = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_CLUSTER = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_-]{0,61}[A-Za-z0-9])?")


def _resolvable(host: str) -> bool:
    """Can a resolver be asked for this name or number?"""
    try:
        return bool(host.encode("idna"))
    except UnicodeError:
        return False


class _AddressType(click.ParamType[Address]):
    name = "HOST:PORT"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Address:
        if isinstance(value, Address):
            return value
        host, _, port = str(value).rpartition(":")
        host = host.removeprefix("[").removesuffix("]")
        everywhere = str(value).startswith(":")
        known = everywhere or _resolvable(host)
        if not known or not port.isascii() or not port.isdigit() or int(port) > 65535:  # noqa: PLR2004
            self.fail(
                f"{value!r} is not an address such as 127.0.0.1:8080 or [::1]:8080"
                " (:8080 means all interfaces)",
                param,
                ctx,
            )
        return Address(host, int(port))


class _NameType(click.ParamType[str]):
    def __init__(self, name: str, pattern: re.Pattern[str]) -> None:
        self.name = name
        self._pattern = pattern

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not self._pattern.fullmatch(str(value)):
            self.fail(f"{value!r} is not a valid name; it must match {self._pattern.pattern}", param, ctx)
        return str(value)


class _ServeType(click.ParamType[tuple[MemberRef, Address]]):
    name = "NAMESPACE/FEDERATION/CLUSTER=HOST:PORT"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[MemberRef, Address]:
        what, equals, where = str(value).partition("=")
        names = what.split("/")
        if not equals or len(names) != 3:  # noqa: PLR2004
            self.fail(f"{value!r} is not {self.name}", param, ctx)
        namespace, federation = (NAME.convert(name, param, ctx) for name in names[:2])
        cluster = CLUSTER.convert(names[2], param, ctx)
        return MemberRef(namespace, federation, cluster), ADDRESS.convert(where, param, ctx)


NAME = _NameType("NAME", _NAME)
POD = _NameType("NAME", _POD)
CLUSTER = _NameType("ID", _CLUSTER)
ADDRESS = _AddressType()
SERVE = _ServeType()


def _common(function: F) -> F:
    """The options that both programs have."""
    options = (
        _option(
            "--kubeconfig",
            type=click.Path(path_type=Path),
            metavar="FILE",
            help="How to reach the hub. Default: the ServiceAccount of the pod in which this program runs."
            " The environment variable KUBECONFIG is ignored.",
        ),
        _option("--context", metavar="NAME", help="Context of the kubeconfig. Default: its current context."),
        _option(
            "--identity",
            metavar="NAME",
            default=socket.gethostname,
            show_default="the host name",
            help="Name of this process in Leases and Events.",
        ),
        _option(
            "--log-format",
            type=click.Choice(["text", "json"], case_sensitive=False),
            default="text",
            show_default=True,
            help="Lines of text for a terminal, or JSON objects for a log collector.",
        ),
        _option(
            "--log-level",
            type=click.Choice(["debug", "info", "warning", "error"], case_sensitive=False),
            default="info",
            show_default=True,
        ),
    )
    version = click.version_option(package_name="tcf-operator", message="%(prog)s %(version)s")
    for option in reversed((*options, version)):
        function = option(function)
    return function


_SETTINGS: dict[str, Any] = {
    "help_option_names": ["-h", "--help"],
    "max_content_width": 100,
    "show_default": True,
}


@click.command("tcf-worker", context_settings=_SETTINGS)
@_option("--federation", type=NAME, required=True, help="Name of the ClusterFederation.")
@_option("--cluster", type=CLUSTER, required=True, help="Id of the member for which this worker answers.")
@_option(
    "--namespace",
    type=NAME,
    show_default="that of this pod, otherwise default",
    help="Namespace of the ClusterFederation on the hub.",
)
@_option(
    "--listen",
    type=ADDRESS,
    default="127.0.0.1:8080",
    show_default=True,
    help="Address for /tcf/*, /healthz and /readyz.",
)
@_option(
    "--pod-condition",
    is_flag=True,
    help="Write the condition tcf.dev/active of this worker's own pod, for its readinessGates."
    " Needs the rights to get pods and to patch pods/status in the pod's namespace.",
)
@_option(
    "--pod-label",
    is_flag=True,
    help="Write the label tcf.dev/role of this worker's own pod, for the selectors of Services."
    " Needs the rights to get and to patch pods in the pod's namespace.",
)
@_option(
    "--pod-name",
    type=POD,
    metavar="NAME",
    show_default="the host name",
    help="Name of that pod.",
)
@_option(
    "--pod-uid",
    metavar="UID",
    show_default="that of the first pod found with that name",
    help="Uid of that pod. A pod with the same name and another uid is left alone.",
)
@_option(
    "--pod-namespace",
    type=NAME,
    metavar="NAME",
    show_default="that of the pod's ServiceAccount, otherwise default",
    help="Namespace of that pod.",
)
@_option(
    "--pod-kubeconfig",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="How to reach the cluster of that pod. Default: the pod's ServiceAccount.",
)
@_common
def _worker(
    *,
    federation: str,
    cluster: str,
    namespace: str | None,
    listen: Address,
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
    marks = Marks(condition=pod_condition, label=pod_label)
    pod = PodSettings(
        HubSettings(pod_kubeconfig, None),
        pod_namespace or _own_namespace(),
        pod_name or socket.gethostname(),
        pod_uid,
        marks,
    )
    settings = WorkerSettings(
        _hub(common), member, listen, common["identity"], pod if pod_condition or pod_label else None
    )
    return _run(common, run_worker(settings))


@click.command("tcf-operator", context_settings=_SETTINGS)
@_option(
    "--namespace",
    "namespaces",
    type=NAME,
    multiple=True,
    show_default="all namespaces",
    help="Namespace to look after; may be repeated.",
)
@_option(
    "--listen",
    type=ADDRESS,
    default="127.0.0.1:8090",
    show_default=True,
    help="Address for /healthz and /readyz.",
)
@_option(
    "--serve",
    type=SERVE,
    multiple=True,
    help="Also work as a worker: answer /tcf/* for this member on this address; may be repeated.",
)
@_common
def _operator(
    namespaces: tuple[str, ...],
    listen: Address,
    serve: tuple[tuple[MemberRef, Address], ...],
    **common: Any,
) -> int:
    """Look after cluster federations: move their roles so that at most one member of each is active.

    An operator watches ClusterFederations and the Leases of their workers, and carries out requests. Any
    number of operators may run at once.

    Each option can also be given by the environment variable that is named with it.
    """
    from tcf.wiring import run_operator  # noqa: PLC0415 - --help needs none of it

    once = tuple(dict.fromkeys(namespaces))
    settings = OperatorSettings(_hub(common), once, listen, common["identity"], serve)
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
