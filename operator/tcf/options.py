"""Options of the command lines, and the types of their values."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from tcf.core.model import MemberRef
from tcf.runtime.address import Address

F = TypeVar("F", bound=Callable[..., Any])


def option(name: str, *names: str, **more: Any) -> Callable[[F], F]:
    """An option that can also be given by an environment variable."""
    variable = "TCF_" + name.removeprefix("--").replace("-", "_").upper()
    return click.option(name, *names, envvar=variable, show_envvar=True, **more)


LONGEST_IDENTITY = 128
"""Characters in the name of a process. Events have no room for more."""

_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?")
_POD = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_IDENTITY = re.compile(rf"[!-~]{{1,{LONGEST_IDENTITY}}}")
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


class _LoopbackType(_AddressType):
    """An address that only this machine, or this Pod, can reach."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Address:
        address = super().convert(value, param, ctx)
        if not only_here(address.host):
            self.fail(
                f"{value!r} is not a loopback address such as 127.0.0.1:8079 or [::1]:8079; others could"
                " reach it, and nobody asks who they are. Use --listen for holders elsewhere",
                param,
                ctx,
            )
        return address


def only_here(host: str) -> bool:
    """Can only this machine, or this Pod, reach the address?"""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


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


FILE: Any = click.Path(path_type=Path)
NAME = _NameType("NAME", _NAME)
POD = _NameType("NAME", _POD)
IDENTITY = _NameType("NAME", _IDENTITY)
CLUSTER = _NameType("ID", _CLUSTER)
ADDRESS = _AddressType()
LOOPBACK = _LoopbackType()
SERVE = _ServeType()
