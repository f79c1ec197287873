"""`kubectl tcf kubeconfig`: a kubeconfig with which the workers of another cluster reach the hub."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import click

from tcf.ctl.global_options import Globals, TcfCommand
from tcf.ctl.output import show
from tcf.hub.answers import Json

_SETTINGS: dict[str, Any] = {
    "help_option_names": ["-h", "--help"],
    "max_content_width": 100,
    "show_default": True,
}


@dataclass(frozen=True)
class HubKubectl:
    """kubectl, used with the hub."""

    program: str
    kubeconfig: str | None
    context: str | None

    def __call__(self, *args: str) -> str:
        """Run kubectl and return its output.

        Raises:
            click.ClickException: there is no such program, or it fails.
        """
        where = ["--kubeconfig", self.kubeconfig] if self.kubeconfig else []
        where += ["--context", self.context] if self.context else []
        try:
            done = subprocess.run(
                [self.program, *where, *args], check=False, capture_output=True, text=True, errors="replace"
            )
        except FileNotFoundError as error:
            message = f"there is no program {self.program}: install kubectl, or use --kubectl"
            raise click.ClickException(message) from error
        except OSError as error:
            raise click.ClickException(f"cannot run {self.program}: {error.strerror}") from error
        if done.returncode:
            reason = done.stderr.strip() or f"{self.program} ended with status {done.returncode}"
            raise click.ClickException(reason)
        return done.stdout


def kubeconfig(cluster: Json, *, account: str, namespace: str, token: str) -> Json:
    """Build a kubeconfig. `cluster`: how to reach the hub, in the form of a kubeconfig's section."""
    context = {"cluster": "hub", "user": account, "namespace": namespace}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "hub", "cluster": cluster}],
        "users": [{"name": account, "user": {"token": token}}],
        "contexts": [{"name": "hub", "context": context}],
        "current-context": "hub",
    }


def _cluster(kubectl: HubKubectl, server: str | None) -> Json:
    """How kubectl reaches the hub. It contains certificates instead of the names of their files."""
    view = json.loads(kubectl("config", "view", "--minify", "--flatten", "--raw", "-o", "json"))
    cluster: Json = view["clusters"][0]["cluster"]
    return {**cluster, "server": server} if server else cluster


def _new_token(kubectl: HubKubectl, namespace: str, account: str, duration: str) -> str:
    return kubectl("--namespace", namespace, "create", "token", account, f"--duration={duration}").strip()


def _token_of_secret(kubectl: HubKubectl, namespace: str, name: str) -> str:
    encoded = kubectl("--namespace", namespace, "get", "secret", name, "-o", "jsonpath={.data.token}")
    if not encoded:
        raise click.ClickException(f"the Secret {name} has no token yet: try again in a moment")
    return base64.b64decode(encoded).decode()


def _options(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options that the command and the old program share."""
    options = (
        click.argument("account", metavar="SERVICEACCOUNT"),
        click.option(
            "--server",
            metavar="URL",
            help="The URL by which the member's cluster reaches the hub. Default: the one that kubectl uses.",
        ),
        click.option(
            "--duration",
            metavar="TIME",
            default="24h",
            show_default=True,
            help="How long the token is valid. The hub may shorten it.",
        ),
        click.option(
            "--secret",
            is_flag=True,
            help="Use the token that does not expire. It is in a Secret that the chart creates for its value"
            " remoteMembers.tokenSecrets.",
        ),
        click.option(
            "--kubectl",
            "program",
            metavar="PROGRAM",
            default="kubectl",
            show_default=True,
            help="The kubectl to run.",
        ),
    )
    for each in reversed(options):
        function = each(function)
    return function


_HELP = """Print a kubeconfig of the hub for workers that run in another cluster.

SERVICEACCOUNT is the one that the chart has created on the hub for its value remoteMembers. With a
kubeconfig of the hub, run:

\b
  kubectl tcf kubeconfig -n tcf tcf-operator-remote-shop-cluster-2 > kubeconfig

Then put the file into a Secret of the member's cluster:

\b
  kubectl --context member create secret generic hub --from-file=kubeconfig \\
    --dry-run=client -o yaml | kubectl --context member apply -f -

Do both again before the token expires. Workers notice the new token without a restart.
"""


@click.command("kubeconfig", cls=TcfCommand, help=_HELP)
@_options
def kubeconfig_command(*, given: Globals, program: str, **wanted: Any) -> None:
    """As a command of `kubectl tcf`."""
    namespace = given.hub.own_namespace()
    document = _of_account(HubKubectl(program, given.hub.kubeconfig, given.hub.context), namespace, **wanted)
    show(document, "yaml" if given.output == "yaml" else "json", list)  # JSON is YAML


@click.command("tcf-kubeconfig", context_settings=_SETTINGS, help=_HELP)
@_options
@click.option(
    "--namespace", metavar="NAME", default="default", help="Namespace of the ServiceAccount on the hub."
)
@click.option(
    "--kubeconfig", "path", metavar="FILE", help="How kubectl reaches the hub. Default: kubectl's default."
)
@click.option("--context", metavar="NAME", help="Context of that kubeconfig. Default: its current context.")
@click.version_option(package_name="tcf-operator", message="%(prog)s %(version)s")
def main(*, namespace: str, path: str | None, context: str | None, program: str, **wanted: Any) -> None:
    """As the program `tcf-kubeconfig`, which is deprecated."""
    click.echo("tcf-kubeconfig is deprecated: use kubectl tcf kubeconfig, with the same options", err=True)
    document = _of_account(HubKubectl(program, path, context), namespace, **wanted)
    show(document, "json", list)


def _of_account(
    kubectl: HubKubectl, namespace: str, *, account: str, server: str | None, duration: str, secret: bool
) -> Json:
    """The kubeconfig of a ServiceAccount. Raises click.ClickException if kubectl fails."""
    cluster = _cluster(kubectl, server)
    if secret:
        token = _token_of_secret(kubectl, namespace, account)
    else:
        token = _new_token(kubectl, namespace, account, duration)
    return kubeconfig(cluster, account=account, namespace=namespace, token=token)


if __name__ == "__main__":
    main()
