#!/usr/bin/env python3
"""`tcf-run`: runs a command only while this member is active, and ends it before another member takes over.

It asks a worker for a hold, runs the command as long as the hold lasts, and releases the hold when nothing of
the command is left. docs/tcf-run.md describes it. This file needs nothing but Python 3.11 and Linux, so it
also runs as a copy: `python3 run.py -- COMMAND`. The modules that it imports are few, so that it starts fast.

There are three processes, each the parent of the next one:

    fuse        what the user has started; gets the signals; kills everything when the hold runs out
    supervisor  asks the worker, and starts and ends the command
    command     in a session of its own

The order of this file: tools, options, client of the worker, state machine, processes, children, fuse,
supervisor, main. Only the state machine decides what happens to the command and to the hold. All times are
seconds of CLOCK_BOOTTIME, which goes on while the machine is suspended.
"""

from __future__ import annotations

import argparse
import contextlib
import enum
import errno
import os
import random
import re
import select
import signal
import socket
import sys
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, TypeVar

if TYPE_CHECKING:
    import ssl

T = TypeVar("T")

# === tools ==================================================================================================

INTERNAL = 70
"""The exit status when a part of tcf-run itself has failed (EX_SOFTWARE)."""
NO_SYSTEM = 71
"""The exit status when this machine lacks something that tcf-run needs (EX_OSERR)."""
_LONGEST_LINE = 1000


def boot() -> float:
    """Seconds since the machine was booted, with the time in which it was suspended."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def printable(text: str, most: int = _LONGEST_LINE) -> str:
    """`text` in one line, without characters that act on a terminal, cut after `most` characters."""
    line = " ".join(text[: 2 * most].split())
    return "".join(c if c.isprintable() else "?" for c in line)[:most]


def say(text: str) -> None:
    """Write a line to stderr. If nobody reads what is there already, the line is lost: nothing may wait."""
    with contextlib.suppress(OSError):
        ready = select.poll()
        ready.register(2, select.POLLOUT)
        if any(events & select.POLLOUT for _, events in ready.poll(0)):
            os.write(2, f"tcf-run: {printable(text)}\n".encode(errors="replace"))


def shown(seconds: float) -> str:
    """A time for people, never negative."""
    return f"{max(0.0, seconds):.1f} s"


def delay(failures: int, *, first: float, longest: float) -> float:
    """Seconds to wait after so many failures in a row: they double, and up to half of them is random."""
    return min(longest, first * 2.0 ** min(failures - 1, 30)) * random.uniform(0.5, 1.0)


# === options ================================================================================================

_DURATION = re.compile(r"(?=[0-9])(?:([0-9]{1,4})h)?(?:([0-9]{1,4})m)?(?:([0-9]{1,4})s)?")
_URL = re.compile(
    r"(https?)://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9][A-Za-z0-9._-]*)(?::([0-9]{1,5}))?((?:/(?:(?![?#])[!-~])*)?)"
)
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_YES, _NO = {"1", "true", "yes", "on"}, {"", "0", "false", "no", "off"}
_SHORTEST, _LONGEST = 1, 300
_LAST_PORT = 65535

_ABOUT = """\
Run a command only while this member of a federation is active.

COMMAND starts as soon as the worker says that this member is active. When the
worker says that it is not, COMMAND gets SIGTERM, and may finish its work for as
long as the worker can wait. The other member takes over only after COMMAND, and
everything that it has started, has ended. If the worker does not answer, COMMAND
is ended before the time is over that the worker has granted.
"""
_MORE = """\
Every option can be given by an environment variable as well: TCF_RUN_WORKER for
--worker, and so on. A DURATION is written as 10s, 2m or 1m30s.

COMMAND gets TCF_TERM, TCF_CLUSTER and TCF_FEDERATION in its environment.

signals:
  SIGTERM, SIGINT, SIGQUIT  end COMMAND, release the hold, exit;
                            a second one kills COMMAND at once
  SIGHUP, SIGUSR1, SIGUSR2  are passed on to COMMAND

exit status:
  0 to 255  with --once: the status of COMMAND
  2         the command line is wrong
  70        a part of tcf-run was killed; COMMAND was killed, too
  71        this machine lacks something that tcf-run needs
  126, 127  COMMAND cannot be run, or there is no such program
  128+N     tcf-run got signal N; with --once also: COMMAND was killed by signal N

examples:
  tcf-run --name billing -- /usr/bin/billing --serve
  tcf-run --once -- ./nightly-report.sh
  tcf-run --on-active 'site promote' --on-passive 'site demote' --check 'site ok'
"""


class Worker(NamedTuple):
    """Where the worker is. `prefix`: what comes before /tcf in its paths, without a final slash."""

    secure: bool
    host: str
    port: int
    prefix: str

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http{'s' if self.secure else ''}://{host}:{self.port}{self.prefix}"


class Options(NamedTuple):
    """What the command line and the environment say. Durations are in seconds."""

    worker: Worker
    name: str
    for_: int
    grace: float
    stop_signal: signal.Signals
    token_file: str | None = None
    ca_file: str | None = None
    once: bool = False
    on_active: tuple[str, ...] = ()
    on_passive: tuple[str, ...] = ()
    check: tuple[str, ...] = ()
    check_interval: float = 2.0
    command: tuple[str, ...] = ()

    @property
    def notifies(self) -> bool:
        """Does it run scripts for something that it does not own, instead of a command?"""
        return not self.command


def duration(text: str) -> int:
    """A duration such as 10s or 1m30s, in seconds. Raises ValueError for anything else."""
    found = _DURATION.fullmatch(text)
    if not found:
        raise ValueError(f"{text!r} is not a duration such as 10s or 1m30s")
    hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return (hours * 60 + minutes) * 60 + seconds


def _hold_for(text: str) -> int:
    seconds = duration(text)
    if not _SHORTEST <= seconds <= _LONGEST:
        raise ValueError(f"{text!r} is not between {_SHORTEST}s and {_LONGEST}s")
    return seconds


def _positive(text: str) -> int:
    if not (seconds := duration(text)):
        raise ValueError(f"{text!r} is too short; write at least 1s")
    return seconds


def _worker(text: str) -> Worker:
    found = _URL.fullmatch(text)
    if not found or int(found[3] or 1) not in range(1, _LAST_PORT + 1):
        raise ValueError(
            f"{text!r} is not a URL such as http://127.0.0.1:8080 (no user, no query; the port at most 65535)"
        )
    secure = found[1] == "https"
    return Worker(
        secure, found[2].strip("[]"), int(found[3] or (443 if secure else 80)), found[4].rstrip("/")
    )


def _name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise ValueError(
            f"{text!r} is not a name: write 1 to 63 letters, digits, '.', '_' or '-',"
            " beginning and ending with a letter or digit"
        )
    return text


def _signal(text: str) -> signal.Signals:
    found: signal.Signals | None = getattr(signal.Signals, f"SIG{text.upper().removeprefix('SIG')}", None)
    if found is None or found in {
        signal.SIGSTOP,
        signal.SIGTSTP,
        signal.SIGTTIN,
        signal.SIGTTOU,
        signal.SIGCONT,
    }:
        raise ValueError(f"{text!r} is not a signal that ends a program, such as TERM, INT or QUIT")
    return found


def _words(text: str) -> tuple[str, ...]:
    import shlex

    words = tuple(shlex.split(text))
    if not words:
        raise ValueError("it is empty; write a program with its arguments")
    return words


def _flag(text: str) -> bool:
    if text.lower() not in _YES | _NO:
        raise ValueError(f"{text!r} is neither true nor false")
    return text.lower() in _YES


class _Option(NamedTuple):
    name: str
    metavar: str
    read: Callable[[str], Any]
    default: str | None
    help: str


_OPTIONS = (
    _Option("worker", "URL", _worker, "http://127.0.0.1:8080", "the worker of this member"),
    _Option("name", "NAME", _name, None, "what people see of this holder (default: the host name)"),
    _Option(
        "for", "DURATION", _hold_for, "10s", "how long each hold lasts: a worker may be away for about half"
    ),
    _Option(
        "grace",
        "DURATION",
        _positive,
        None,
        "how long before SIGKILL the command gets SIGTERM when the hold runs out (default: a third of --for)",
    ),
    _Option("stop-signal", "SIGNAL", _signal, "TERM", "sent to COMMAND's process group to end it"),
    _Option("token-file", "FILE", str, None, "a bearer token for the worker, read again for each request"),
    _Option(
        "ca-file", "FILE", str, None, "whom to trust with https (PEM; default: this machine's authorities)"
    ),
    _Option(
        "once", "", _flag, None, "when COMMAND ends by itself, exit with its status; else start it again"
    ),
    _Option("on-active", "CMD", _words, None, "instead of COMMAND: run this when the member becomes active"),
    _Option(
        "on-passive", "CMD", _words, None, "has to succeed before the hold is released; repeated until then"
    ),
    _Option("check", "CMD", _words, None, "is it healthy? Exit status 0 means yes"),
    _Option("check-interval", "DURATION", _positive, "2s", "time between two checks"),
)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"tcf-run: {message}\ntcf-run: see 'tcf-run --help'\n")


def parsed(arguments: Sequence[str], environment: Mapping[str, str]) -> Options:
    """The options. Raises SystemExit, with a message on stderr, if something is wrong with them."""
    split = list(arguments).index("--") if "--" in arguments else len(arguments)
    command = tuple(arguments[split + 1 :])
    parser = _Parser(
        "tcf-run",
        usage="tcf-run [OPTIONS] -- COMMAND [ARGUMENT...]\n"
        "       tcf-run [OPTIONS] --on-active CMD --on-passive CMD",
        description=_ABOUT,
        epilog=_MORE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    for option in _OPTIONS:
        about = option.help + (f" (default: {option.default})" if option.default else "")
        if option.metavar:
            parser.add_argument(f"--{option.name}", metavar=option.metavar, help=about)
        else:
            parser.add_argument(f"--{option.name}", action="store_const", const="true", help=about)
    given, rest = parser.parse_known_args(arguments[:split])
    if rest:
        what = "there is no option" if rest[0].startswith("-") else "write -- before the command:"
        parser.error(f"{what} {rest[0]}")
    values: dict[str, Any] = {}
    for option in _OPTIONS:
        field = option.name.replace("-", "_")
        variable = f"TCF_RUN_{field.upper()}"
        text = getattr(given, field)
        source = f"--{option.name}" if text is not None else variable
        text = text if text is not None else (environment.get(variable) or option.default)
        try:
            values[field] = None if text is None else option.read(text)
        except ValueError as error:
            parser.error(f"{source}: {error}")
    return _checked(parser, values, command)


def _checked(parser: _Parser, values: dict[str, Any], command: tuple[str, ...]) -> Options:
    """What only several options together can get wrong."""
    for_, scripts = values.pop("for"), ("on_active", "on_passive", "check")
    grace = for_ / 3 if values["grace"] is None else values["grace"]
    if not command and not (values["on_active"] and values["on_passive"]):
        parser.error("say what to run: -- COMMAND, or --on-active together with --on-passive")
    if command and (given := [name for name in scripts if values[name]]):
        parser.error(
            f"--{given[0].replace('_', '-')} is for something that tcf-run does not start: leave out COMMAND"
        )
    if values["once"] and not command:
        parser.error("--once needs a COMMAND")
    if grace > for_ / 2:
        parser.error(
            f"--grace has to be at most half of --for ({for_}s): the worker needs the rest to answer"
        )
    if values["ca_file"] and not values["worker"].secure:
        parser.error("--ca-file needs a --worker with https")
    if values["name"] is None:
        try:
            values["name"] = _name(os.uname().nodename[:63])
        except ValueError:
            parser.error("the host name cannot be the holder's name: give --name")
    values |= {name: values[name] or () for name in scripts}
    return Options(
        **(values | {"for_": for_, "grace": grace, "once": bool(values["once"]), "command": command})
    )


# === client of the worker ===================================================================================

Waiting = Generator[tuple[int, int], None, "Answer"]
"""A request under way. It yields a file descriptor and the events of poll() that it waits for."""
_MOST_HEAD, _MOST_BODY = 16 * 1024, 64 * 1024
_SECONDS = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?")
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([1-5]\d\d)(?: [^\r\n]*)?")
_SAFE = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_TAME = re.compile(r"[A-Za-z0-9._/-]{0,300}")
_NO_CONTENT = 204


class NoAnswerError(Exception):
    """There is no answer that can be used; the message says why."""


class Answer(NamedTuple):
    """What a worker has answered.

    `held`: seconds, counted from `sent`, for which the caller may act as active; None if it does not say.
    `text`: its error message, or else its body.
    """

    status: int
    sent: float
    held: float | None = None
    term: str = ""
    cluster: str = ""
    federation: str = ""
    text: str = ""

    @property
    def granted(self) -> bool:
        """Does it say that this member is active, for how long, and at which term?"""
        return self.status == 200 and self.held is not None and self.term.isdigit()


class Request(NamedTuple):
    """`target`: path and query. `timeout`: seconds until there has to be an answer."""

    method: str
    target: str
    timeout: float


def quoted(text: str) -> str:
    """`text` as a part of a path or query."""
    return "".join(chr(byte) if byte in _SAFE else f"%{byte:02X}" for byte in text.encode(errors="replace"))


class Link:
    """A connection to the worker, which stays open between requests. It uses no proxy, follows no redirect.

    Nothing here waits: each request is a generator that says what it waits for, so that whoever runs it can
    give up at any time.
    """

    def __init__(self, options: Options, children: Children) -> None:
        self._options = options
        self._children = children
        self._socket: socket.socket | None = None
        self._failures = 0
        """So many connections could not be made: so the next attempt begins with another address."""

    def close(self) -> None:
        if self._socket:
            self._socket.close()
        self._socket = None

    def exchange(self, request: Request, sent: float) -> Waiting:
        """Send the request and return the answer. `sent`: when it was made. Raises NoAnswerError."""
        reused = self._socket is not None
        try:
            try:
                return (yield from self._exchange(request, sent))
            except (OSError, NoAnswerError):
                if not reused:
                    raise
            # The worker may have closed a connection that nobody used. A new one shows whether it answers.
            self.close()
            return (yield from self._exchange(request, sent))
        except OSError as error:
            self.close()
            raise NoAnswerError(f"{self._options.worker}: {error.strerror or error}") from error
        except BaseException:
            self.close()
            raise

    def _exchange(self, request: Request, sent: float) -> Waiting:
        if not self._socket:
            self._failures += 1
            yield from self._connect()
            self._failures = 0
        yield from self._send(self._head(request))
        received = b""
        while True:
            while b"\r\n\r\n" not in received:
                if len(received) > _MOST_HEAD:
                    raise NoAnswerError(f"{self._options.worker} does not answer as a worker does")
                received += yield from self._receive()
            head, _, received = received.partition(b"\r\n\r\n")
            status, headers = self._parsed(head)
            if status >= 200:
                break
        length = headers.get("content-length", "0" if status == _NO_CONTENT else "")
        whole = length.isdecimal() and len(length) < 9 and int(length) <= _MOST_BODY
        while whole and len(received) < int(length):
            received += yield from self._receive()
        if not whole or len(received) > int(length) or headers.get("connection", "").lower() == "close":
            self.close()
        return _answer(status, headers, received, sent)

    def _head(self, request: Request) -> bytes:
        worker = self._options.worker
        host = str(worker._replace(prefix="")).partition("://")[2]
        lines = [f"{request.method} {worker.prefix}{request.target} HTTP/1.1", f"Host: {host}"]
        lines += ["User-Agent: tcf-run", "Content-Length: 0", *_authorization(self._options.token_file)]
        return "\r\n".join([*lines, "", ""]).encode("ascii")

    def _parsed(self, head: bytes) -> tuple[int, dict[str, str]]:
        first, *rest = head.split(b"\r\n")
        found = _STATUS_LINE.fullmatch(first)
        if not found:
            raise NoAnswerError(f"{self._options.worker} does not speak HTTP; is it https, or another port?")
        headers: dict[str, str] = {}
        for line in rest:
            name, _, value = line.decode("latin-1").partition(":")
            # A header that is there twice cannot be read as a number any more.
            key = name.lower()
            headers[key] = f"{headers[key]}, {value.strip()}" if key in headers else value.strip()
        return int(found[1]), headers

    # --- the connection ---------------------------------------------------------------------------------

    def _connect(self) -> Generator[tuple[int, int], None, None]:
        worker = self._options.worker
        addresses = yield from self._resolved(worker)
        turn = (self._failures - 1) % len(addresses)
        failure: OSError | None = None
        for family, host in addresses[turn:] + addresses[:turn]:
            self._socket = connection = socket.socket(family, socket.SOCK_STREAM)
            connection.setblocking(False)
            code = connection.connect_ex((host, worker.port))
            if code == errno.EINPROGRESS:
                yield connection.fileno(), select.POLLOUT
                code = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if not code:
                break
            failure = OSError(code, os.strerror(code))
            self.close()
        else:
            raise failure or NoAnswerError(f"{worker}: this host has no address")
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if worker.secure:
            secure = _tls_context(self._options.ca_file).wrap_socket(
                connection, server_hostname=worker.host, do_handshake_on_connect=False
            )
            self._socket = secure
            yield from _patiently(secure, secure.do_handshake, select.POLLIN)

    def _resolved(
        self, worker: Worker
    ) -> Generator[tuple[int, int], None, list[tuple[socket.AddressFamily, str]]]:
        """The worker's addresses. Another process asks for them, because that may take any time."""
        numeric = socket.AI_NUMERICHOST
        with contextlib.suppress(socket.gaierror, UnicodeError):
            return _addresses(socket.getaddrinfo(worker.host, worker.port, flags=numeric))
        ours, theirs = os.pipe()
        pid = self._children.fork()
        if not pid:
            _write_addresses(worker, theirs)
        os.close(theirs)
        found = b""
        try:
            while not found.endswith(b"\n\n"):
                yield ours, select.POLLIN
                part = os.read(ours, 4096)
                if not part:
                    raise NoAnswerError(f"{worker}: the name of the host cannot be resolved")
                found += part
        finally:
            os.close(ours)
            self._children.end(pid)
        lines = [line.split(" ", 1) for line in found.decode().splitlines() if line]
        return [(socket.AddressFamily(int(family)), host) for family, host in lines]

    def _send(self, data: bytes) -> Generator[tuple[int, int], None, None]:
        while data:
            sent = yield from _patiently(self._open, partial(self._open.send, data), select.POLLOUT)
            data = data[sent:]

    def _receive(self) -> Generator[tuple[int, int], None, bytes]:
        received = yield from _patiently(self._open, partial(self._open.recv, 4096), select.POLLIN)
        if not received:
            raise NoAnswerError(f"{self._options.worker} has closed the connection")
        return received

    @property
    def _open(self) -> socket.socket:
        if not self._socket:
            raise NoAnswerError("there is no connection")
        return self._socket


def _patiently(
    connection: socket.socket, act: Callable[[], T], events: int
) -> Generator[tuple[int, int], None, T]:
    """Do `act` as soon as the connection lets it. TLS may have to read before it can write."""
    while True:
        try:
            return act()
        except BlockingIOError:
            wanted = events
        except OSError as error:
            # The module ssl is imported only for https, so its errors are known by their names.
            names = {"SSLWantReadError": select.POLLIN, "SSLWantWriteError": select.POLLOUT}
            if type(error).__name__ not in names:
                raise
            wanted = names[type(error).__name__]
        yield connection.fileno(), wanted


def _write_addresses(worker: Worker, pipe: int) -> NoReturn:
    """In a process of its own: write each address in a line, and then an empty line."""
    with contextlib.suppress(OSError, UnicodeError):
        found = _addresses(socket.getaddrinfo(worker.host, worker.port, type=socket.SOCK_STREAM))
        os.write(pipe, "".join([*(f"{family:d} {host}\n" for family, host in found), "\n"]).encode())
    os._exit(0)


def _addresses(found: Sequence[Any]) -> list[tuple[socket.AddressFamily, str]]:
    """Each address once, from what getaddrinfo returns."""
    return list(dict.fromkeys((info[0], str(info[4][0])) for info in found))


def _authorization(token_file: str | None) -> list[str]:
    """The header with the token. Raises NoAnswerError if the file has none."""
    if not token_file:
        return []
    try:
        with open(token_file, encoding="ascii") as file:
            token = file.read(_MOST_HEAD).strip()
    except (OSError, UnicodeError) as error:
        raise NoAnswerError(f"--token-file {token_file} cannot be read: {error}") from error
    if not token.isprintable() or not token or " " in token:
        raise NoAnswerError(f"--token-file {token_file} does not contain a token")
    return [f"Authorization: Bearer {token}"]


def _tls_context(ca_file: str | None) -> ssl.SSLContext:
    """For one connection, so that a new --ca-file counts from the next one on."""
    import ssl

    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise NoAnswerError(f"--ca-file {ca_file} cannot be used: {error}") from error


def _answer(status: int, headers: Mapping[str, str], body: bytes, sent: float) -> Answer:
    held = headers.get("x-tcf-held-for", "")
    term, cluster, federation = (
        value if _TAME.fullmatch(value := headers.get(f"x-tcf-{name}", "")) else ""
        for name in ("term", "cluster", "federation")
    )
    seconds = float(held) if _SECONDS.fullmatch(held) else None
    return Answer(status, sent, seconds, term, cluster, federation, _message(body))


def _message(body: bytes) -> str:
    """The message of an error, or else the beginning of the body."""
    text = body.decode(errors="replace")
    if text.startswith("{"):
        import json

        with contextlib.suppress(ValueError, RecursionError):
            text = str(json.loads(text).get("error", text))
    return printable(text, 300)


# === state machine ==========================================================================================

_FIRST_RETRY, _LONGEST_RETRY = 0.1, 0.8
"""Seconds between two questions while the worker gives no usable answer."""
_SOONEST = 0.2
"""Seconds between two questions at least, for a worker that does not wait although it is asked to."""
_FIRST_RESTART, _LONGEST_RESTART, _LONGEST_REPEAT = 0.5, 30.0, 5.0
"""Seconds until a command is started again, or until a script is repeated."""
_STEADY = 10.0
"""A command that has run for so many seconds counts as healthy again."""
_MAYBE_ACTIVE = (
    "DANGER: --on-passive has not succeeded, so something may still be active here."
    " Make this member passive by hand"
)
_UNSETTLED = "neither --on-active nor --on-passive has succeeded since tcf-run started"
_NO_FUSE = "the fuse of tcf-run does not answer, so nothing is started"
_UNCHECKED = "--check has not ended since tcf-run started"
_RELEASE_TIMEOUT, _FAREWELL = 2.0, 3.0
_SILENCE_TIMEOUT = 5.0
"""Seconds that an answer may take while nothing depends on it, beside the time that the worker may wait."""
_IDLE = 418
_COMMAND, _ON_ACTIVE, _ON_PASSIVE = "the command", "--on-active", "--on-passive"


class Phase(enum.Enum):
    """What tcf-run is doing.

    WAITING: there is no hold, and nothing runs.
    ACTING: there is a hold, and the command runs or is about to be started.
    CLEARING: the command has ended by itself; what it left behind is ended before it is started again.
    STOPPING: the command is being ended.
    MAKING_PASSIVE: --on-passive has to succeed.
    RELEASING: nothing is left, and the worker is being told so.
    OVER: tcf-run ends.
    """

    WAITING = "waiting"
    ACTING = "acting"
    CLEARING = "clearing"
    STOPPING = "stopping"
    MAKING_PASSIVE = "making passive"
    RELEASING = "releasing"
    OVER = "over"


class Start(NamedTuple):
    """Start the command or a script."""

    what: str


class Terminate(NamedTuple):
    """Send the stop signal to the process group of what runs."""


class Kill(NamedTuple):
    """Send SIGKILL to everything that is left."""


class Abort(NamedTuple):
    """Give up the request that is under way: its answer does not count any more."""


class Say(NamedTuple):
    """Log a line."""

    text: str


Effect = Start | Terminate | Kill | Abort | Say


class Machine:
    """Decides what happens to the command and to the hold. It has no clock and does nothing by itself.

    Events are methods that get the time. `effects` then has what is to be done. `request` says what to ask
    the worker, and `fuse_at` when the fuse has to kill everything unless it hears more.

    Attributes:
        until: when the hold ends, by the worker's answers.
        confirmed: the same, as far as the fuse knows. The command never runs for longer than this, so a fuse
            that does not answer ends it as a worker does that does not answer.
        known: the last answer that said which role this member has.
        status: the exit status of tcf-run, once it is to end.
    """

    def __init__(self, options: Options, draw: Callable[[], str]) -> None:
        self.options = options
        self.phase = Phase.WAITING
        self.until = self.confirmed = -1.0
        self.known: Answer | None = None
        self.status: int | None = None
        self._draw = draw
        self._id = draw()
        self._granted = self._room = 0.0
        """Seconds from the question, and from the answer, to the end of the hold."""
        self._signals = 0
        self._kill_now = False
        self._kill_by: float | None = None
        self._running = ""
        """What is being run: the command or a script."""
        self._pending = False
        """Has the command, or --on-active, still to be started?"""
        self._live = options.notifies
        """May something be active here? At first, that may be what an earlier run has made active."""
        self._started = 0.0
        self._start_at = 0.0
        self._restarts = 0
        self._sick = _UNSETTLED if options.notifies else ""
        """Why the application is not healthy, as far as the command and the scripts show; "" if it is."""
        self._unchecked = _UNCHECKED if options.check else ""
        """The same, as far as --check shows."""
        self._ask_at = 0.0
        self._failures = 0
        self._trouble = ""
        self._settle_by: float | None = None
        self._overdue = False
        self._release_by = 0.0
        self._effects: list[Effect] = []

    def effects(self) -> list[Effect]:
        """What is to be done now, in this order. Each effect is returned once."""
        found, self._effects = self._effects, []
        return found

    # --- times ------------------------------------------------------------------------------------------

    @property
    def margin(self) -> float:
        """So many seconds before the hold ends, everything of the command is killed."""
        return min(0.5, max(0.1, self._granted / 18))

    @property
    def _grace(self) -> float:
        """As --grace says, but at most half of what the worker grants."""
        return min(self.options.grace, self._room / 2)

    @property
    def kill_at(self) -> float:
        """From then on, everything is killed."""
        return (self.confirmed if self.confirmed > 0 else self.until) - self.margin

    @property
    def term_at(self) -> float:
        """If no answer has come by then, the command is ended."""
        return self.kill_at - self._grace

    def fuse_at(self, now: float) -> float | None:
        """When the fuse has to act unless it hears more; None if there is nothing to be killed.

        A script of --on-passive takes time, so the fuse runs it early when the supervisor is silent.
        """
        if self.phase in {Phase.ACTING, Phase.CLEARING, Phase.STOPPING} and not self.options.notifies:
            return self.until - self.margin / 2
        if self.phase is Phase.ACTING:
            return self.until - self._grace - self.margin / 2
        if self.phase in {Phase.STOPPING, Phase.MAKING_PASSIVE}:
            return now + max(2.0, self.options.grace)
        return None

    # --- what the worker says ---------------------------------------------------------------------------

    def request(self, now: float) -> Request | None:
        """What to send to the worker now. Asked only while no request is under way."""
        if now < self._ask_at or self.phase is Phase.OVER:
            return None
        target = f"/tcf/holds/{quoted(self.options.name)}?id={self._id}"
        if self.phase is Phase.RELEASING:
            return Request("DELETE", target, _RELEASE_TIMEOUT)
        wait, timeout = self._patience(now)
        parts = [f"for={self.options.for_}s"]
        parts += [f"wait={wait}s"] * (wait > 0)
        parts += ["draining=true"] * (self.phase in {Phase.STOPPING, Phase.MAKING_PASSIVE})
        if sick := self._sick or self._unchecked:
            parts += ["healthy=false", f"message={quoted(printable(sick, 200))}"]
        return Request("PUT", "&".join([target, *parts]), timeout)

    def _patience(self, now: float) -> tuple[int, float]:
        """For how long the worker may wait for news (whole seconds), and how long the answer may take."""
        if self.phase is Phase.WAITING:
            # The first answer comes at once, and so does the first one after trouble.
            known = self.known is not None and not self._failures
            wait = max(self.options.for_ // 4, min(1, self.options.for_ // 2)) if known else 0
            return wait, wait + _SILENCE_TIMEOUT
        acting = self.phase is Phase.ACTING
        left = (self.term_at if acting else self.kill_at) - now
        # Of what is left, half is for this answer, so that there is time for another try.
        wait = self._longest_wait if acting and not self._failures and left > self._longest_wait else 0
        return wait, wait + max(0.3, (left - wait) / 2)

    @property
    def _slack(self) -> float:
        """Seconds for which a worker may be silent before the command is ended, just after an answer."""
        return max(0.0, self._room - self.margin - self._grace)

    @property
    def _longest_wait(self) -> int:
        return int(min(self.options.for_ / 5, self._slack / 2.2))

    def heard(self, answer: Answer, now: float) -> None:
        """The worker has answered a PUT."""
        self._extend(answer, now)
        if self.phase is Phase.RELEASING:
            return  # it comes too late to matter, and must not delay the release
        if not answer.granted and answer.status != _IDLE:
            self._unusable(answer, now)
            return
        first, self.known = self.known is None, answer
        if self._trouble:
            self._say("the worker answers again")
        self._trouble, self._failures = "", 0
        before = self.phase
        if self.phase is Phase.WAITING:
            self._heard_waiting(answer, now, first=first)
        elif answer.status == _IDLE and self.phase in {Phase.ACTING, Phase.CLEARING}:
            self._stop(f"this member is not active any more ({answer.text})", now)
        elif answer.granted and self.phase is Phase.MAKING_PASSIVE:
            self._come_back(answer, now)
        if self.phase is not before:
            self._ask_at = now
        elif self.phase is Phase.WAITING or (self.phase is Phase.ACTING and self._longest_wait):
            self._ask_at = max(now, answer.sent + _SOONEST)
        elif self.phase in {Phase.ACTING, Phase.CLEARING}:
            self._ask_at = now + min(self.options.for_ / 5, max(0.05, self._slack / 3))
        else:
            self._ask_at = now + min(self.options.for_ / 5, max(0.1, self._room / 4))

    def _extend(self, answer: Answer, now: float) -> None:
        """Only time shortens a hold. A worker never grants more than it is asked for."""
        until = answer.sent + min(answer.held or 0.0, float(self.options.for_))
        if until > max(self.until, now):
            self.until, self._granted, self._room = until, until - answer.sent, until - now

    def _heard_waiting(self, answer: Answer, now: float, *, first: bool) -> None:
        if answer.granted and self.until > now:
            self.phase, self._pending, self._start_at = Phase.ACTING, True, now
            self._say(
                f"active at term {answer.term} ({answer.cluster} of {answer.federation}),"
                f" for {shown(self.until - now)} at first"
            )
            if self._granted < self.options.for_ / 2:
                self._say(
                    f"the worker grants only {shown(self._granted)}, not {self.options.for_} s:"
                    " the federation's leaseDuration is the limit"
                )
        elif answer.status == _IDLE:
            if first:
                self._say(f"this member is not active ({answer.text}): waiting")
            if self._live:
                self._make_passive(now)

    def _come_back(self, answer: Answer, now: float) -> None:
        """The role is back, after a rollback for example, and --on-passive has not succeeded."""
        if not self._running and self.status is None and self.until > now:
            self._say(f"active again at term {answer.term}, so --on-passive is not repeated")
            self.phase, self._pending, self._start_at = Phase.ACTING, True, now
            self._overdue = False

    def _unusable(self, answer: Answer, now: float) -> None:
        hints = {
            200: "but it grants no hold; is this a TCF worker?",
            401: "give --token-file",
            403: "the token's user lacks a right",
            404: "it knows no holds: is this the port of a TCF worker, and is it new enough?",
        }
        moved = "redirects are not followed: give the URL of the worker itself"
        hint = hints.get(answer.status, moved if answer.status // 100 == 3 else "")
        said = "; ".join(part for part in (answer.text, hint) if part)
        self.unheard(f"the worker answers {answer.status}: {said}", now)

    def unheard(self, why: str, now: float) -> None:
        """A PUT had no usable answer. The hold stays as it is, and the worker is asked again."""
        if self.phase is Phase.RELEASING:
            return
        self._failures += 1
        self._ask_at = now + delay(self._failures, first=_FIRST_RETRY, longest=_LONGEST_RETRY)
        if why != self._trouble:
            left = f"; the hold lasts for {shown(self.until - now)} more" if self.until > now else ""
            self._say(f"{why}{left}; asking again")
        self._trouble = why

    def released(self, now: float) -> None:
        """The worker has answered a DELETE."""
        self._say("released" if self.status is not None else "released; waiting until this member is active")
        self._begin_again(now)

    def unreleased(self, why: str, now: float) -> None:
        """A DELETE had no answer."""
        self._failures += 1
        self._ask_at = now + delay(self._failures, first=_FIRST_RETRY, longest=_LONGEST_RETRY)
        if why != self._trouble:
            self._say(f"cannot release the hold ({why}); asking again")
        self._trouble = why

    def _begin_again(self, now: float) -> None:
        """An instance that was released is never used again."""
        if self.status is not None:
            self.phase = Phase.OVER
            return
        self.phase = Phase.WAITING
        self._id, self.until, self.confirmed = self._draw(), -1.0, -1.0
        self._ask_at, self._failures, self._trouble = now, 0, ""
        self._kill_now, self._kill_by, self._sick, self._restarts = False, None, "", 0
        self._overdue = False

    # --- what happens to the command --------------------------------------------------------------------

    def tick(self, now: float) -> None:
        """Time has passed."""
        if self.phase in {Phase.ACTING, Phase.CLEARING}:
            self._tick_acting(now)
        if self.phase in {Phase.CLEARING, Phase.STOPPING} and self._must_kill(now):
            self._effects.append(Kill())
        if self.phase is Phase.WAITING and self._live:
            self._tick_unsettled(now)
        if self.phase is Phase.MAKING_PASSIVE:
            self._tick_making_passive(now)
        if self.phase is Phase.RELEASING and now >= self._release_by:
            self._say("the worker does not know that; the hold runs out by itself")
            self._begin_again(now)

    def _tick_acting(self, now: float) -> None:
        if self._live and now >= self.term_at:
            fuse = "the fuse of tcf-run does not answer" if self.until > self.confirmed else "no answer"
            self._stop(f"{self._trouble or fuse}, and the hold ends in {shown(self.confirmed - now)}", now)
        elif not self._live and now >= self.until - self.margin:
            self._say("the hold has run out")
            self._release(now)
        elif self._may_start(now):
            self._pending, self._live = False, True
            self._start(_ON_ACTIVE if self.options.notifies else _COMMAND, now)
        self._tick_health(now)

    def _tick_health(self, now: float) -> None:
        """Note what keeps it from acting, for as long as that lasts."""
        if self._pending and self.phase is Phase.ACTING and self.confirmed <= 0 and now > self._start_at + 2:
            self._sick = self._sick or _NO_FUSE
        elif self._sick == _NO_FUSE and self.confirmed > 0:
            self._sick = ""
        if self._running == _ON_ACTIVE and now - self._started > self.options.for_:
            self._sick = self._sick or "--on-active does not end"
        if self._running == _COMMAND and self._sick and now - self._started >= _STEADY:
            self._sick, self._restarts = "", 0
            self._say("the command runs again: reporting it healthy")

    def _may_start(self, now: float) -> bool:
        due = self.phase is Phase.ACTING and self._pending and now >= self._start_at
        return due and now < self.term_at and self.confirmed > 0

    def _tick_unsettled(self, now: float) -> None:
        """From an earlier run, something may be active here, and the worker does not say whether it may."""
        if self._settle_by is None:
            self._settle_by = now + self.options.for_ / 2
        if now >= self._settle_by:
            self._say("still no answer, so nothing may be active here")
            self._make_passive(now)

    def _tick_making_passive(self, now: float) -> None:
        if not self._running and now >= self._start_at:
            self._start(_ON_PASSIVE, now)
        if 0 < self.until < now and not self._overdue:
            self._overdue = True
            self._say(
                "DANGER: the hold has run out, and --on-passive has not succeeded: two members may be active."
                " Make this one passive by hand"
            )

    def _must_kill(self, now: float) -> bool:
        return self._kill_now or now >= self.kill_at or (self._kill_by is not None and now >= self._kill_by)

    def _start(self, what: str, now: float) -> None:
        self._running, self._started = what, now
        self._effects.append(Start(what))

    def _say(self, text: str) -> None:
        self._effects.append(Say(text))

    def _stop(self, why: str, now: float) -> None:
        """End what runs, because of `why`. What is left after that is up to `gone`."""
        self._say(why)
        if not self._live:
            self._release(now)
        elif self.options.notifies and not self._running:
            self._make_passive(now)
        else:
            self.phase, self._ask_at = Phase.STOPPING, now
            self._effects += [Abort(), Terminate()]

    def _make_passive(self, now: float) -> None:
        self.phase, self._start_at, self._ask_at = Phase.MAKING_PASSIVE, now, now
        self._restarts = 0
        self._effects.append(Abort())

    def _release(self, now: float) -> None:
        self.phase, self._ask_at, self._failures, self._trouble = Phase.RELEASING, now, 0, ""
        self._pending = False
        self._release_by = max(now + _FAREWELL, self.until if self.status is None else 0.0)
        self._effects.append(Abort())

    def ended(self, status: int, now: float) -> None:
        """What was running has ended. `status`: as shells have it, 128 + N after signal N."""
        what, self._running = self._running, ""
        how = f"status {status}" if status < 128 else f"status {status} (signal {status - 128})"
        if what == _ON_PASSIVE:
            self._ended_on_passive(status, how, now)
        elif self.phase is not Phase.ACTING:
            self._say(f"{what} has ended with {how}")
        elif what == _ON_ACTIVE:
            self._ended_on_active(status, how, now)
        elif self.options.once:
            self._say(f"the command has ended by itself with {how}")
            self.status = status
            self.phase, self._kill_by = Phase.STOPPING, now + self.options.grace
            self._effects += [Abort(), Terminate()]
        else:
            steady = now - self._started >= _STEADY
            wait = self._failed(f"the command has ended by itself with {how}", now, again=not steady)
            self._say(f"{self._sick}, after {shown(now - self._started)}; starting it again in {shown(wait)}")
            self.phase, self._kill_by = Phase.CLEARING, now + self.options.grace
            self._effects.append(Terminate())

    def _failed(self, what: str, now: float, *, again: bool = True) -> float:
        """Note a failure, which is reported as bad health. Return the seconds until the next try."""
        self._restarts = self._restarts + 1 if again else 1
        longest = _LONGEST_REPEAT if self.options.notifies else _LONGEST_RESTART
        wait = delay(self._restarts, first=_FIRST_RESTART, longest=longest)
        self._start_at, self._sick = now + wait, what
        return wait

    def _ended_on_active(self, status: int, how: str, now: float) -> None:
        if status:
            wait = self._failed(f"--on-active has failed with {how}", now)
            self._pending = True
            self._say(f"{self._sick}; trying again in {shown(wait)}")
        else:
            self._sick, self._restarts = "", 0
            self._say("--on-active has succeeded")

    def _ended_on_passive(self, status: int, how: str, now: float) -> None:
        if status:
            wait = self._failed(f"--on-passive has failed with {how}", now)
            self._say(f"{self._sick}; the hold is kept; trying again in {shown(wait)}")
        else:
            self._say("--on-passive has succeeded")
            self._live = False
            self._release(now)

    def gone(self, now: float) -> None:
        """Nothing is left of what ran."""
        self._kill_by = None
        if self.phase is Phase.CLEARING:
            self.phase, self._live, self._pending = Phase.ACTING, False, True
        elif self.options.notifies:
            self._make_passive(now)
        else:
            self._say("nothing of the command is left")
            self._live = False
            self._release(now)

    def stop(self, number: int, now: float) -> None:
        """The user has sent a signal that ends tcf-run."""
        self._signals += 1
        if self.status is None:
            self.status = 128 + number
        name = f"got {signal.Signals(number).name}"
        if self.phase is Phase.WAITING:
            self._say(f"{name}: ending")
            if self._live:
                self._make_passive(now)
            else:
                self._release(now)
        elif self.phase in {Phase.ACTING, Phase.CLEARING}:
            self._stop(name, now)
        elif self._signals == 1:
            self._say(f"{name}: ending as soon as nothing is active here")
        elif self.phase is Phase.STOPPING:
            self._say(f"{name} again: killing the command")
            self._kill_now = True
        else:
            self._say(f"{name} again: ending without a release; the hold runs out by itself")
            if self.phase is Phase.MAKING_PASSIVE:
                self._say(_MAYBE_ACTIVE)
            self.phase = Phase.OVER

    def fuse_lost(self, now: float) -> None:
        """Nothing would end the command any more if this process were stopped."""
        self._say("the fuse of tcf-run was killed: killing the command, and ending")
        self.status, self._kill_now = INTERNAL, True
        if self.phase is Phase.WAITING and not self._live:
            self._release(now)
        elif self.phase is Phase.WAITING:
            self._make_passive(now)
        elif self.phase in {Phase.ACTING, Phase.CLEARING}:
            self._stop("nothing guards the command", now)

    def checked(self, trouble: str) -> None:
        """--check has ended; `trouble`: what is wrong, or ""."""
        if trouble != self._unchecked:
            again = "" if self._unchecked == _UNCHECKED else " again"
            self._say(f"{trouble}: reporting it unhealthy" if trouble else f"--check succeeds{again}")
        self._unchecked = trouble


# === processes ==============================================================================================

_SUBREAPER, _DEATH_SIGNAL = 36, 1  # PR_SET_CHILD_SUBREAPER, PR_SET_PDEATHSIG


class Process(NamedTuple):
    """A process as /proc shows it. `born`: distinguishes processes that had the same number."""

    pid: int
    name: str
    parent: int
    session: int
    born: int
    alive: bool

    def __str__(self) -> str:
        return f"{self.pid} ({self.name})"


def process(pid: int) -> Process | None:
    """The process with this number, or None. Zombies are not alive, unless a thread of theirs still runs."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            text = file.read()
    except OSError:
        return None
    # The name may contain anything, even parentheses.
    name, _, rest = text.partition(b"(")[2].rpartition(b") ")
    fields = rest.split()
    if len(fields) < 20:
        return None
    alive = fields[0] not in {b"Z", b"X"} or int(fields[17]) > 1
    return Process(
        pid,
        printable(name.decode(errors="replace")),
        int(fields[1]),
        int(fields[3]),
        int(fields[19]),
        alive,
    )


def descendants(root: int) -> list[Process]:
    """All processes below `root`, dead ones included. One that is being born may be missing."""
    children: dict[int, list[Process]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdecimal() and (found := process(int(entry))):
            children.setdefault(found.parent, []).append(found)
    below = list(children.get(root, ()))
    for each in below:  # grows while it is gone through
        below += children.pop(each.pid, ())
    return below


def send(to: Process, number: int) -> None:
    """Send a signal to this process, and to no other one that has got its number meanwhile."""
    with contextlib.suppress(OSError):
        try:
            handle = os.pidfd_open(to.pid)
        except OSError as error:
            if error.errno == errno.ESRCH:
                return
            os.kill(to.pid, number)  # a kernel or a sandbox without pidfd
            return
        try:
            now = process(to.pid)
            if now and now.born == to.born:
                signal.pidfd_send_signal(handle, number)
        finally:
            os.close(handle)


def prctl(option: int, value: int) -> None:
    """Call prctl(2). Raises OSError."""
    import ctypes

    library = ctypes.CDLL(None, use_errno=True)
    if library.prctl(option, ctypes.c_ulong(value), 0, 0, 0):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


class Cgroup:
    """A cgroup of the command's own, where this process may make one. It is killed as a whole.

    Without one, descendants are found in /proc. That is enough unless they are born faster than they are
    killed.
    """

    def __init__(self, *, wanted: bool = True) -> None:
        self._path = _own_cgroup() if wanted else ""
        if self._path:
            _remove_deserted(self._path)
            self._path += f"/tcf-run-{os.getpid()}-{os.urandom(4).hex()}"
            try:
                os.mkdir(self._path)
                os.stat(f"{self._path}/cgroup.kill")
            except OSError:
                self.remove()

    def join(self) -> None:
        """Put this process into it."""
        self._write("cgroup.procs", b"0")

    def kill(self) -> None:
        """Kill everything in it."""
        self._write("cgroup.kill", b"1")

    def remove(self) -> None:
        if self._path:
            with contextlib.suppress(OSError):
                os.rmdir(self._path)
        self._path = ""

    def _write(self, name: str, text: bytes) -> None:
        if self._path:
            with contextlib.suppress(OSError):
                file = os.open(f"{self._path}/{name}", os.O_WRONLY | os.O_CLOEXEC)
                try:
                    os.write(file, text)
                finally:
                    os.close(file)


def _remove_deserted(folder: str) -> None:
    """Remove the cgroups of runs that were killed. The kernel refuses to remove one that is in use."""
    with contextlib.suppress(OSError):
        for name in os.listdir(folder):
            if (found := re.fullmatch(r"tcf-run-([0-9]+)-[0-9a-f]{8}", name)) and not process(int(found[1])):
                with contextlib.suppress(OSError):
                    os.rmdir(f"{folder}/{name}")


def _own_cgroup() -> str:
    """The folder of this process's cgroup (version 2), or "" if it cannot be seen."""
    try:
        with open("/proc/self/cgroup", encoding="utf-8") as file:
            own = next((line[3:].rstrip("\n") for line in file if line.startswith("0::")), "")
        with open("/proc/self/mountinfo", encoding="utf-8") as file:
            mounts = [line.split() for line in file if " - cgroup2 " in line]
    except OSError:
        return ""
    for *_, root, mounted in (fields[3:5] for fields in mounts):
        inside = own.removeprefix(root.rstrip("/"))
        if own == root or inside.startswith("/"):
            return mounted + inside.rstrip("/") if own != root else mounted
    return ""


# === children ===============================================================================================

_ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
_PASSED_ON = (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
_CANNOT_RUN, _NOT_FOUND = 126, 127


class Children:
    """The child processes of this process: starts them and reaps them.

    Attributes:
        kept: the child that is not reaped while anything of it may be left, so that its number and its
            process group cannot be those of others; 0 if there is none.
    """

    def __init__(self, private: Sequence[int], ignored: Sequence[signal.Signals]) -> None:
        """`private`: files that no child may hold open. `ignored`: signals that children ignore, too."""
        self.kept = 0
        self._private = private
        self._ignored = ignored
        self._kept_is_dead = False
        self._helpers: set[int] = set()

    @property
    def helpers(self) -> AbstractSet[int]:
        """Those that do nothing for the command."""
        return self._helpers

    def fork(self) -> int:
        """fork(2), for a helper. The child ends with this process, and has none of its private files."""
        pid = self._fork()
        if pid:
            self._helpers.add(pid)
        return pid

    def _fork(self) -> int:
        parent = os.getpid()
        pid = os.fork()
        if not pid:
            for file in self._private:
                os.close(file)
            signal.set_wakeup_fd(-1)
            for number in (*_ENDING, *_PASSED_ON, signal.SIGCHLD, signal.SIGPIPE, signal.SIGXFSZ):
                signal.signal(number, signal.SIG_IGN if number in self._ignored else signal.SIG_DFL)
            with contextlib.suppress(OSError):
                prctl(_DEATH_SIGNAL, signal.SIGKILL)
            if os.getppid() != parent:
                os._exit(_CANNOT_RUN)
        return pid

    def start(
        self,
        words: Sequence[str],
        environment: Mapping[str, str],
        *,
        before: float | None,
        cgroup: Cgroup | None,
    ) -> int:
        """Run a program in a session of its own. If it is later than `before`, it is not run."""
        # A signal that comes before the program runs waits until then. Otherwise the child would ignore it,
        # as this process does.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            pid = self._fork()
            if not pid:
                self._become(words, environment, before, cgroup, mask)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        return pid

    @staticmethod
    def _become(
        words: Sequence[str],
        environment: Mapping[str, str],
        before: float | None,
        cgroup: Cgroup | None,
        mask: AbstractSet[int],
    ) -> NoReturn:
        """Be that program from now on, in the child. `mask`: the signals that it blocks."""
        status = _CANNOT_RUN
        try:
            os.setsid()
            if cgroup:
                cgroup.join()
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            if before is None or boot() < before:
                os.execvpe(words[0], list(words), dict(environment))
        except OSError as error:
            say(f"cannot run {words[0]}: {error.strerror}")
            status = _NOT_FOUND if error.errno == errno.ENOENT else _CANNOT_RUN
        finally:
            os._exit(status)

    def keep(self, pid: int) -> None:
        self.kept, self._kept_is_dead = pid, False

    def dead(self) -> list[tuple[int, int]]:
        """Children that have ended since the last call, with their exit status. All but `kept` are reaped."""
        found = []
        while (pid := self._next_dead()) and pid != self.kept:
            found += self._reaped(pid)
        if pid:
            # It hides the other ones from waitid.
            me = os.getpid()
            for each in descendants(me):
                if each.parent == me and not each.alive and each.pid != pid:
                    found += self._reaped(each.pid)
            if not self._kept_is_dead:
                self._kept_is_dead = True
                info = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
                assert info
                found.append((pid, _status(info)))
        return found

    def _next_dead(self) -> int:
        try:
            info = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return 0
        return info.si_pid if info else 0

    def _reaped(self, pid: int) -> list[tuple[int, int]]:
        info = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG)
        if info:
            self._helpers.discard(pid)
        return [(pid, _status(info))] if info else []

    def end(self, helper: int) -> None:
        """Kill a helper, if it has not ended by itself."""
        if helper in self._helpers:
            os.kill(helper, signal.SIGKILL)
            os.waitid(os.P_PID, helper, os.WEXITED)
            self._helpers.discard(helper)

    def all_gone(self) -> bool:
        """Reap all that have ended. Is there no child left? The kernel is never wrong about that.

        A subreaper without a child has no descendant either.
        """
        while True:
            try:
                pid, _ = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                self.kept = 0
                return True
            if not pid:
                return False
            if pid == self.kept:
                self.kept = 0

    def let_go(self) -> None:
        """Reap `kept`, which has ended."""
        if self.kept:
            os.waitpid(self.kept, 0)
        self.kept = 0


def _status(info: os.waitid_result) -> int:
    """The exit status as shells have it."""
    return info.si_status if info.si_code == os.CLD_EXITED else 128 + info.si_status


class Bell:
    """Wakes up poll() when a signal arrives. `read` returns the signals since the last call."""

    def __init__(self, *signals: signal.Signals) -> None:
        self.file, self._other_end = os.pipe()
        os.set_blocking(self.file, False)
        os.set_blocking(self._other_end, False)
        signal.set_wakeup_fd(self._other_end, warn_on_full_buffer=False)
        for number in signals:
            signal.signal(number, lambda *_: None)

    def read(self) -> bytes:
        with contextlib.suppress(BlockingIOError):
            return os.read(self.file, 4096)
        return b""


def listed(processes: Sequence[Process]) -> str:
    """So many, and which ones, as people want to read it."""
    some = ", ".join(str(each) for each in processes[:8]) + ", ..." * (len(processes) > 8)
    return f"{len(processes)} process{'es' * (len(processes) != 1)}: {some}"


def environment_for(known: Sequence[str]) -> dict[str, str]:
    """This process's environment, with term, cluster and federation, as far as they are known."""
    names = ("TCF_TERM", "TCF_CLUSTER", "TCF_FEDERATION")
    return {**os.environ, **{name: value for name, value in zip(names, known, strict=True) if value}}


# === fuse ===================================================================================================

_FUSE_STEP, _CALM_STEP, _KILLING_STEP = 0.02, 0.25, 0.005
_QUIET = 10
_REPORT = 5.0
"""Seconds between two reports about the same thing."""
_MESSAGE = 2048


class Order(NamedTuple):
    """What the supervisor tells the fuse.

    `at`: when to act; None if there is nothing to be ended. `job`: the session of the script that is running.
    `status`: the exit status of tcf-run, once the supervisor has done its work; -1 before.
    """

    number: int
    at: float | None
    job: int
    status: int
    known: tuple[str, str, str]

    def write(self) -> bytes:
        return "\t".join(
            [str(self.number), repr(self.at), str(self.job), str(self.status), *self.known]
        ).encode()

    @classmethod
    def read(cls, message: bytes) -> Order:
        number, at, job, status, term, cluster, federation = message.decode().split("\t")
        known = term, cluster, federation
        return cls(int(number), None if at == "None" else float(at), int(job), int(status), known)


_NO_ORDER = Order(0, None, 0, -1, ("", "", ""))


class Fuse:
    """Kills everything of the command when the time of its last order has come, or when the supervisor dies.

    It does nothing that could keep it waiting.
    """

    def __init__(
        self,
        options: Options,
        supervisor: int,
        link: socket.socket,
        bell: Bell,
        children: Children,
        cgroup: Cgroup,
    ) -> None:
        self._options = options
        self._supervisor = supervisor
        self._link = link
        self._bell = bell
        self._children = children
        self._cgroup = cgroup
        self._order = _NO_ORDER
        self._killed: dict[tuple[int, int], Process] = {}
        self._blown = False
        self._quiet = 0
        """So many times in a row, nothing was found that had to be killed."""
        self._stopped_by = 0
        self._script = 0
        self._script_at = 0.0
        self._done = False
        """Has --on-passive succeeded?"""

    def run(self) -> int:
        """Returns the exit status of tcf-run."""
        ready = select.poll()
        ready.register(self._bell.file, select.POLLIN)
        ready.register(self._link, select.POLLIN)
        while self._supervisor:
            ready.poll(self._step * 1000)
            self._pass_on(self._bell.read())
            self._reap()
            # Read the link after reaping: the last order of a supervisor that has ended is there by now.
            if not self._hear() or not self._supervisor:
                break
            if self._order.at is not None and boot() >= self._order.at:
                self._act()
        return self._order.status if self._order.status >= 0 else self._end()

    @property
    def _step(self) -> float:
        if self._order.at is None or self._quiet > _QUIET:
            return _CALM_STEP
        return _KILLING_STEP if self._blown else _FUSE_STEP

    def _pass_on(self, signals: bytes) -> None:
        for number in signals:
            if number in _ENDING or number in _PASSED_ON:
                self._stopped_by = self._stopped_by or (number if number in _ENDING else 0)
                with contextlib.suppress(OSError):
                    self._link.send(bytes([number]))

    def _hear(self) -> bool:
        """Read all orders and confirm each. False if the supervisor has ended."""
        while True:
            try:
                message = self._link.recv(_MESSAGE)
            except BlockingIOError:
                return True
            except ConnectionResetError:
                continue  # it ended and had not read everything: Linux reports that before its last orders
            except OSError:
                return False
            if not message:
                return False
            self._order = Order.read(message)
            self._blown, self._killed, self._quiet = False, {}, 0
            with contextlib.suppress(OSError):
                self._link.send(b"\0%d" % self._order.number)

    def _reap(self) -> None:
        for pid, status in self._children.dead():
            if pid == self._supervisor:
                self._supervisor = 0
            elif pid == self._script:
                self._script, self._script_at = 0, boot() + 1.0
                say(f"fuse: --on-passive has ended with status {status}")
                self._done = not status

    def _act(self) -> None:
        """The hold runs out, and the supervisor says nothing."""
        if not self._blown:
            self._blown = True
            say("fuse: the hold runs out, and the supervisor does not react: killing what it has started")
        if self._script:
            return
        # Somebody who is born at this moment may be missed, so it looks again until the supervisor reacts.
        self._quiet = 0 if self._kill_below(self._supervisor) else self._quiet + 1
        if self._quiet <= _QUIET:
            return
        if self._killed:
            say(f"fuse: killed {listed([*self._killed.values()])}")
            self._killed = {}
        if self._options.notifies and not self._done:
            self._make_passive()
        elif self._stopped_by:
            os.kill(self._supervisor, signal.SIGKILL)  # somebody has stopped it, so it would never end

    def _kill_below(self, root: int) -> bool:
        """Kill what the supervisor has started. Is something left?"""
        found = [each for each in descendants(root) if each.alive and self._concerns(each)]
        if not self._options.notifies:
            self._cgroup.kill()
        for each in found:
            send(each, signal.SIGKILL)
            self._killed[each.pid, each.born] = each
        return bool(found)

    def _concerns(self, each: Process) -> bool:
        """Of what is not its own, tcf-run kills only the script that it runs at the moment."""
        if self._options.notifies:
            return each.session == self._order.job and bool(each.session)
        return each.pid != self._supervisor

    def _make_passive(self) -> None:
        if not self._script and boot() >= self._script_at:
            say("fuse: running --on-passive")
            environment = environment_for(self._order.known)
            self._script = self._children.start(
                self._options.on_passive, environment, before=None, cgroup=None
            )

    def _end(self) -> int:
        """The supervisor was killed. See to what it has left behind."""
        if not self._stopped_by:
            say("fuse: the supervisor was killed: killing what it has started, and ending")
        reported = boot()
        while self._kill_below(os.getpid()) or not (self._options.notifies or self._children.all_gone()):
            self._reap()
            time.sleep(_KILLING_STEP)
            if boot() - reported > _REPORT:
                reported = boot()
                left = [each for each in descendants(os.getpid()) if each.alive]
                say(f"fuse: cannot kill {listed(left)}; trying again")
        while self._options.notifies and self._order.at is not None and not self._done:
            self._make_passive()
            time.sleep(_FUSE_STEP)
            self._reap()
            if self._told_again():
                say(f"fuse: told to end again. {_MAYBE_ACTIVE}")
                break
        return 128 + self._stopped_by if self._stopped_by else INTERNAL

    def _told_again(self) -> bool:
        """Has a signal come that ends it, after an earlier one?"""
        for number in self._bell.read():
            if number in _ENDING and self._stopped_by:
                return True
            if number in _ENDING:
                self._stopped_by = number
        return False


# === supervisor =============================================================================================

_STEP, _IDLE_STEP, _LOOK = 0.05, 0.1, 0.1
_UNCONFIRMED = 1.0
"""Seconds after which an order that the fuse has not confirmed is sent again."""


class Supervisor:
    """Does what the state machine says: asks the worker, starts and ends the command, informs the fuse."""

    def __init__(
        self, options: Options, fuse: socket.socket, bell: Bell, children: Children, cgroup: Cgroup
    ) -> None:
        self._options = options
        self._fuse: socket.socket | None = fuse
        self._bell = bell
        self._children = children
        self._cgroup = cgroup
        self._machine = Machine(options, lambda: os.urandom(8).hex())
        self._worker = Link(options, children)
        self._exchange: Waiting | None = None
        self._awaits: tuple[int, int] | None = None
        self._deadline = 0.0
        self._request = Request("", "", 0.0)
        self._order = _NO_ORDER
        self._confirmed = _NO_ORDER
        self._order_sent = 0.0
        self._order_until = -1.0
        self._job = 0
        self._job_has_ended = True
        self._told: set[tuple[int, int]] = set()
        self._looked = 0.0
        self._killing = False
        self._kill_reported = 0.0
        self._check = 0
        self._check_at = 0.0
        self._busy = False

    def run(self) -> int:
        """Returns the exit status of tcf-run."""
        while self._machine.phase is not Phase.OVER:
            self._busy = False
            now = boot()
            self._machine.tick(now)
            self._hear_fuse(now)
            self._reap(now)
            if self._machine.phase in {Phase.CLEARING, Phase.STOPPING}:
                self._look(now)
            self._proceed(now)
            if self._options.check:
                self._see_to_check(now)
            self._act()
            self._ask(now)
            self._order_fuse(now)
            self._wait()
        self._act()
        self._farewell()
        return self._machine.status or 0

    # --- the fuse ---------------------------------------------------------------------------------------

    def _hear_fuse(self, now: float) -> None:
        while self._fuse:
            try:
                message = self._fuse.recv(_MESSAGE)
            except BlockingIOError:
                return
            except OSError:
                message = b""
            self._busy = True
            if not message:
                self._fuse = None
                self._machine.fuse_lost(now)
            elif message[0] == 0:
                if int(message[1:]) == self._order.number:
                    self._confirmed, self._machine.confirmed = self._order, self._order_until
            elif message[0] in _ENDING:
                self._machine.stop(message[0], now)
            elif self._job and not self._job_has_ended:
                os.kill(self._job, message[0])

    def _order_fuse(self, now: float) -> None:
        """Tell the fuse what has changed, unless it has not confirmed the last order yet."""
        if self._order is not self._confirmed and now < self._order_sent + _UNCONFIRMED:
            return
        at, last = self._machine.fuse_at(now), self._order.at
        job = self._job if self._options.notifies else 0
        # With scripts, the time is put off again and again while the supervisor works.
        step = 0.5 if self._options.notifies else 0.01
        same = at == last or (at is not None and last is not None and abs(at - last) < step)
        if same and job == self._order.job and self._order is self._confirmed:
            return
        self._send_order(at, job, -1, now)

    def _send_order(self, at: float | None, job: int, status: int, now: float) -> None:
        known = self._machine.known
        role = (known.term, known.cluster, known.federation) if known else ("", "", "")
        self._order = Order(self._order.number + 1, at, job, status, role)
        self._order_sent, self._order_until = now, self._machine.until if at is not None else -1.0
        with contextlib.suppress(OSError):
            if self._fuse:
                self._fuse.send(self._order.write())

    def _farewell(self) -> None:
        """Tell the fuse that nothing is left to be ended."""
        if self._check:
            _signal_group(self._check, signal.SIGKILL)
        self._worker.close()
        self._send_order(None, 0, self._machine.status or 0, boot())

    # --- the worker -------------------------------------------------------------------------------------

    def _ask(self, now: float) -> None:
        request = None if self._exchange else self._machine.request(now)
        if request:
            self._request, self._deadline = request, now + request.timeout
            self._exchange = self._worker.exchange(request, now)
            self._resume(now)

    def _proceed(self, now: float) -> None:
        if not self._exchange:
            return
        if self._awaits and _ready(self._awaits):
            self._busy = True
            self._resume(now)
        elif now >= self._deadline:
            self._abort()
            self._failed(f"no answer from {self._options.worker} within {shown(self._request.timeout)}", now)

    def _resume(self, now: float) -> None:
        """Let the exchange go on, as far as it can."""
        assert self._exchange
        try:
            self._awaits = next(self._exchange)
        except StopIteration as done:
            self._exchange, self._busy = None, True
            self._answered(done.value, now)
        except NoAnswerError as trouble:
            self._exchange, self._busy = None, True
            self._failed(str(trouble), now)

    def _answered(self, answer: Answer, now: float) -> None:
        if self._request.method == "PUT":
            self._machine.heard(answer, now)
        elif answer.status == _NO_CONTENT:
            self._machine.released(now)
        else:
            self._machine.unreleased(f"the worker answers {answer.status}: {answer.text}", now)

    def _failed(self, why: str, now: float) -> None:
        if self._request.method == "PUT":
            self._machine.unheard(why, now)
        else:
            self._machine.unreleased(why, now)

    def _abort(self) -> None:
        if self._exchange:
            self._exchange.close()
        self._exchange = self._awaits = None

    # --- the command ------------------------------------------------------------------------------------

    def _act(self) -> None:
        for effect in self._machine.effects():
            match effect:
                case Start(what):
                    self._start(what)
                case Terminate():
                    self._terminate()
                case Kill():
                    self._kill()
                case Abort():
                    self._abort()
                case Say(text):
                    say(text)

    def _start(self, what: str) -> None:
        """Run the command or a script. If its time is over by then, it is not run."""
        options, known = self._options, self._machine.known
        words = {_COMMAND: options.command, _ON_ACTIVE: options.on_active, _ON_PASSIVE: options.on_passive}[
            what
        ]
        environment = environment_for(
            (known.term, known.cluster, known.federation) if known else ("", "", "")
        )
        before = None if what == _ON_PASSIVE else self._machine.term_at
        cgroup = None if options.notifies else self._cgroup
        self._job = self._children.start(words, environment, before=before, cgroup=cgroup)
        self._children.keep(self._job)
        self._job_has_ended, self._told, self._killing = False, set(), False
        say(f"running {what}, process {self._job}: {' '.join(words)}")

    def _reap(self, now: float) -> None:
        for pid, status in self._children.dead():
            self._busy = True
            if pid == self._check:
                self._check, self._check_at = 0, now + self._options.check_interval
                self._machine.checked(f"--check has failed with status {status}" if status else "")
            elif pid == self._job:
                self._job_has_ended = True
                if self._machine.phase in {Phase.ACTING, Phase.MAKING_PASSIVE} and self._options.notifies:
                    self._forget_job()
                self._machine.ended(status, now)

    def _forget_job(self) -> None:
        self._children.let_go()
        self._job = 0

    def _targets(self) -> list[Process]:
        """What is alive of what is to be ended. Of what is not its own, that is only the script."""
        found = [each for each in descendants(os.getpid()) if each.pid not in self._children.helpers]
        if self._options.notifies:
            found = [each for each in found if each.session == self._job]
        return [each for each in found if each.alive]

    def _look(self, now: float) -> None:
        """Is something left of what is being ended?"""
        if not self._busy and not self._killing and now < self._looked + _LOOK:
            return
        self._looked = now
        left = self._targets()
        if not self._job_has_ended:
            return
        if left:
            self._tell(left)
        elif self._options.notifies:
            self._forget_job()
            self._machine.gone(now)
            self._busy = True
        elif self._all_gone():
            self._job = 0
            self._machine.gone(now)
            self._busy = True

    def _all_gone(self) -> bool:
        """Only the kernel knows for certain, and to it a helper is a child like others, so it has to end."""
        if self._children.helpers:
            self._abort()
        return self._children.all_gone()

    def _terminate(self) -> None:
        if self._job:
            say(f"sending {self._options.stop_signal.name} to process group {self._job}")
            for number in (self._options.stop_signal, signal.SIGCONT):
                _signal_group(self._job, number)

    def _tell(self, left: list[Process]) -> None:
        """Send the signal also to those that are in other groups, once the first process has ended."""
        new = [each for each in left if (each.pid, each.born) not in self._told]
        for each in new:
            send(each, self._options.stop_signal)
            self._told.add((each.pid, each.born))
        if new:
            say(f"waiting for {listed(left)}")

    def _kill(self) -> None:
        left = self._targets()
        now = boot()
        if not self._killing:
            # The processes of a chain may live so shortly that none of them is ever seen.
            say(f"sending SIGKILL to {listed(left)}" if left else "sending SIGKILL to what is left")
            self._killing, self._kill_reported = True, now
        elif left and now >= self._kill_reported + _REPORT:
            say(f"still there after SIGKILL: {listed(left)}")
            self._kill_reported = now
        if not self._options.notifies:
            self._cgroup.kill()
        for each in left:
            send(each, signal.SIGKILL)

    # --- health -----------------------------------------------------------------------------------------

    def _see_to_check(self, now: float) -> None:
        """Run --check again and again. One that takes longer than a hold counts as failed."""
        if self._check:
            if now >= self._check_at:
                _signal_group(self._check, signal.SIGKILL)
        elif now >= self._check_at:
            self._check = self._children.start(self._options.check, os.environ, before=None, cgroup=None)
            self._check_at = now + self._options.for_

    # --- waiting ----------------------------------------------------------------------------------------

    def _wait(self) -> None:
        """Wait for whatever happens next, but not for long: poll() does not know CLOCK_BOOTTIME."""
        ready = select.poll()
        ready.register(self._bell.file, select.POLLIN)
        if self._fuse:
            ready.register(self._fuse, select.POLLIN)
        if self._awaits:
            ready.register(*self._awaits)
        step = _IDLE_STEP if self._machine.phase is Phase.WAITING else _STEP
        step = _KILLING_STEP if self._killing else step
        ready.poll(0 if self._busy else step * 1000)
        if self._bell.read():
            self._looked = 0.0


def _signal_group(leader: int, number: signal.Signals) -> None:
    """Send a signal to the process group of a child, which may not have one of its own yet."""
    with contextlib.suppress(OSError):
        try:
            os.killpg(leader, number)
        except ProcessLookupError:
            os.kill(leader, number)


def _ready(awaited: tuple[int, int]) -> bool:
    ready = select.poll()
    ready.register(*awaited)
    return bool(ready.poll(0))


# === main ===================================================================================================


def _unusable_program(options: Options) -> tuple[int, str] | None:
    """The exit status and what to say if a program cannot be run; None if all can."""
    for words in (options.command, options.on_active, options.on_passive, options.check):
        if not words:
            continue
        name = words[0]
        folders = os.get_exec_path() if name and "/" not in name else []
        paths = [f"{folder}/{name}" for folder in folders] or [name]
        if any(os.path.isfile(path) and os.access(path, os.X_OK) for path in paths):
            continue
        if any(map(os.path.exists, paths)):
            return _CANNOT_RUN, f"cannot run {name}: it is not an executable file"
        return _NOT_FOUND, f"there is no program {name or repr(name)}"
    return None


def _open_standard_files() -> None:
    """Make sure that the descriptors 0 to 2 are open, so that no other file gets one of these numbers."""
    while (file := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(file, True)
    os.close(file)


def _prepare() -> None:
    """Raises OSError if this machine lacks something."""
    if os.readlink("/proc/self") != str(os.getpid()):
        raise OSError(0, "/proc shows another PID namespace: mount it again (unshare --mount-proc)")
    if not process(os.getpid()):
        raise OSError(0, "/proc does not show processes")
    prctl(_SUBREAPER, 1)


def main() -> int:
    """Entry point of `tcf-run`, of `python -m tcf.run`, and of a copy of this file."""
    _open_standard_files()
    options = parsed(sys.argv[1:], os.environ)
    if unusable := _unusable_program(options):
        status, why = unusable
        say(why)
        return status
    try:
        _prepare()
    except (OSError, ImportError) as error:
        say(f"this machine lacks something: {getattr(error, 'strerror', None) or error}")
        return NO_SYSTEM
    ignored = [number for number in (*_ENDING, *_PASSED_ON) if signal.getsignal(number) is signal.SIG_IGN]
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in (ours, theirs):
        end.setblocking(False)
    cgroup = Cgroup(wanted=not options.notifies)
    bell = Bell(signal.SIGCHLD, *(number for number in (*_ENDING, *_PASSED_ON) if number not in ignored))
    supervisor = os.fork()
    if not supervisor:
        ours.close()
        os._exit(_supervise(options, theirs, ignored, cgroup))
    theirs.close()
    children = Children([ours.fileno(), bell.file], ignored)
    try:
        return Fuse(options, supervisor, ours, bell, children, cgroup).run()
    finally:
        cgroup.remove()


def _supervise(
    options: Options, fuse: socket.socket, ignored: Sequence[signal.Signals], cgroup: Cgroup
) -> int:
    """What the second process does. It is in a session of its own: signals of a terminal go to the fuse."""
    status, parent = INTERNAL, os.getppid()
    try:
        os.setsid()
        prctl(_SUBREAPER, 1)
        for number in (*_ENDING, *_PASSED_ON):
            signal.signal(number, signal.SIG_IGN)
        bell = Bell(signal.SIGCHLD)
        children = Children([fuse.fileno(), bell.file], ignored)
        status = Supervisor(options, fuse, bell, children, cgroup).run()
    except BaseException:  # noqa: BLE001 - the process ends with it, and the fuse kills what is left
        import traceback

        for line in traceback.format_exc().splitlines():
            say(line)
    if os.getppid() != parent:
        cgroup.remove()
    return status


if __name__ == "__main__":
    sys.exit(main())
