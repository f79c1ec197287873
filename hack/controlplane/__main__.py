"""The command line: `python hack/controlplane build|up|helm|etcdutl`."""

import argparse
import sys
from pathlib import Path

# Run by its path, this directory is no package yet.
sys.path[0] = str(Path(__file__).resolve().parents[1])

from controlplane import gotools, launcher, locate  # noqa: E402
from controlplane.children import ControlPlaneError, Stopped, raise_when_stopped  # noqa: E402


def main() -> int:
    """Run one command; return the exit status."""
    options = _parser().parse_args()
    raise_when_stopped()
    try:
        if options.command == "build":
            print(locate.directory_of(locate.everything()))
        elif options.command == "helm":
            print(gotools.helm())
        elif options.command == "etcdutl":
            print(gotools.etcdutl())
        else:
            launcher.up(
                data_dir=options.data_dir,
                port=options.port,
                authentication=options.authentication_config,
                until_stdin_closes=options.until_stdin_closes,
                with_kubectl=not options.without_kubectl,
            )
    except ControlPlaneError as error:
        print(f"controlplane: {error}", file=sys.stderr)
        return 1
    except Stopped:
        print("controlplane: stopped", file=sys.stderr)
        raise
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="controlplane", description="A real kube-apiserver and etcd for demo and tests."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("build", help="find or make etcd, kube-apiserver and kubectl; print their directory")
    commands.add_parser("helm", help="build helm once and print its path")
    commands.add_parser("etcdutl", help="build etcdutl once and print its path")
    up = commands.add_parser("up", help="run a control plane until SIGINT or SIGTERM")
    up.add_argument("--data-dir", type=Path, metavar="DIR", help="keep state there (default: discard it)")
    up.add_argument("--port", type=_port, default=0, help="the API server's port (default: any free one)")
    up.add_argument(
        "--authentication-config",
        type=_absolute,
        metavar="FILE",
        help="an AuthenticationConfiguration for the API server, which reads it again when it changes",
    )
    up.add_argument(
        "--until-stdin-closes",
        action="store_true",
        help="also end when stdin does, and take commands from it",
    )
    up.add_argument(
        "--without-kubectl",
        action="store_true",
        help="do not build kubectl: name it only if it is there already",
    )
    return parser


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) >= 1 << 16:
        raise argparse.ArgumentTypeError(f"not a port: {text}")
    return int(text)


def _absolute(text: str) -> Path:
    """The API server runs in another folder."""
    return Path(text).absolute()


if __name__ == "__main__":
    sys.exit(main())
