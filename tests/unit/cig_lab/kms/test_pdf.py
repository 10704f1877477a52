# SPDX-License-Identifier: GPL-3.0-or-later
"""Key material on paper: what is printed, and what is read from every scan of it.

The scans are as bad as `scans` makes them; what runs here is a few of many seeds.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from functools import cache

import pypdfium2
import pytest
import segno
from PIL import Image, ImageChops

from cig_common.carrier import parts
from cig_common.carrier.pdf import read_pdf
from cig_lab.kms import pdf as kms_pdf
from cig_lab.kms.pdf import write_pdf
from unit.cig_lab import scans

TITLE = "Key material of tel:+8888"
LINES = ("Public id: tel:+8888", "Periods: 2026-11-1, 2026-12-1, 2027-01-1")
MM = 72 / 25.4


def sealed(octets: int) -> bytes:
    return hashlib.shake_128(b"sealed").digest(octets)


@cache
def printed_pdf(octets: int) -> bytes:
    return write_pdf(sealed(octets), title=TITLE, lines=LINES)


def texts(pdf: bytes) -> list[str]:
    document = pypdfium2.PdfDocument(pdf)
    return [document[index].get_textpage().get_text_range() for index in range(len(document))]


@pytest.mark.parametrize(("octets", "seed"), [(2000, 0), (2000, 1), (2000, 2), (6000, 3)])
def test_a_scan_with_150_dpi_is_read(octets: int, seed: int) -> None:
    pages = scans.scanned(printed_pdf(octets), 150, seed)
    assert read_pdf(scans.as_pdf(pages, 150)) == sealed(octets)


def test_a_scan_of_many_pages_is_read() -> None:
    pages = scans.scanned(printed_pdf(40_000), 150, 4, printer_dpi=200)
    assert len(pages) == 16
    assert read_pdf(scans.as_pdf(pages, 150)) == sealed(40_000)


@pytest.mark.parametrize("dpi", [100, 200, 300])
def test_a_scan_with_other_resolutions_is_read(dpi: int) -> None:
    pages = scans.scanned(printed_pdf(2000), dpi, 5)
    assert read_pdf(scans.as_pdf(pages, dpi)) == sealed(2000)


def test_pages_may_be_turned_in_any_order_and_there_twice() -> None:
    pages = scans.scanned(printed_pdf(6000), 150, 6)
    assert len(pages) == 3
    upside_down = pages[1].transpose(Image.Transpose.ROTATE_180)
    on_its_side = pages[2].transpose(Image.Transpose.ROTATE_90)
    shuffled = [on_its_side, upside_down, pages[0], upside_down]
    assert read_pdf(scans.as_pdf(shuffled, 150)) == sealed(6000)


@pytest.mark.parametrize("said_dpi", [72, 1200])
def test_a_scan_that_errs_about_its_size_is_read(said_dpi: int) -> None:
    pages = scans.scanned(printed_pdf(2000), 150, 7)
    assert read_pdf(scans.as_pdf(pages, said_dpi)) == sealed(2000)


def test_the_file_itself_is_read() -> None:
    for octets in (1, 200, 2000, 6000):
        assert read_pdf(printed_pdf(octets)) == sealed(octets)


def test_the_paper_says_what_it_is() -> None:
    first, second = texts(printed_pdf(3000))
    name = parts.set_id(sealed(3000)).hex()
    for text in (TITLE, *LINES, "This paper is a key.", "5 QR codes", "page 1 of 2", name):
        assert text in first
    assert [f"part {number} of 5" in first for number in range(1, 6)] == [True] * 4 + [False]
    for text in (TITLE, "part 5 of 5", "page 2 of 2", name):
        assert text in second


def test_the_same_input_gives_the_same_file() -> None:
    assert printed_pdf(9) == write_pdf(sealed(9), title=TITLE, lines=LINES)
    dated = write_pdf(
        sealed(9), title=TITLE, lines=LINES, created=datetime(2026, 11, 25, tzinfo=UTC)
    )
    assert b"D:20261125" in dated
    assert dated != printed_pdf(9)


def test_a_long_text_and_letters_of_the_world_leave_the_codes_whole() -> None:
    lines = [f"Domain: \u0416\u4e2d {'long ' * 40}"] * 12
    pdf = write_pdf(sealed(2000), title="Schl\u00fcssel \u20ac", lines=lines)
    assert read_pdf(pdf) == sealed(2000)
    assert "\\u0416\\u4e2d" in texts(pdf)[0]
    assert "Schl\u00fcssel \\u20ac" in texts(pdf)[0]


def test_a4_and_letter_printers_reach_everything() -> None:
    for page in scans.printed(printed_pdf(6000), 72):
        left, top, right, bottom = ImageChops.invert(page).getbbox() or (0, 0, 0, 0)
        # Letter is 18 mm shorter than A4; half of that goes above, half below.
        assert left >= 10 * MM
        assert right <= page.width - 10 * MM
        assert top >= 16 * MM
        assert bottom <= page.height - 16 * MM


def test_modules_are_large_enough_for_150_dpi() -> None:
    fullest = segno.make_qr(
        bytes(kms_pdf.PART_OCTETS), error=kms_pdf.ERROR_LEVEL, mode="byte", boost_error=False
    )
    assert fullest.version == kms_pdf.MAX_QR_VERSION
    modules = fullest.symbol_size(border=kms_pdf.QUIET_MODULES)[0]
    assert kms_pdf.CODE_MM / modules * 150 / 25.4 > 4.5
