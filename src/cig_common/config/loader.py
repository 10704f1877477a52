# SPDX-License-Identifier: GPL-3.0-or-later
"""Opens a configuration file and hands its text to the compiler."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from cig_common.config.compiler import compile_text
from cig_common.config.errors import ConfigError, Diagnostic
from cig_common.config.host import Host, SystemHost
from cig_common.config.model import Configuration

MAX_SIZE = 512 * 1024 * 1024
"""A larger file is not read."""

_HOST = SystemHost()


def load(path: str | os.PathLike[str], host: Host | None = _HOST) -> Configuration:
    """Compile a file. Raises ConfigError for whatever is wrong with it, unreadable included.

    `host` answers what only the machine knows; None: warnings that need it are not looked for.
    """
    filename = os.fspath(path)
    try:
        # Looked at before it is opened: opening a named pipe would wait for its writer.
        status = Path(filename).stat()
        if not stat.S_ISREG(status.st_mode):
            raise _refused(filename, "is not a regular file")
        if status.st_size > MAX_SIZE:
            raise _refused(filename, f"is larger than {MAX_SIZE // 1024 // 1024} MB")
        data = Path(filename).read_bytes()
    except OSError as error:
        raise _refused(filename, f"cannot be read: {error.strerror}") from None
    except ValueError:  # Python's words differ from version to version
        raise _refused(filename, "cannot be read: its name holds a NUL character") from None
    return loads(_decode(data, filename), filename, host)


def loads(text: str, filename: str = "cig.conf", host: Host | None = None) -> Configuration:
    """Compile a text; `filename` is what the diagnostics call it. Raises ConfigError."""
    if (at := text.find("\0")) >= 0:
        before = text[:at]
        place = before.count("\n") + 1, at - before.rfind("\n")
        message = "a NUL character: this is no text file"
        raise ConfigError([Diagnostic(filename, *place, message)])
    return compile_text(text, filename, host)


def _decode(data: bytes, filename: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start]
        begin = before.rfind(b"\n") + 1
        column = len(before[begin:].decode("utf-8", "replace")) + 1
        source = data[begin:].split(b"\n", 1)[0].decode("utf-8", "replace")
        message = f"byte 0x{data[error.start]:02x} is not UTF-8"
        hint = "save the file as UTF-8, or keep to ASCII"
        line = before.count(b"\n") + 1
        problem = Diagnostic(filename, line, column, message, hint, source)
        raise ConfigError([problem]) from None


def _refused(filename: str, reason: str) -> ConfigError:
    return ConfigError([Diagnostic(filename, 0, 0, f"the file {reason}")])
