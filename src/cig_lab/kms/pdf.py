# SPDX-License-Identifier: GPL-3.0-or-later
"""Prints sealed key material on paper: a PDF of numbered QR codes, up to four on a page.

Everything stands where both an A4 and a Letter printer reach. A code is 84 mm wide and has at
most 105 modules with its margin, so a module is at least 0.8 mm: in a scan of 150 dpi that is
nearly five pixels. The same input gives the same octets: no clock is read and nothing is drawn.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from datetime import UTC, datetime

import segno
from fpdf import FPDF
from fpdf.enums import XPos, YPos

from cig_common.carrier import parts

ERROR_LEVEL = "m"
MAX_QR_VERSION = 20
PART_OCTETS = 666
"""What a QR code of version 20 and level M holds (ISO/IEC 18004 table 7)."""
QUIET_MODULES = 4
PIXELS_PER_MODULE = 8
"""Some viewers blur the edges of the pixels of an image that they enlarge."""

CODE_MM = 84.0
GAP_MM = 8.0
LEFT_MM = (210 - 2 * CODE_MM - GAP_MM) / 2
TOP_MM = 18.0
BOTTOM_MM = 279.0
CAPTION_MM = 6.0
UNDATED = datetime(1970, 1, 1, tzinfo=UTC)
WARNING = (
    "This paper is a key. Whoever has it and its passphrase can be this gateway and hear its "
    "calls. Lock it away, keep the passphrase elsewhere, and destroy it when it has served."
)


def write_pdf(
    sealed: bytes, *, title: str, lines: Sequence[str], created: datetime = UNDATED
) -> bytes:
    """Give the PDF of ``sealed``, with ``title`` on every page and ``lines`` on the first.

    Raises ValueError where there is too much for a set of parts.
    """
    codes = parts.split(sealed, PART_OCTETS)
    paper = _Paper(title, f"set {parts.set_id(sealed).hex()}", created)
    paper.begin()
    paper.explain([*lines, f"{len(codes)} QR codes, to be scanned in any order"])
    for number, code in enumerate(codes, 1):
        paper.place(_qr_image(code), f"part {number} of {len(codes)}")
    return paper.octets()


def _qr_image(part: bytes) -> bytes:
    """Give a PNG with the code and the white margin that it needs."""
    code = segno.make_qr(part, error=ERROR_LEVEL, mode="byte", boost_error=False)
    image = io.BytesIO()
    code.save(image, kind="png", scale=PIXELS_PER_MODULE, border=QUIET_MODULES)
    return image.getvalue()


class _Sheet(FPDF):
    """An A4 page with a head and a foot."""

    def __init__(self, title: str, set_name: str) -> None:
        super().__init__(orientation="portrait", unit="mm", format="A4")
        self.heading = title
        self.set_name = set_name

    def header(self) -> None:
        self.set_xy(LEFT_MM, TOP_MM)
        self.set_font("Helvetica", "B", 14)
        self.multi_cell(0, 7, self.heading, new_x=XPos.LMARGIN, new_y=YPos.NEXT)

    def footer(self) -> None:
        self.set_xy(LEFT_MM, BOTTOM_MM - CAPTION_MM)
        self.set_font("Helvetica", "", 9)
        text = f"page {self.page_no()} of {{nb}}, {self.set_name}"
        self.cell(0, CAPTION_MM, text, align="L")


class _Paper:
    """Fills pages from the upper left to the lower right."""

    def __init__(self, title: str, set_name: str, created: datetime) -> None:
        self._pdf = _Sheet(_printable(title), set_name)
        self._pdf.set_margins(LEFT_MM, TOP_MM, LEFT_MM)
        self._pdf.set_auto_page_break(False)
        self._pdf.set_title(_printable(title))
        self._pdf.set_creation_date(created)
        self._column = 0
        self._row_mm = 0.0

    def begin(self) -> None:
        """Start the first page or the next one."""
        self._pdf.add_page()
        self._column = 0
        self._row_mm = self._pdf.get_y() + 3

    def explain(self, lines: Sequence[str]) -> None:
        """Write ``lines`` and the warning above the codes."""
        self._pdf.set_auto_page_break(True, 297 - BOTTOM_MM + CAPTION_MM)
        self._pdf.set_font("Helvetica", "", 11)
        for line in lines:
            self._pdf.multi_cell(0, 5.2, _printable(line), new_x=XPos.LMARGIN, new_y=YPos.NEXT)
        self._pdf.ln(1.5)
        self._pdf.set_font("Helvetica", "B", 10)
        self._pdf.multi_cell(
            0, 5, WARNING, align="L", border=1, new_x=XPos.LMARGIN, new_y=YPos.NEXT
        )
        self._pdf.set_auto_page_break(False)
        self._row_mm = self._pdf.get_y() + 3

    def place(self, image: bytes, caption: str) -> None:
        """Draw a code with its caption below, on a new page where this one is full."""
        if self._row_mm + CODE_MM + CAPTION_MM > BOTTOM_MM - CAPTION_MM:
            self.begin()
        left = LEFT_MM + self._column * (CODE_MM + GAP_MM)
        self._pdf.image(io.BytesIO(image), x=left, y=self._row_mm, w=CODE_MM, h=CODE_MM)
        self._pdf.set_xy(left, self._row_mm + CODE_MM)
        self._pdf.set_font("Helvetica", "B", 11)
        self._pdf.cell(CODE_MM, CAPTION_MM - 1, caption, align="C")
        self._column = 1 - self._column
        if self._column == 0:
            self._row_mm += CODE_MM + CAPTION_MM

    def octets(self) -> bytes:
        """Give the file."""
        return bytes(self._pdf.output())


def _printable(text: str) -> str:
    """Give ``text`` with what the fonts of every PDF reader lack written as an escape."""
    return text.encode("latin-1", "backslashreplace").decode("latin-1")
