"""Makes a trace that a person can follow, and that is the same in every run: names, and what is logged."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
from collections.abc import Iterator
from unittest import mock

import tcf.worker.lease_keeper
from simulation.world import Process, World


@contextlib.contextmanager
def readable_names() -> Iterator[None]:
    """Leases are numbered. (Requests have the names that the schedule gives them.)"""
    names = itertools.count(1)

    class Secrets:
        @staticmethod
        def token_hex(_: int) -> str:
            return str(next(names))

    with mock.patch.object(tcf.worker.lease_keeper, "secrets", Secrets):
        yield


@contextlib.contextmanager
def captured_logs(world: World) -> Iterator[None]:
    """What the programs log goes into the trace, or nowhere."""
    logger = logging.getLogger("tcf")
    if world.trace is None:
        logging.disable(logging.CRITICAL)
        try:
            yield
        finally:
            logging.disable(logging.NOTSET)
        return
    handler = _ToTrace(world)
    logger.addHandler(handler)
    level, logger.level = logger.level, logging.INFO
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


class _ToTrace(logging.Handler):
    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world

    def emit(self, record: logging.LogRecord) -> None:
        process = asyncio._get_running_loop()
        name = process.name if isinstance(process, Process) else "?"
        self._world.note(name, "log: %s", record.getMessage())
