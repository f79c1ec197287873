"""The command line of the demo: `python hack/demo`."""

from __future__ import annotations

import argparse
import http.client
import sys
from pathlib import Path

# Run by its path, this directory is no package yet.
sys.path[0] = str(Path(__file__).resolve().parents[1])

from controlplane.children import ControlPlaneError, Stopped, raise_when_stopped  # noqa: E402
from rig.files import ROOT  # noqa: E402

import demo  # noqa: E402
from demo.auth_session import auth_session  # noqa: E402
from demo.demo_federation import running  # noqa: E402
from demo.demo_home import CLUSTERS, DemoError, DemoHome  # noqa: E402
from demo.demo_hub import hub_of  # noqa: E402
from demo.live import live  # noqa: E402
from demo.postgres_session import postgres_session  # noqa: E402
from demo.scripted import script  # noqa: E402


def main() -> int:
    options = _options()
    home = DemoHome(options.home.resolve(), options.port)
    raise_when_stopped()
    home.folder.mkdir(exist_ok=True)
    try:
        _play(options, home)
    except Stopped:
        if options.script or options.auth or options.postgres:
            raise
    except (DemoError, ControlPlaneError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    return 0


def _play(options: argparse.Namespace, home: DemoHome) -> None:
    if options.postgres:
        with hub_of(home, None) as hub:
            postgres_session(hub)
        return
    require_free(home.ports)
    with (
        hub_of(home, options.cluster) as hub,
        running(home, hub, own_cluster=options.cluster is None, auth=options.auth) as federation,
    ):
        play = auth_session if options.auth else script if options.script else live
        play(hub, federation)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="demo", description=(demo.__doc__ or "").partition("\n")[0])
    parser.add_argument("--cluster", type=Path, metavar="KUBECONFIG", help="use this cluster instead")
    played = parser.add_mutually_exclusive_group()
    played.add_argument("--script", action="store_true", help="play the session and check it")
    played.add_argument(
        "--postgres",
        action="store_true",
        help="play a session with two PostgreSQL sites (needs PostgreSQL and HAProxy)",
    )
    played.add_argument("--auth", action="store_true", help="play a session about tokens and rights")
    parser.add_argument("--port", type=int, default=8081, help="the first of four ports (default: 8081)")
    parser.add_argument("--home", type=Path, default=ROOT / ".demo", help="folder for logs (default: .demo)")
    options = parser.parse_args()
    if options.postgres and options.cluster:
        parser.error("--postgres: it starts a control plane of its own, so leave --cluster out")
    if not 0 < options.port < 65535 - len(CLUSTERS) - 1:
        parser.error(f"--port {options.port}: it is the first of four ports, so 1 to 65531")
    return options


def require_free(ports: list[int]) -> None:
    """Raise DemoError if something listens on one of the ports."""
    busy = ", ".join(str(port) for port in ports if _taken(port))
    if busy:
        raise DemoError(
            f"ports in use: {busy}. Is another demo running? Try other ports: make demo PORT=9081"
        )


def _taken(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
    try:
        connection.connect()
    except OSError:
        return False
    connection.close()
    return True


if __name__ == "__main__":
    sys.exit(main())
