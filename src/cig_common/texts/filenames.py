# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of attached files: cleaned, read from a part's header, and written to it."""

from __future__ import annotations

import re

from cig_common.texts.headers import Headers, has_control
from cig_common.texts.parameters import extended, parameter, quoted, split_parameters

MAX_OCTETS = 255
"""Octets of a name in UTF-8: what file systems take."""
MAX_EXTENSION = 32
"""Octets of an extension, its dot included, that is kept when a name is cut."""
_HIDDEN = re.compile("[\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]")
"""Marks that turn the direction of writing: they make ``txt.exe`` look like ``exe.txt``."""
_PLAIN = re.compile(r"[ -~]*")


def clean(name: str) -> str:
    """Return a name that can be that of a file in any folder; empty where nothing is left.

    The last component of a path is taken, ``/`` and ``\\`` alike. Control characters and marks of
    direction are left out, and so are blanks around it. ``.`` and ``..`` are no names. What is
    longer than `MAX_OCTETS` is cut between characters, before its extension.
    """
    name = name.encode("utf-8", "replace").decode("utf-8")
    name = re.split(r"[/\\]", name)[-1]
    name = "".join(character for character in name if not has_control(character))
    name = _HIDDEN.sub("", name).strip()
    if name in ("", ".", ".."):
        return ""
    octets = name.encode()
    if len(octets) <= MAX_OCTETS:
        return name
    stem, dot, extension = name.rpartition(".")
    suffix = (dot + extension).encode()
    if not stem or len(suffix) > MAX_EXTENSION:
        suffix = b""
    kept = octets[: MAX_OCTETS - len(suffix)].decode("utf-8", "ignore")
    return clean(kept + suffix.decode())


def from_headers(headers: Headers) -> str:
    """Return the clean name that a part's header gives; empty where it gives none.

    That is ``filename`` of Content-Disposition (RFC 2183), else ``name`` of Content-Type.
    """
    for header, name in (("Content-Disposition", "filename"), ("Content-Type", "name")):
        _, parameters = split_parameters(headers.get(header) or "")
        if cleaned := clean(parameter(parameters, name) or ""):
            return cleaned
    return ""


def disposition(filename: str) -> bytes:
    """Write the Content-Disposition of an attachment, with LF at the end of each line.

    A name that is not plain ASCII is written as RFC 2231 says, and after that once more with ``_``
    for what is not: for readers that do not know the RFC. Readers that take the first of two
    get the whole name.
    """
    filename = clean(filename) or "attachment"
    if _PLAIN.fullmatch(filename) and "=?" not in filename:
        parameters = [quoted("filename", filename)]
    else:
        fallback = re.sub(r"[^ -~]", "_", filename).replace("=?", "__")
        parameters = [extended("filename", filename), quoted("filename", fallback)]
    line = "Content-Disposition: attachment"
    separator = "; " if len(parameters) == 1 and len(line) + len(parameters[0]) < 76 else ";\n "
    return separator.join((line, *parameters)).encode() + b"\n"
