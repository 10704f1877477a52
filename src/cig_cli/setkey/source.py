# SPDX-License-Identifier: GPL-3.0-or-later
"""Key material and passphrase from files."""

from __future__ import annotations

import os
import shlex
import stat
import sys
from pathlib import Path

from cig_cli.setkey.terminal import wipe

STANDARD_INPUT = "-"
MAX_PASSPHRASE = 4096
_OTHERS = 0o077
_MARK = b"\xef\xbb\xbf"


class SourceError(Exception):
    """No key material or passphrase can be had from there. The text says why."""


def sealed_from_file(name: str) -> bytes:
    """Give the sealed octets that a file carries: text, PDF or as they are. Raises SourceError."""
    # Here and not above: what reads a PDF takes longer to load than other commands run.
    from cig_common import carrier

    try:
        if name == STANDARD_INPUT:
            return carrier.read_octets(sys.stdin.buffer.read(carrier.MAX_OCTETS + 1))
        return carrier.read_file(Path(name))
    except carrier.CarrierError as error:
        raise SourceError(str(error)) from None
    except OSError as error:
        raise SourceError(f"the standard input cannot be read: {error.strerror}") from None


def passphrase_from_file(name: str) -> tuple[bytearray, str]:
    """Give the first line of a file, and a warning or nothing. The caller wipes the line.

    Raises SourceError.
    """
    octets = bytearray(MAX_PASSPHRASE + 2)
    try:
        if name == STANDARD_INPUT:
            descriptor = os.dup(sys.stdin.fileno())
        else:
            descriptor = os.open(name, os.O_RDONLY | os.O_CLOEXEC)
        with open(descriptor, "rb", buffering=0) as stream:  # noqa: PTH123 - of a descriptor
            warning = _readable_by(os.fstat(stream.fileno()), name)
            count = 0
            while got := stream.readinto(memoryview(octets)[count:]):
                count += got
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is no name of a file"
        raise SourceError(f"the passphrase cannot be read from {_told(name)}: {reason}") from None
    del octets[count:]
    try:
        return _first_line(octets, _told(name)), warning
    finally:
        wipe(octets)


def as_file_name(typed: str) -> str:
    """Give the name that was typed: without the quotes that a shell or a file manager adds."""
    name = typed.strip()
    if not os.path.exists(name):  # noqa: PTH110 - Path's own may raise
        try:
            words = shlex.split(name)
        except ValueError:
            words = []
        if len(words) == 1:
            name = words[0]
    return os.path.expanduser(name)  # noqa: PTH111 - Path's own raises for an unknown user


def _first_line(octets: bytearray, place: str) -> bytearray:
    begin = len(_MARK) if octets.startswith(_MARK) else 0
    end = octets.find(b"\n")
    end = len(octets) if end < 0 else end
    if octets[end - 1 : end] == b"\r":
        end -= 1
    if end - begin > MAX_PASSPHRASE:
        raise SourceError(f"the first line of {place} is too long to be a passphrase")
    if end <= begin:
        raise SourceError(f"the first line of {place} is empty: it should be the passphrase")
    return octets[begin:end]


def _readable_by(status: os.stat_result, name: str) -> str:
    if stat.S_ISREG(status.st_mode) and status.st_mode & _OTHERS:
        mode = stat.S_IMODE(status.st_mode)
        return (
            f"{_told(name)} has mode {mode:04o}: others than its owner can get at the passphrase. "
            f"Run: chmod 600 {shlex.quote(name)}"
        )
    return ""


def _told(name: str) -> str:
    return "the standard input" if name == STANDARD_INPUT else name
