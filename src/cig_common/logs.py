# SPDX-License-Identifier: GPL-3.0-or-later
"""cig.log and relay.log: the manual's line format on top of the standard logging package.

A line is ``[2026-11-23T03:14:11.123Z] Module[TYPE]: Information``. TYPE is DEBUG, INFO, WARN or
INIT. Line breaks and other control characters inside a message are escaped, so that nothing a
stranger sends can forge a line. A full disk stops no call: records that could not be written are
counted, and the count is told as soon as writing works again.
"""

from __future__ import annotations

import logging
import re
import sys
from contextlib import suppress
from pathlib import Path
from typing import IO

from cig_common.clock import timestamp

INIT = 25
"""Level of start-up lines (the loaded configuration); above INFO, so they are always written."""

logging.addLevelName(INIT, "INIT")

_TYPES = {
    logging.DEBUG: "DEBUG",
    logging.INFO: "INFO",
    INIT: "INIT",
    logging.WARNING: "WARN",
    logging.ERROR: "WARN",
    logging.CRITICAL: "WARN",
}
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def escape_controls(text: str) -> str:
    r"""Give ``text`` with each control character written as ``\xNN`` (``\uNNNN`` above 255)."""
    return _CONTROL.sub(_escaped, text)


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"


class LineFormatter(logging.Formatter):
    """Formats a record as one line of cig.log; a traceback becomes more lines of the same form."""

    def format(self, record: logging.LogRecord) -> str:
        """Give the record as one line, or one line for each line of its traceback besides."""
        kind = _TYPES.get(record.levelno, "INFO")
        head = f"[{timestamp(record.created)}] {record.name}[{kind}]: "
        lines = [head + escape_controls(record.getMessage())]
        if record.exc_info:
            trace = self.formatException(record.exc_info)
            lines += [head + "  " + escape_controls(line) for line in trace.splitlines()]
        return "\n".join(lines)


class ReopenableFileHandler(logging.Handler):
    """Appends lines to a file that `reopen` opens anew (for logrotate), and survives a full disk.

    ``path`` None means standard error.
    """

    def __init__(self, path: Path | None) -> None:
        super().__init__()
        self._path = path
        self.lost = 0
        self._stream: IO[str] = self._open()
        self.setFormatter(LineFormatter())

    def _open(self) -> IO[str]:
        if self._path is None:
            return sys.stderr
        return self._path.open("a", encoding="utf-8", errors="backslashreplace", buffering=1)

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record; an OSError (disk full) is counted in ``lost``, never raised."""
        try:
            line = self.format(record)
        except Exception:
            self.lost += 1
            return
        try:
            if self.lost:
                note = f"[{timestamp(record.created)}] Logs[WARN]: {self.lost} lines were lost\n"
                self._stream.write(note)
                self.lost = 0
            self._stream.write(line + "\n")
            self._stream.flush()
        except (OSError, ValueError):
            self.lost += 1

    def reopen(self) -> None:
        """Open the file by its name again, after something has moved the old one away.

        Where that fails the old file is kept, and a line in it says why.
        """
        if self._path is None:
            return
        try:
            fresh = self._open()
        except OSError as error:
            logging.getLogger("Logs").warning("%s cannot be opened anew: %s", self._path, error)
            return
        self.acquire()  # other threads write too
        try:
            old, self._stream = self._stream, fresh
        finally:
            self.release()
        _close(old)

    def close(self) -> None:
        """Close the file; standard error stays open."""
        if self._path is not None:
            _close(self._stream)
        super().close()


def _close(stream: IO[str]) -> None:
    # On a full disk closing tries once more to write what is left, and fails.
    with suppress(OSError):
        stream.close()


def setup(path: Path | None, level: int = logging.INFO) -> ReopenableFileHandler:
    """Send the process's log to ``path`` (None: standard error) from ``level`` up.

    Gives the handler, so that the application can reopen it. Raises OSError when the file cannot
    be opened: that is found at start, where an operator sees it.
    """
    handler = ReopenableFileHandler(path)
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level)
    return handler
