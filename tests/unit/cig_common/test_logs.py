# SPDX-License-Identifier: GPL-3.0-or-later
"""Log lines in the manual's format, that nobody can forge and no full disk can stop."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cig_common.logs import INIT, LineFormatter, ReopenableFileHandler, escape_controls, setup

LINE = re.compile(
    r"\[\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\] [\w.]+\[(DEBUG|INFO|WARN|INIT)\]: .*"
)


@pytest.fixture
def root_logger() -> Iterator[logging.Logger]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield root
    for handler in list(root.handlers):
        if handler not in handlers:
            handler.close()
    root.handlers[:] = handlers
    root.setLevel(level)


def _record(level: int, text: str, *args: object) -> logging.LogRecord:
    return logging.LogRecord("Relay", level, __file__, 1, text, args, None)


@pytest.mark.parametrize(
    ("level", "kind"),
    [
        (logging.DEBUG, "DEBUG"),
        (logging.INFO, "INFO"),
        (INIT, "INIT"),
        (logging.WARNING, "WARN"),
        (logging.ERROR, "WARN"),
        (logging.CRITICAL, "WARN"),
        (37, "INFO"),
    ],
)
def test_line_has_the_manuals_form(level: int, kind: str) -> None:
    line = LineFormatter().format(_record(level, "call %s", "a1"))
    assert LINE.fullmatch(line)
    assert line.endswith(f"Z] Relay[{kind}]: call a1")


@given(st.text())
def test_no_text_makes_a_second_line(text: str) -> None:
    assert len(escape_controls(text).splitlines()) <= 1
    assert escape_controls(text).isprintable() or not text.isprintable()


def test_controls_are_shown_escaped() -> None:
    assert escape_controls("a\nb\x1b[2J\x9b\u2028é") == r"a\x0ab\x1b[2J\x9b\u2028é"


def test_a_traceback_becomes_lines_of_the_same_form() -> None:
    try:
        raise ValueError("first\nforged line")
    except ValueError:
        record = logging.LogRecord("Relay", 40, __file__, 1, "failed", (), sys.exc_info())
    lines = LineFormatter().format(record).splitlines()
    assert len(lines) > 2
    assert all(LINE.fullmatch(line) for line in lines)


def test_writes_and_reopens_after_the_file_was_moved(
    tmp_path: Path, root_logger: logging.Logger
) -> None:
    path = tmp_path / "relay.log"
    handler = setup(path)
    logging.getLogger("Relay").info("before")
    path.rename(tmp_path / "relay.log.1")
    handler.reopen()
    logging.getLogger("Relay").log(INIT, "after")
    assert "before" in (tmp_path / "relay.log.1").read_text()
    text = path.read_text()
    assert "after" in text
    assert "before" not in text


def test_setup_replaces_what_was_set_up_before_and_keeps_the_level(
    tmp_path: Path, root_logger: logging.Logger
) -> None:
    setup(tmp_path / "one.log")
    setup(tmp_path / "two.log", logging.WARNING)
    logging.getLogger("Relay").info("quiet")
    logging.getLogger("Relay").warning("loud")
    assert (tmp_path / "one.log").read_text() == ""
    assert "quiet" not in (tmp_path / "two.log").read_text()
    assert "loud" in (tmp_path / "two.log").read_text()


def test_setup_tells_at_start_that_the_file_cannot_be_opened(
    tmp_path: Path, root_logger: logging.Logger
) -> None:
    with pytest.raises(OSError, match="missing"):
        setup(tmp_path / "missing" / "relay.log")


def test_a_full_disk_is_counted_and_told_later(tmp_path: Path) -> None:
    handler = ReopenableFileHandler(Path("/dev/full"))
    for _ in range(3):
        handler.emit(_record(logging.INFO, "lost"))
    assert handler.lost == 3
    lost = handler.lost
    handler._path = tmp_path / "relay.log"
    handler.reopen()
    handler.emit(_record(logging.INFO, "again"))
    handler.close()
    lines = (tmp_path / "relay.log").read_text().splitlines()
    assert f"Logs[WARN]: {lost} lines were lost" in lines[0]
    assert lines[1].endswith("again")
    assert handler.lost == 0


def test_a_record_that_cannot_be_formatted_ends_nothing(tmp_path: Path) -> None:
    handler = ReopenableFileHandler(tmp_path / "relay.log")
    handler.emit(_record(logging.INFO, "%d", "not a number"))
    assert handler.lost == 1
    handler.close()


def test_standard_error_is_used_and_left_open(
    capsys: pytest.CaptureFixture[str],
) -> None:
    handler = ReopenableFileHandler(None)
    handler.emit(_record(logging.INFO, "hello"))
    handler.reopen()
    handler.close()
    assert not sys.stderr.closed
    assert capsys.readouterr().err.endswith("Relay[INFO]: hello\n")


def test_a_log_that_cannot_be_opened_anew_goes_on_in_the_old_file(
    tmp_path: Path, root_logger: logging.Logger
) -> None:
    folder = tmp_path / "log"
    folder.mkdir()
    handler = setup(folder / "cig.log")
    folder.rename(tmp_path / "moved")
    handler.reopen()
    logging.getLogger("Test").info("still here")
    lines = (tmp_path / "moved" / "cig.log").read_text().splitlines()
    assert "cannot be opened anew" in lines[0]
    assert lines[1].endswith("Test[INFO]: still here")
