#!/usr/bin/env python3
"""Print a kubeconfig with which the workers of a member in another cluster reach the hub.

Run it with kubectl pointed at the hub. The ServiceAccount is one that the chart has made there for
`remoteMembers`. In the member's cluster, put what it prints into a Secret, again before the token expires;
running workers take up the new one by themselves:

    hack/hub_kubeconfig.py --namespace tcf tcf-tcf-operator-remote-shop-cluster-2 > kubeconfig
    kubectl --context member create secret generic hub --from-file=kubeconfig \\
      --dry-run=client -o yaml | kubectl --context member apply -f -
"""

from __future__ import annotations

import argparse
import base64
import json
import subprocess
import sys
from typing import Any


def main() -> int:
    options = _parser().parse_args()
    kubectl = [options.kubectl, *(["--kubeconfig", options.kubeconfig] if options.kubeconfig else [])]
    kubectl += ["--context", options.context] if options.context else []
    try:
        print(json.dumps(_kubeconfig(kubectl, options), indent=2))
    except FileNotFoundError as error:
        told = f"there is no program {error.filename}: install kubectl, or name it with --kubectl"
    except subprocess.CalledProcessError as error:
        told = error.stderr.strip()
    except ValueError as error:
        told = str(error)
    else:
        return 0
    print(f"hub_kubeconfig: {told}", file=sys.stderr)
    return 1


def _kubeconfig(kubectl: list[str], options: argparse.Namespace) -> dict[str, Any]:
    """The kubeconfig; JSON is YAML, too."""
    view = json.loads(_run([*kubectl, "config", "view", "--minify", "--flatten", "--raw", "-o", "json"]))
    cluster = view["clusters"][0]["cluster"]
    if options.server:
        cluster["server"] = options.server
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "hub", "cluster": cluster}],
        "users": [{"name": options.account, "user": {"token": _token(kubectl, options)}}],
        "contexts": [
            {
                "name": "hub",
                "context": {"cluster": "hub", "user": options.account, "namespace": options.namespace},
            }
        ],
        "current-context": "hub",
    }


def _token(kubectl: list[str], options: argparse.Namespace) -> str:
    within = [*kubectl, "--namespace", options.namespace]
    if not options.secret:
        return _run([*within, "create", "token", options.account, f"--duration={options.duration}"]).strip()
    encoded = _run([*within, "get", "secret", options.account, "-o", "jsonpath={.data.token}"])
    if not encoded:
        raise ValueError(f"Secret {options.account} holds no token yet; try again in a moment")
    return base64.b64decode(encoded).decode()


def _run(command: list[str]) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("account", metavar="SERVICEACCOUNT", help="of the member, on the hub")
    parser.add_argument("--namespace", default="default", help="of the ServiceAccount (%(default)s)")
    parser.add_argument("--duration", default="24h", help="how long the token is to last (%(default)s)")
    parser.add_argument("--secret", action="store_true", help="the token of remoteMembers.tokenSecrets")
    parser.add_argument("--server", help="the hub's URL as the member's cluster has to use it")
    parser.add_argument("--kubeconfig", help="of the hub (default: kubectl's)")
    parser.add_argument("--context", help="of the hub (default: the current one)")
    parser.add_argument("--kubectl", default="kubectl", help="the program (default: %(default)s)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
