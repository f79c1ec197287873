"""Exec plugins of a kubeconfig: programs that print credentials, by the API `client.authentication.k8s.io`.

A plugin may fail, hang, or print without end, and it may ask an identity provider that must not be flooded.
So it has a deadline and a size limit, it ends together with this process, and after a failure there is a
pause before it runs again.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ctypes
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tcf.runtime.backoff import Backoff
from tcf.runtime.clock import Clock

_SECONDS = 60.0
"""The deadline of a run: long enough to ask an identity provider, but nobody is there to type a password."""
_END_SECONDS = 1.0
_LARGEST_OUTPUT = 1024 * 1024
_LONGEST_COMPLAINT = 500
_FIRST_PAUSE, _LONGEST_PAUSE = 2.0, 60.0
_VERSIONS = ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1")
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True)
class Credential:
    """The credentials that a plugin has printed: a token, or a certificate and its key (PEM)."""

    token: str | None
    certificate: str | None
    key: str | None
    expires: datetime | None

    def as_user(self) -> dict[str, str]:
        """The same as the section of a user in a kubeconfig."""
        if self.token:
            return {"token": self.token}
        pairs = {"client-certificate-data": self.certificate, "client-key-data": self.key}
        return {name: base64.b64encode((text or "").encode()).decode() for name, text in pairs.items()}


class PluginError(Exception):
    """The plugin has not printed any credentials; the message says why."""


class Plugin:
    """Runs the plugin of one kubeconfig. After a failure it waits before it runs the plugin again."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._backoff = Backoff(first=_FIRST_PAUSE, longest=_LONGEST_PAUSE)
        self._failed: Mapping[str, Any] | None = None
        self._failure = ""
        self._not_before = 0.0

    async def run(self, section: Mapping[str, Any], cluster: Mapping[str, Any], folder: Path) -> Credential:
        """Run the plugin that the section `exec` of a user describes.

        Args:
            cluster: the section of the cluster, for plugins that need it.
            folder: the folder to which relative paths are relative.

        Raises:
            PluginError: the plugin has failed, or the same section has failed a moment ago.
        """
        if section == self._failed and self._clock.boot() < self._not_before:
            raise PluginError(self._failure)
        try:
            credential = await _run(section, cluster, folder)
        except PluginError as error:
            self._failed, self._failure = section, str(error)
            self._not_before = self._clock.boot() + self._backoff.next()
            raise
        self._failed = None
        self._backoff.reset()
        return credential


async def _run(section: Mapping[str, Any], cluster: Mapping[str, Any], folder: Path) -> Credential:
    version, command = section.get("apiVersion"), section.get("command")
    if version not in _VERSIONS or not isinstance(command, str) or not command:
        raise PluginError(f"its exec plugin needs a command, and apiVersion {' or '.join(_VERSIONS)}")
    if section.get("interactiveMode") == "Always":
        raise PluginError(f"the exec plugin {command} wants to talk to a person (interactiveMode is Always)")
    program = str(folder / command) if "/" in command else shutil.which(command)
    if program is None or not os.access(program, os.X_OK):
        hint = section.get("installHint") or "install it, or correct the kubeconfig"
        raise PluginError(f"there is no exec plugin {command}: {hint}")
    printed = await _output(program, section, _environment(section, cluster))
    return _credential(printed, command)


def _environment(section: Mapping[str, Any], cluster: Mapping[str, Any]) -> dict[str, str]:
    info: dict[str, Any] = {
        "apiVersion": section["apiVersion"],
        "kind": "ExecCredential",
        "spec": {"interactive": False},
    }
    if section.get("provideClusterInfo"):
        info["spec"]["cluster"] = dict(cluster)
    more = {str(each["name"]): str(each["value"]) for each in section.get("env") or ()}
    return {**os.environ, **more, "KUBERNETES_EXEC_INFO": json.dumps(info)}


async def _output(program: str, section: Mapping[str, Any], environment: Mapping[str, str]) -> bytes:
    command = section["command"]
    try:
        process = await asyncio.create_subprocess_exec(
            program,
            *(str(argument) for argument in section.get("args") or ()),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=environment,
            start_new_session=True,
            preexec_fn=_end_with_parent(),
        )
    except OSError as error:
        raise PluginError(f"the exec plugin {command} cannot be run: {error.strerror}") from error
    assert process.stdout is not None  # noqa: S101 - both are pipes
    assert process.stderr is not None  # noqa: S101
    reads = [
        asyncio.create_task(_read(stream, _LARGEST_OUTPUT)) for stream in (process.stdout, process.stderr)
    ]
    try:
        async with asyncio.timeout(_SECONDS):
            printed, complaint = await asyncio.gather(*reads)
            status = await process.wait()
    except TimeoutError as error:
        raise PluginError(f"the exec plugin {command} did not end within {_SECONDS:.0f} s") from error
    except _TooMuchError as error:
        raise PluginError(f"the exec plugin {command} prints more than {_LARGEST_OUTPUT} bytes") from error
    finally:
        for read in reads:
            read.cancel()
        await asyncio.gather(*reads, return_exceptions=True)
        await _end(process)
    if status:
        said = " ".join(complaint.decode(errors="replace").split())[-_LONGEST_COMPLAINT:]
        raise PluginError(f"the exec plugin {command} failed with status {status}" + (said and f": {said}"))
    return printed


async def _end(process: asyncio.subprocess.Process) -> None:
    """Kill the process if it still runs, and close its pipes."""
    if process.returncode is None:
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(TimeoutError):  # a process that has left its group may hold the pipes
        async with asyncio.timeout(_END_SECONDS):
            await process.communicate()


class _TooMuchError(Exception):
    pass


async def _read(stream: asyncio.StreamReader, most: int) -> bytes:
    data = bytearray()
    while chunk := await stream.read(65536):
        data += chunk
        if len(data) > most:
            raise _TooMuchError
    return bytes(data)


def _end_with_parent() -> Callable[[], None] | None:
    """A function for the new process to call first: it is then killed when this one ends. Linux only."""
    if sys.platform != "linux":
        return None
    control: Callable[[int, int], int] = ctypes.CDLL(None).prctl

    def ask() -> None:
        control(_PR_SET_PDEATHSIG, signal.SIGKILL)

    return ask


def _credential(printed: bytes, command: str) -> Credential:
    try:
        status = json.loads(printed)["status"]
        expires = status.get("expirationTimestamp")
        found = Credential(
            token=status.get("token"),
            certificate=status.get("clientCertificateData"),
            key=status.get("clientKeyData"),
            expires=datetime.fromisoformat(expires).astimezone(UTC) if expires else None,
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise PluginError(f"the exec plugin {command} does not print an ExecCredential") from error
    texts = (found.token, found.certificate, found.key)
    if not all(text is None or isinstance(text, str) for text in texts):
        raise PluginError(f"the exec plugin {command} does not print an ExecCredential")
    if not found.token and not (found.certificate and found.key):
        raise PluginError(f"the exec plugin {command} prints neither a token nor a certificate with its key")
    return found
