"""Structured logs: one line per event, text for a terminal or JSON for a collector.

Fields are given by `extra={...}`. No line may contain credentials, so headers and kubeconfigs are not logged.
"""

from __future__ import annotations

import logging
import re
import sys
import time
from collections.abc import MutableMapping
from typing import Any

from tcf.runtime.text import printable

_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


_LONGEST = 4000
"""The most characters of a message or a field."""
_KOPF_NOISE = re.compile(r"Request attempt #|(Watcher for \S+|Multidimensional multitasker) has failed")


class Fields(logging.LoggerAdapter[logging.Logger]):
    """A logger that adds the same fields to every line."""

    def process(
        self, msg: object, kwargs: MutableMapping[str, Any]
    ) -> tuple[object, MutableMapping[str, Any]]:
        kwargs["extra"] = {**(self.extra or {}), **kwargs.get("extra", {})}
        return msg, kwargs


class TextFormatter(logging.Formatter):
    """`2026-01-02T03:04:05.678Z INFO    message  key=value key=value`."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(message)s")
        _in_utc(self)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the name in logging
        fields = " ".join(
            f"{key}={_quoted(value)}"
            for key, value in record.__dict__.items()
            if key not in _STANDARD and value not in {None, ""}
        )
        line = super().formatMessage(record)
        return f"{line}  {fields}" if fields else line


def _in_utc(formatter: logging.Formatter) -> None:
    """RFC 3339 in UTC, with milliseconds."""
    formatter.default_time_format = "%Y-%m-%dT%H:%M:%S"
    formatter.default_msec_format = "%s.%03dZ"
    formatter.converter = time.gmtime


def _quoted(value: object) -> str:
    text = str(value)
    return f'"{text}"' if " " in text or not text else text


def _tamed(record: logging.LogRecord) -> bool:
    """Make the record one line of limited length without control characters, whatever its parts contain."""
    record.msg, record.args = printable(record.getMessage(), _LONGEST), ()
    for key, value in record.__dict__.items():
        if key not in _STANDARD and isinstance(value, str):
            record.__dict__[key] = printable(value, _LONGEST)
    return True


def configure(*, json: bool, level: str) -> None:
    """Send every log of this process to stderr. Called once, by the entry point."""
    handler = logging.StreamHandler(sys.stderr)
    if json:
        from pythonjsonlogger.json import JsonFormatter  # noqa: PLC0415 - only where it is asked for

        formatter = JsonFormatter(
            "%(asctime)s %(levelname)s %(name)s %(message)s",
            rename_fields={"asctime": "time", "levelname": "level", "name": "logger"},
        )
        _in_utc(formatter)
        handler.setFormatter(formatter)
    else:
        handler.setFormatter(TextFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # kopf reports every attempt of every request, and every task that an error has ended. This project
    # reports trouble with the hub itself, only once.
    logging.getLogger("kopf").setLevel(logging.ERROR)
    handler.addFilter(lambda record: not _KOPF_NOISE.match(record.getMessage()))
    handler.addFilter(_tamed)
    logging.getLogger("asyncio").setLevel(logging.WARNING)
