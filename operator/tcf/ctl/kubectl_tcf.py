"""The command line of `kubectl tcf`: its commands, and what its exit statuses mean."""

from __future__ import annotations

import importlib
import signal
import sys
import traceback
from typing import Any

import click

from tcf.ctl.completion import complete_in_shell
from tcf.ctl.exits import Exit, StopError
from tcf.ctl.global_options import global_options
from tcf.ctl.terminal import Terminal

_COMMANDS = {
    "list": ("list_command:list_", "List federations."),
    "status": ("status_command:status", "Show a federation: members, workers, what to do next."),
    "promote": ("switch_command:promote", "Make a member the active one."),
    "demote": ("switch_command:demote", "Make the active member passive; nobody takes its place."),
    "toggle": ("switch_command:toggle", "Let the active and the passive member swap roles."),
    "check": ("check_command:check", "Could each member take over now, and if not, why not?"),
    "history": ("history_command:history", "Show how requests have ended."),
    "pause": ("pause_command:pause", "Keep the operator from failing over by itself."),
    "resume": ("pause_command:resume", "End that."),
    "doctor": ("doctor_command:doctor", "Check the hub, the operator, your rights and the workers."),
    "kubeconfig": ("kubeconfig:kubeconfig_command", "Print a kubeconfig for workers in another cluster."),
}
"""Where each command is. A module is imported only for its own command, so that each starts fast."""


class _Commands(click.Group):
    def list_commands(self, _ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module, _, name = _COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(f"tcf.ctl.{module}"), name)
        return command

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _COMMANDS.items()])


def _do_nothing(**_: Any) -> None:
    """The group itself does nothing."""


tcf = _Commands(
    name="kubectl tcf",
    callback=_do_nothing,
    params=global_options(),
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    help="Look at cluster federations and move their active roles, with your own rights on the hub."
    " No worker has to be reachable.\n\n\b\n"
    "Exit statuses: 0 done, 1 refused (or a check says no), 2 wrong usage,"
    "\n3 nobody knows yet what has become of the request, 130 interrupted.",
)
click.version_option(package_name="tcf-operator", message="kubectl tcf %(version)s")(tcf)


def main() -> None:
    """Entry point of `kubectl-tcf`."""
    completed = complete_in_shell(tcf)
    sys.exit(run(sys.argv[1:]) if completed is None else completed)


def run(arguments: list[str]) -> int:
    """Run a command. Whatever is wrong is a line on stderr, and an exit status."""
    try:
        return tcf.main(arguments, "kubectl tcf", standalone_mode=False) or Exit.DONE
    except StopError as stop:
        _complain(f"error: {stop}", *stop.hint)
        return stop.status
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return Exit.USAGE
    except click.UsageError as error:
        where = error.ctx.command_path if error.ctx else "kubectl tcf"
        _complain(f"error: {' '.join(error.format_message().split())}", f"see {where} --help")
        return Exit.USAGE
    except click.ClickException as error:
        _complain(f"error: {error.format_message()}")
        return Exit.REFUSED
    except (click.Abort, KeyboardInterrupt):
        return Exit.INTERRUPTED
    except SystemExit:  # click has noticed that nobody reads what it writes, such as after `| head`
        return 128 + signal.SIGPIPE
    except Exception:  # noqa: BLE001 - Python's own status is 1, which would say that nothing was changed
        traceback.print_exc()
        _complain("this is a bug of kubectl tcf, and nobody knows what was done: look at kubectl tcf status")
        return Exit.UNKNOWN


def _complain(message: str, *hints: str) -> None:
    terminal = Terminal.of(sys.stderr)
    click.echo(terminal.paint(message), err=True)
    for hint in hints:
        click.echo(f"  {terminal.paint(hint)}", err=True)


if __name__ == "__main__":
    main()
