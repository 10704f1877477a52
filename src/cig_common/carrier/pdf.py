# SPDX-License-Identifier: GPL-3.0-or-later
"""Sealed key material from a PDF: one with QR codes as it was printed, or a scan of it.

Rendering and decoding happen in a process of their own (`cig_common.carrier.pdf_codes`), with
bounds of memory and time: a PDF that hangs or crashes its reader is a PDF that cannot be read.
"""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import threading
from collections.abc import Generator
from contextlib import closing, suppress
from dataclasses import dataclass

from cig_common import child
from cig_common.carrier import pdf_codes
from cig_common.carrier.errors import CarrierError, MissingError, TornError
from cig_common.carrier.parts import Assembly, is_part, missing_text

MAX_OCTETS = 32 << 20
READ_SECONDS = 120.0
"""How long the pages may be looked at; one look takes some tenths of a second."""

_CHILD = "cig_common.carrier.pdf_codes"
_MAX_RECORD = 4 << 20
_MARK_OCTETS = 1024
"""So far from its begin or end readers look for a PDF's marks."""

_AGAIN = "scan again, flat and with 200 dpi or more,"
_UNREADABLE = "the PDF cannot be rendered: it is damaged, or asks for more memory than is allowed"
_PROBLEMS = {
    pdf_codes.DAMAGED: "the PDF is damaged: get it again from where it comes",
    pdf_codes.LOCKED: "the PDF is locked with a password of its own: save it without, or print it",
    pdf_codes.TOO_MANY_PAGES: f"the PDF has more than {pdf_codes.MAX_PAGES} pages: "
    "give those with the QR codes alone",
    pdf_codes.NO_LIBRARY: "PDFs cannot be read here, since pypdfium2, zxing-cpp or pillow does "
    "not load: install CIG's packages anew, or give the key material as text",
}


def is_pdf(octets: bytes) -> bool:
    """Tell whether this begins as a PDF does."""
    return b"%PDF-" in octets[:_MARK_OCTETS]


def read_pdf(octets: bytes, seconds: float = READ_SECONDS) -> bytes:
    """Give the sealed key material that the QR codes of a PDF hold.

    Raises `CarrierError` for anything else than all parts of one set.
    """
    if len(octets) > MAX_OCTETS:
        raise CarrierError(
            f"the PDF is larger than {MAX_OCTETS >> 20} MiB: scan it in grey and with 200 dpi"
        )
    if not is_pdf(octets):
        raise CarrierError("this is no PDF: give the one with the QR codes, or a scan of it")
    found = _Found()
    try:
        with closing(_looks(octets, seconds)) as looks:
            for look in looks:
                found.take(look)
                if found.assembly.complete:
                    break
        return found.result()
    except (_NoPagesError, MissingError) as error:
        if b"%%EOF" in octets[-_MARK_OCTETS:]:
            raise
        text = f"the PDF is cut short (its end is missing): get the whole of it; {error}"
        raise TornError(text) from None


class _NoPagesError(CarrierError):
    """The pages of the PDF cannot be looked at."""


@dataclass(frozen=True, slots=True)
class _Look:
    """What one look at page ``page`` of ``pages`` gave."""

    page: int
    pages: int
    codes: tuple[bytes, ...]


class _Found:
    """What the pages held so far."""

    def __init__(self) -> None:
        self.assembly = Assembly()
        self._pages = 0
        self._others = 0
        self._page_of: dict[int, int] = {}

    def take(self, look: _Look) -> None:
        """Take in what a look gave; raises `CarrierError` for a part that does not fit."""
        self._pages = look.pages
        for code in look.codes:
            if not is_part(code):
                self._others += 1
                continue
            try:
                number = self.assembly.add(code)
            except CarrierError as error:
                error.args = (f"page {look.page} of the PDF: {error}",)
                raise
            self._page_of.setdefault(number, look.page)

    def result(self) -> bytes:
        """Give the whole, or say what is missing and where it should be."""
        if self.assembly.complete:
            return self.assembly.result()
        if missing := self.assembly.missing():
            page = self._page_with(missing[0])
            where = f"page {page} of it" if page else "the sheet that shows it"
            text = missing_text(missing, self.assembly.count)
            raise MissingError(f"{text} in the PDF: {_AGAIN} {where}", missing)
        if self._others:
            raise CarrierError(
                "the QR codes in the PDF hold something else than key material: "
                "give the PDF that the CMS made, or a scan of it"
            )
        raise MissingError(f"no QR code was found in the PDF: {_AGAIN} the sheets with them", ())

    def _page_with(self, number: int) -> int | None:
        """Give the page on which part ``number`` must be, if its neighbours tell."""
        if self._pages == 1:
            return 1
        below = max((known for known in self._page_of if known < number), default=0)
        above = min((known for known in self._page_of if known > number), default=0)
        pages = {self._page_of.get(below), self._page_of.get(above)}
        return pages.pop() if len(pages) == 1 else None


def _looks(octets: bytes, seconds: float) -> Generator[_Look, None, None]:
    """Run the process that looks at the pages; end it when its time is over, or when left."""
    with subprocess.Popen(
        [sys.executable, "-m", _CHILD],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=child.environment(),
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        timer = threading.Timer(seconds, process.kill)
        timer.start()
        looked = False
        try:
            with suppress(BrokenPipeError), process.stdin:
                process.stdin.write(octets)
            while (line := process.stdout.readline(_MAX_RECORD)).endswith(b"\n"):
                yield _look(line)
                looked = True
            timed_out = timer.finished.is_set()
            failed = process.wait() != 0
        finally:
            timer.cancel()
            process.kill()
    if timed_out and not looked:
        raise _NoPagesError(
            f"the PDF took longer than {seconds:g} s to render: scan the paper again, in grey"
        )
    if failed and not timed_out:
        raise _NoPagesError(_UNREADABLE)


def _look(line: bytes) -> _Look:
    """Read what the process says; it has read what a stranger wrote, so anything may come."""
    try:
        values = json.loads(line)
        if "problem" in values:
            raise _NoPagesError(_PROBLEMS[values["problem"]])
        codes = tuple(base64.b64decode(code) for code in values["codes"])
        return _Look(int(values["page"]), int(values["pages"]), codes)
    except (ValueError, KeyError, TypeError):
        raise _NoPagesError(_UNREADABLE) from None
