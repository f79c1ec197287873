"""The audit log: lines of JSON in a real file, which may be renamed, or on a disk that is full."""

from __future__ import annotations

import json
import logging
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from rig.patience import eventually

from tcf.runtime.audit_log import AuditLog
from tcf.runtime.clock import CLOCK


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_lines_are_written_in_order_and_for_the_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    log = AuditLog(path, clock=CLOCK)
    for n in range(100):
        log.write({"n": n, "text": "ä\n"})
    log.close()
    assert lines(path) == [{"n": n, "text": "ä\n"} for n in range(100)]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert (log.lost, log.trouble) == (0, "")


def test_lines_are_added_to_those_of_an_earlier_process(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    for n in range(2):
        log = AuditLog(path, clock=CLOCK)
        log.write({"n": n})
        log.close()
    assert lines(path) == [{"n": 0}, {"n": 1}]


def test_a_file_that_was_renamed_is_opened_again(tmp_path: Path) -> None:
    path, old = tmp_path / "audit.log", tmp_path / "audit.log.1"
    log = AuditLog(path, clock=CLOCK)
    log.write({"n": 0})
    eventually(lambda: path.stat().st_size, what="the line is written")
    path.rename(old)
    log.reopen()
    log.write({"n": 1})
    log.close()
    assert (lines(old), lines(path)) == ([{"n": 0}], [{"n": 1}])


def test_if_it_cannot_be_opened_again_the_old_file_is_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder, gone = tmp_path / "logs", tmp_path / "gone"
    folder.mkdir()
    path = folder / "audit.log"
    log = AuditLog(path, clock=CLOCK)
    folder.rename(gone)
    log.reopen()
    log.write({"n": 0})
    log.close()
    assert lines(gone / "audit.log") == [{"n": 0}]
    assert "cannot be opened again (No such file or directory)" in caplog.text


def test_a_full_disk_is_reported_once_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    log = AuditLog(Path("/dev/full"), clock=CLOCK)
    for _ in range(3):
        log.write({})
    log.close()
    assert (log.lost, log.trouble) == (3, "No space left on device")
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert "requests are still served; lines lost so far: 1" in record.getMessage()


def test_a_line_that_was_cut_short_does_not_spoil_the_next_one(tmp_path: Path) -> None:
    """A pipe that is full cuts the line, as a full disk does."""
    path = tmp_path / "audit.log"
    log = AuditLog(path, clock=CLOCK)
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    writer = os.open(tmp_path / "pipe", os.O_WRONLY | os.O_NONBLOCK)
    try:
        log._file, file = writer, log._file
        log.write({"long": "x" * 1_000_000})
        eventually(lambda: log.trouble, what="the pipe is full")
        log._file = file
        log.write({"n": 1})
        log.close()
        assert path.read_text() == '\n{"n":1}\n'
        assert (log.lost, log.trouble) == (1, "")
    finally:
        os.close(reader)
        os.close(writer)


def test_a_file_that_cannot_be_opened_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        AuditLog(tmp_path / "no" / "audit.log", clock=CLOCK)


@pytest.fixture
def unread(tmp_path: Path) -> Iterator[AuditLog]:
    """A log in a pipe that nobody reads."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    log = AuditLog(pipe, clock=CLOCK)
    yield log
    os.close(reader)
    log.close()


def test_what_waits_for_a_disk_has_a_limit_in_bytes_as_well(unread: AuditLog) -> None:
    """Anybody can send large headers."""
    for _ in range(20):
        unread.write({"text": "x" * 1_000_000})
    assert 10 <= unread.lost < 20


def test_no_character_acts_on_a_terminal(tmp_path: Path) -> None:
    path, text = tmp_path / "audit.log", "\x9b31m\u202e\u2028\x1b[0m\ud800"
    log = AuditLog(path, clock=CLOCK)
    log.write({"text": text})
    log.close()
    assert path.read_text().isascii()
    assert lines(path) == [{"text": text}]


def test_nobody_waits_for_a_disk_that_does_not_answer(unread: AuditLog) -> None:
    """A pipe that nobody reads."""
    for _ in range(11_000):
        unread.write({"text": "x" * 100})
    assert unread.lost > 0
    assert unread.trouble == "it is too slow"
