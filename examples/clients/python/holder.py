#!/usr/bin/env python3
"""A client for holds, to copy into an application that may act only while its member is active.

    holder = Holder("http://127.0.0.1:8079", "billing", print)
    while hold := holder.await_hold():  # None after holder.close()
        with hold:  # the hold is released at the end of this block: nothing may act any more by then
            while hold.may_act():
                write_something(hold.term)  # has to take less than GRACE

docs/holds.md explains holds, and what this file does not do. It needs Linux, Python 3.11 and nothing else.
To try it: python3 holder.py --worker http://127.0.0.1:8079 --name billing
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import random
import secrets
import signal
import socket
import threading
import time
from collections.abc import Callable
from typing import Self
from urllib.parse import quote, urlencode, urlsplit

FOR = 10
"""Seconds that a hold is asked for. docs/holds.md says how to choose them."""
GRACE = 1.0
"""Seconds that the application needs to stop. Without an answer, it begins that long before its hold ends."""
PAUSE = 0.2
"""Seconds between an answer and the next request. Most requests wait for news at the worker."""


def boot() -> float:
    """Seconds since the machine was started. This clock goes on while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def backoff(failures: int) -> float:
    """Seconds to wait after so many failures in a row."""
    return min(0.8, 0.1 * 2.0 ** min(failures, 10)) * random.uniform(0.5, 1.0)


class Hold:
    """One hold: from the first request to its release. The application may use it from any thread.

    Attributes:
        term: the fencing token. Send it along with whatever you write.
        why: why the application has to stop; "" if it does not have to.
    """

    def __init__(self, changed: threading.Condition) -> None:
        self.term = 0
        self.why = ""
        # The rest is for the Holder. `until`: when the hold ends; 0 if it has never been granted.
        # `begun`: the application has it. `over`: nothing acts under it, now or later.
        self.instance = secrets.token_hex(8)
        self.until = 0.0
        self.begun = self.over = False
        self.socket: socket.socket | None = None
        self._changed = changed

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped()

    def may_act(self) -> bool:
        """May something begin that takes less than GRACE? When this becomes False, it stays False."""
        with self._changed:
            if self.until and self.left() <= GRACE:
                self.stop("no answer in time")
            return self.until > 0 and not self.why

    def left(self) -> float:
        """Seconds until the hold ends. By then, what is finished after the stop has to be over as well."""
        return self.until - boot()

    def wait(self, seconds: float) -> bool:
        """Sleep, but not for longer than the application may act. Return whether it still may."""
        end = boot() + seconds
        with self._changed:
            while self.may_act() and (left := min(end, self.until - GRACE) - boot()) > 0:
                self._changed.wait(min(left, 0.2))  # its clock stands still while the machine sleeps
            return self.may_act()

    def stopped(self) -> None:
        """Nothing acts under this hold any more: release it."""
        with self._changed:
            self.over = True
            self.stop("done")

    def stop(self, why: str) -> None:
        with self._changed:
            self.why = self.why or why
            self.over = self.over or not self.begun
            if self.over:
                self.hang_up()
            self._changed.notify_all()

    def granted(self, until: float, term: int) -> None:
        """The member is active."""
        with self._changed:
            self.until, self.term = max(self.until, until), term
            self._changed.notify_all()

    def refused(self, until: float, role: str) -> None:
        """The member is not active. `until`: when the hold ends, if the worker knows one; else 0."""
        with self._changed:
            self.until = max(self.until, until)
            if self.until:
                self.stop(role)

    def hang_up(self) -> None:
        """Give up the request under way: it takes too long, or its answer does not count any more."""
        with self._changed, contextlib.suppress(OSError):
            if self.socket:
                self.socket.shutdown(socket.SHUT_RDWR)


class Holder:
    """Asks a worker for one hold after another, in a thread of its own."""

    def __init__(self, worker: str, name: str, say: Callable[[str], None]) -> None:
        """`worker`: http://HOST:PORT. `name`: of this application, for people. `say` gets lines for a log."""
        url = urlsplit(worker)
        if url.scheme != "http" or not url.hostname:
            raise ValueError(f"{worker!r} is not a URL such as http://127.0.0.1:8079")
        self._host, self._port = url.hostname, url.port or 80
        self._path = f"/tcf/holds/{quote(name, safe='')}"
        self._say, self._word, self._trouble = say, "", ""
        # The lock is reentrant, so that a signal handler may call close().
        self._changed = threading.Condition(threading.RLock())
        self._hold: Hold | None = None
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="holder", daemon=True)
        self._thread.start()

    def await_hold(self) -> Hold | None:
        """Wait until the application may act. None after close()."""
        with self._changed:
            while not self._closing:
                hold = self._hold
                if hold and not hold.begun and hold.may_act():
                    hold.begun = True
                    return hold
                self._changed.wait()
            return None

    def report(self, trouble: str) -> None:
        """Have the next requests say what is wrong with the application, for people; "" if it is healthy."""
        self._trouble = "".join(c if c.isprintable() else " " for c in trouble)[:200]

    def close(self) -> None:
        """Have the application stop, and ask for no other hold. This does not wait: join() does."""
        with self._changed:
            self._closing = True
            if self._hold:
                self._hold.stop("closing")
            self._changed.notify_all()

    def join(self) -> None:
        """Wait until the last hold is released."""
        self._thread.join()

    # --- in the thread ------------------------------------------------------------------------------------

    def _run(self) -> None:
        while hold := self._next():
            self._keep(hold)
            self._release(hold)

    def _next(self) -> Hold | None:
        """A new instance: one that was released is never used again."""
        with self._changed:
            self._hold = None if self._closing else Hold(self._changed)
            return self._hold

    def _keep(self, hold: Hold) -> None:
        """Ask for the hold, and for more of it, until it is over."""
        failures, patient = 0, False
        while not hold.over:
            try:
                word = self._ask(hold, patient=patient)
                failures, patient = 0, True
            except (OSError, http.client.HTTPException, ValueError) as error:
                word = f"no answer: {error}"
                failures, patient = failures + 1, False
            self._tell(hold, word)
            with self._changed:
                self._changed.wait_for(lambda: hold.over, backoff(failures) if failures else PAUSE)

    def _ask(self, hold: Hold, *, patient: bool) -> str:
        """Send one PUT, and return the role. `patient`: the worker may wait for news before it answers."""
        asked, acting = boot(), hold.may_act()
        left = max(0.0, hold.left() - (GRACE if acting else 0.0))
        query = {"id": hold.instance, "for": f"{FOR}s"}
        if self._trouble:
            query |= {"healthy": "false", "message": self._trouble}
        wait = 0
        if hold.until and not acting:
            query["draining"] = "true"
        elif patient:
            wait = min(FOR // 5, int(left / 2)) if acting else FOR // 5
        # This request may take half of what is left, so that there is time for another one.
        seconds = wait + (max(0.3, (left - wait) / 2) if hold.until else 5.0)
        status, headers, text = self._send("PUT", hold, query | {"wait": f"{wait}s"}, seconds)
        held = min(float(headers.get("X-TCF-Held-For", 0)), FOR)
        until = asked + held if held > 0 else 0.0
        if status == http.HTTPStatus.OK and until:
            hold.granted(until, int(headers.get("X-TCF-Term", "")))
        elif status == http.HTTPStatus.IM_A_TEAPOT:
            hold.refused(until, text)
        else:
            raise ValueError(f"{status} {text}")
        return text

    def _tell(self, hold: Hold, word: str) -> None:
        """Log what the worker says, unless it has said so before."""
        if not hold.over and word != self._word:
            self._word = word
            self._say(f"worker: {word}")

    def _release(self, hold: Hold) -> None:
        """Tell the worker, until it knows or the hold has run out; for 3 s at most after close()."""
        began, failures = boot(), 0
        while boot() < began + 3 or (hold.left() > 0 and not self._closing):
            with contextlib.suppress(OSError, http.client.HTTPException):
                status, _, _ = self._send("DELETE", hold, {"id": hold.instance}, 2.0)
                if status == http.HTTPStatus.NO_CONTENT:
                    self._say("released")
                    return
            failures += 1
            time.sleep(backoff(failures))
        self._say("the release got no answer: the hold runs out by itself")

    def _send(
        self, method: str, hold: Hold, query: dict[str, str], seconds: float
    ) -> tuple[int, http.client.HTTPMessage, str]:
        """Status, headers and text of the answer. It has to come within so many seconds."""
        deadline = boot() + seconds
        connection = http.client.HTTPConnection(self._host, self._port, timeout=seconds)
        with contextlib.closing(connection):
            connection.connect()
            # The timeout above is for each part of an answer, and this is for the whole of it.
            cut = threading.Timer(max(0.0, deadline - boot()), hold.hang_up)
            cut.daemon = True
            with self._changed:
                if hold.over and method == "PUT":
                    raise OSError("not needed any more")
                hold.socket = connection.sock
            try:
                cut.start()
                connection.request(method, f"{self._path}?{urlencode(query)}")
                answer = connection.getresponse()
                return answer.status, answer.headers, answer.read(300).decode(errors="replace")
            except (OSError, http.client.HTTPException) as error:
                if boot() < deadline:
                    raise
                raise TimeoutError("not in time") from error
            finally:
                cut.cancel()
                with self._changed:
                    hold.socket = None


# --- to try it --------------------------------------------------------------------------------------------


def say(text: str) -> None:
    print(f"{text}\n", end="", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Print a line a second while this member is active.")
    parser.add_argument("--worker", required=True, help="http://HOST:PORT of the worker")
    parser.add_argument("--name", required=True, help="of this holder, for people")
    parser.add_argument("--finish", type=float, default=0, help="seconds that it takes to finish its work")
    parser.add_argument("--trouble", default="", help="report that it is not healthy, for this reason")
    options = parser.parse_args()
    holder = Holder(options.worker, options.name, say)
    holder.report(options.trouble)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: holder.close())
    while hold := holder.await_hold():
        with hold:
            while hold.may_act():
                say(f"acting at={boot():.3f} term={hold.term}")
                hold.wait(1.0)
            say(f"stop: {hold.why}")
            end = boot() + options.finish
            while boot() < end and hold.left() > GRACE / 2:
                say(f"finishing at={boot():.3f}")
                time.sleep(0.2)
            say(f"stopped at={boot():.3f}")
    holder.join()


if __name__ == "__main__":
    main()
