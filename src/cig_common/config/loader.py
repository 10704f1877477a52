# SPDX-License-Identifier: GPL-3.0-or-later
"""Opens a configuration file and hands its text to the compiler."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from cig_common.config.compiler import compile_text
from cig_common.config.errors import ConfigError, Diagnostic
from cig_common.config.host import Host, SystemHost
from cig_common.config.model import Configuration, Position
from cig_common.config.notes import Notes

MAX_SIZE = 512 * 1024 * 1024
"""A larger file is not read."""

_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_HOST = SystemHost()


def load(path: str | os.PathLike[str], host: Host | None = _HOST) -> Configuration:
    """Compile a file. Raises ConfigError for whatever is wrong with it, unreadable included.

    `host` answers what only the machine knows; None: warnings that need it are not looked for.
    """
    filename = os.fspath(path)
    try:
        # Looked at before it is opened: opening a named pipe would wait for its writer.
        status = Path(filename).stat()
        if stat.S_ISDIR(status.st_mode):
            raise _refused(filename, "is a directory")
        if not stat.S_ISREG(status.st_mode):
            raise _refused(filename, "is not a regular file")
        if status.st_size > MAX_SIZE:
            raise _refused(filename, f"is larger than {MAX_SIZE // 1024 // 1024} MB")
        data = Path(filename).read_bytes()
    except OSError as error:
        raise _refused(filename, f"cannot be read: {error.strerror}", _why(error)) from None
    except ValueError:  # Python's words differ from version to version
        raise _refused(filename, "cannot be read: its name holds a NUL character") from None
    if not data or data.isspace():
        # What a full disk or an editor that was killed leaves; it would reject every call.
        hint = "was it cut short? A configuration has at least an `interfaces` block"
        raise _refused(filename, "is empty", hint)
    text = _decode(data, filename)
    del data  # A big file need not be in memory twice.
    return loads(text, filename, host)


def loads(text: str, filename: str = "cig.conf", host: Host | None = None) -> Configuration:
    """Compile a text; `filename` is what the diagnostics call it. Raises ConfigError."""
    if (at := text.find("\0")) >= 0:
        place = Position(text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at))
        raise _unfit(filename, text, place, "a NUL character: this is no text file", None)
    return compile_text(text, filename, host)


def _decode(data: bytes, filename: str) -> str:
    if data.startswith(_UTF16):
        hint = "save it as UTF-8"
        raise _refused(filename, "is UTF-16 text", hint)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        data = error.object  # without the mark at a UTF-8 file's start
        begin = data.rfind(b"\n", 0, error.start) + 1
        column = len(data[begin : error.start].decode()) + 1
        place = Position(data.count(b"\n", 0, error.start) + 1, column)
        message = f"byte 0x{data[error.start]:02x} is not UTF-8"
        hint = "save the file as UTF-8, or keep to ASCII"
        text = data.decode("utf-8", "replace")
        raise _unfit(filename, text, place, message, hint) from None


def _why(error: OSError) -> str | None:
    """Return what to look at where a file cannot be read, if it is not plain already."""
    if isinstance(error, PermissionError):
        return f"uid {os.geteuid()} needs the right to read it and to pass the folders above it"
    if (
        isinstance(error, FileNotFoundError)
        and error.filename
        and Path(error.filename).is_symlink()
    ):
        return f"it is a symbolic link to {Path(error.filename).readlink()}"
    return None


def _unfit(
    filename: str, text: str, place: Position, message: str, hint: str | None
) -> ConfigError:
    notes = Notes(filename, text)
    notes.error(place, message, hint)
    return notes.refusal()


def _refused(filename: str, reason: str, hint: str | None = None) -> ConfigError:
    return ConfigError([Diagnostic(filename, 0, 0, f"the file {reason}", hint)])
