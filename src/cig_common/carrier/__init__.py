# SPDX-License-Identifier: GPL-3.0-or-later
"""How sealed key material travels: as text, as numbered parts in QR codes, as a file.

Nothing here opens a seal or knows what is inside. `read_file` and `read_octets` recognise each
form by its content; `armour` is for a text that is pasted. docs/key-material-transport.md has the
formats to the octet.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from cig_common.carrier import armour, pdf
from cig_common.carrier.errors import (
    CarrierError,
    MissingError,
    MistypedError,
    OtherVersionError,
    TornError,
)

__all__ = [
    "CarrierError",
    "MissingError",
    "MistypedError",
    "OtherVersionError",
    "TornError",
    "read_file",
    "read_octets",
]

MAX_OCTETS = pdf.MAX_OCTETS
SEALED_MAGIC = b"CIGSEAL"
"""What sealed octets begin with that no carrier surrounds."""
RAW_MAGIC = b"CIGRAW"

_PICTURES = (b"\x89PNG", b"\xff\xd8\xff", b"II*\x00", b"MM\x00*", b"GIF8", b"RIFF", b"BM")
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_FORMS = "give the text with its BEGIN and END lines, the PDF with QR codes, or a scan of it"


def read_file(path: Path) -> bytes:
    """Give the sealed octets that a file carries in whatever form.

    Raises `CarrierError`, also where the file cannot be read.
    """
    try:
        # Without O_NONBLOCK, opening a named pipe would wait for whoever writes to it.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        raise CarrierError(_unreadable(path, error)) from None
    try:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(mode):
            raise CarrierError(f"{_named(path)} is a folder: name the file in it")
        if not stat.S_ISREG(mode):
            raise CarrierError(f"{_named(path)} is no ordinary file: copy its content to one")
        with open(descriptor, "rb", closefd=False) as file:
            octets = file.read(MAX_OCTETS + 1)
    except OSError as error:
        raise CarrierError(_unreadable(path, error)) from None
    finally:
        os.close(descriptor)
    return read_octets(octets)


def read_octets(octets: bytes) -> bytes:
    """Give the sealed octets that a file's content carries; raises `CarrierError`."""
    if not octets:
        raise CarrierError("the file is empty: copy it again")
    if len(octets) > MAX_OCTETS:
        raise CarrierError(f"the file is larger than {MAX_OCTETS >> 20} MiB: {_FORMS}")
    if octets.startswith(SEALED_MAGIC):
        return octets
    if octets.startswith(RAW_MAGIC):
        raise CarrierError(
            "this is a cig.raw, which is not sealed any more: put it into userdata as cig.raw "
            "and restart cig-server"
        )
    if pdf.is_pdf(octets):
        return pdf.read_pdf(octets)
    if octets.startswith(_PICTURES):
        raise CarrierError("this is a picture: let the scanner save a PDF")
    text = _text(octets)
    if "\0" in text:
        raise CarrierError(f"this is neither text nor PDF: {_FORMS}")
    return armour.decode(text)


def _text(octets: bytes) -> str:
    """Read a text in any of the encodings that editors and mail programs save in."""
    if octets.startswith(_UTF_16):
        return octets.decode("utf-16", "replace")
    try:
        return octets.decode("utf-8-sig")
    except UnicodeDecodeError:
        return octets.decode("latin-1")


def _unreadable(path: Path, error: OSError | ValueError) -> str:
    code = error.errno if isinstance(error, OSError) else None
    if code in (errno.ENOENT, errno.ENOTDIR):
        return f"there is no file {_named(path)}: is its name right?"
    if code in (errno.EACCES, errno.EPERM):
        return f"this user must not read {_named(path)}: change its owner or mode, or use sudo"
    reason = error.strerror if isinstance(error, OSError) else "its name cannot be one"
    return f"{_named(path)} cannot be read: {reason}"


def _named(path: Path) -> str:
    return repr(str(path))
