# SPDX-License-Identifier: GPL-3.0-or-later
"""PDFs that are not what they should be: told in a sentence, within bounds of time and memory."""

from __future__ import annotations

import io
import zlib
from collections.abc import Sequence

import fpdf
import pypdfium2
import pytest
import segno
from hypothesis import given, settings
from hypothesis import strategies as st

from cig_common.carrier import pdf, pdf_codes
from cig_common.carrier.errors import CarrierError, MissingError, OtherVersionError, TornError
from cig_common.carrier.parts import Part, set_id, split
from cig_common.carrier.pdf import read_pdf
from cig_lab.kms.pdf import write_pdf

SEALED = bytes(range(256)) * 8
PARTS = split(SEALED, 600)
WHOLE = write_pdf(SEALED, title="Key material", lines=[])


def pages_with(*pages: Sequence[bytes], password: str = "") -> bytes:
    """A PDF with these QR codes, page by page."""
    paper = fpdf.FPDF()
    if password:
        paper.set_encryption(owner_password=password, user_password=password)
    for codes in pages:
        paper.add_page()
        for place, code in enumerate(codes):
            image = io.BytesIO()
            qr = segno.make_qr(code, error="m", mode="byte")
            qr.save(image, kind="png", scale=8, border=4)
            paper.image(image, x=10 + 95 * (place % 2), y=10 + 95 * (place // 2), w=90, h=90)
    return bytes(paper.output())


def one_page(box: bytes, content: bytes = b"", more: Sequence[bytes] = ()) -> bytes:
    """A PDF of one page, written by hand."""
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[%s]/Contents 4 0 R"
        b"/Resources<</XObject<</I 5 0 R>>>>>>" % box,
        b"<</Length %d>>stream\n%s\nendstream" % (len(content), content),
        *more,
    ]
    octets, places = b"%PDF-1.7\n", []
    for number, one in enumerate(objects, 1):
        places.append(len(octets))
        octets += b"%d 0 obj\n%s\nendobj\n" % (number, one)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    return octets + (
        b"xref\n0 %d\n0000000000 65535 f \n%strailer<</Root 1 0 R/Size %d>>\nstartxref\n%d\n%%%%EOF"
        % (len(objects) + 1, table, len(objects) + 1, len(octets))
    )


def joined(*pdfs: bytes) -> bytes:
    whole, octets = pypdfium2.PdfDocument.new(), io.BytesIO()
    for one in pdfs:
        whole.import_pages(pypdfium2.PdfDocument(one))
    whole.save(octets)
    return octets.getvalue()


FOR_EVER = one_page(b"0 0 595 842", b"0 0 600 900 re f " * 1_500_000)


def test_parts_are_found_in_any_order_on_any_page() -> None:
    pages = [[PARTS[3], b"a code of the firm"], [], PARTS[1:4], [PARTS[0]]]
    assert read_pdf(pages_with(*pages)) == SEALED


@pytest.mark.parametrize(
    ("pages", "said"),
    [
        ([PARTS[:1] + PARTS[2:]], "part 2 of 4 was not found in the PDF: .* page 1 of it$"),
        ([PARTS[:2], PARTS[3:]], "part 3 of 4 was not found in the PDF: .* the sheet that shows"),
        ([[], PARTS[:2]], "parts 3 and 4 of 4 were not found .* the sheet that shows it$"),
        ([PARTS[3:], PARTS[:1] + PARTS[2:3]], "part 2 of 4 was not found .* page 2 of it$"),
        ([[]], "no QR code was found in the PDF"),
    ],
)
def test_what_is_missing_is_named(pages: list[list[bytes]], said: str) -> None:
    with pytest.raises(MissingError, match=said):
        read_pdf(pages_with(*pages))


def test_codes_of_something_else_are_told() -> None:
    with pytest.raises(CarrierError, match="QR codes in the PDF hold something else"):
        read_pdf(pages_with([b"https://example.com/"]))


def test_parts_that_do_not_fit_are_told_with_their_page() -> None:
    other = Part(bytes(8), 2, 4, b"other").encode()
    with pytest.raises(CarrierError, match=r"^page 2 of the PDF: there are parts of two different"):
        read_pdf(pages_with(PARTS[:2], [other]))
    with pytest.raises(OtherVersionError, match=r"^page 1 of the PDF: .* version 2"):
        read_pdf(pages_with([b"CIGP\x02" + PARTS[0][5:]]))
    wrong = [Part(set_id(SEALED), 1, 1, b"something else").encode()]
    with pytest.raises(CarrierError, match="do not make a whole"):
        read_pdf(pages_with(wrong))


def test_a_locked_pdf_is_told() -> None:
    with pytest.raises(CarrierError, match="locked with a password of its own"):
        read_pdf(pages_with(PARTS, password="secret"))


def test_too_many_pages_are_told() -> None:
    with pytest.raises(CarrierError, match="more than 50 pages"):
        read_pdf(pages_with(*[[]] * (pdf_codes.MAX_PAGES + 1)))


@pytest.mark.parametrize("part", [0.02, 0.3, 0.7, 0.98])
def test_a_pdf_that_is_cut_short_is_told(part: float) -> None:
    with pytest.raises(TornError, match="the PDF is cut short"):
        read_pdf(WHOLE[: int(len(WHOLE) * part)])


def test_what_is_no_pdf_is_told() -> None:
    with pytest.raises(CarrierError, match="this is no PDF"):
        read_pdf(b"PK\x03\x04")
    with pytest.raises(CarrierError, match="larger than 32 MiB"):
        read_pdf(b"%PDF-1.7" + bytes(pdf.MAX_OCTETS))
    with pytest.raises(CarrierError, match=r"^the PDF is damaged"):
        read_pdf(b"%PDF-1.7\nno more than this\n%%EOF\n")


@pytest.mark.parametrize(
    "box",
    [b"0 0 99999999 99999999", b"0 0 99999999 0.001", b"0 0 -5 -5", b"0 0 1e400 1", b"0 0 0 0"],
)
def test_no_size_of_a_page_takes_more_memory_than_another(box: bytes) -> None:
    with pytest.raises(MissingError, match="no QR code"):
        read_pdf(one_page(box))


def test_a_picture_of_hostile_size_is_only_a_picture() -> None:
    pixels = zlib.compress(bytes(50_000_000), 9)
    picture = (
        b"<</Type/XObject/Subtype/Image/Width 60000/Height 60000/ColorSpace/DeviceRGB"
        b"/BitsPerComponent 8/Filter/FlateDecode/Length %d>>stream\n%s\nendstream"
        % (len(pixels), pixels)
    )
    with pytest.raises(CarrierError):
        read_pdf(one_page(b"0 0 595 842", b"q 595 0 0 842 0 0 cm /I Do Q", [picture]))


def test_a_page_that_takes_for_ever_is_left() -> None:
    with pytest.raises(CarrierError, match="took longer than 1 s to render"):
        read_pdf(FOR_EVER, seconds=1)


def test_time_that_runs_out_does_not_hide_what_is_missing() -> None:
    with pytest.raises(MissingError, match="part 4 of 4 was not found"):
        read_pdf(joined(pages_with(PARTS[:3]), FOR_EVER), seconds=5)


@pytest.mark.parametrize("module", ["json.tool", "this", "cig_common.no_such_module"])
def test_a_reader_that_breaks_is_told(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pdf, "_CHILD", module)
    with pytest.raises(CarrierError, match="the PDF cannot be rendered"):
        read_pdf(WHOLE)


@given(st.binary(max_size=300))
@settings(max_examples=10, deadline=None)
def test_no_octets_raise_anything_else(octets: bytes) -> None:
    with pytest.raises(CarrierError):
        read_pdf(b"%PDF-1.7\n" + octets)


@given(place=st.integers(0, 10**6), put=st.binary(min_size=1, max_size=8))
@settings(max_examples=8, deadline=None)
def test_a_damaged_pdf_gives_the_same_octets_or_none(place: int, put: bytes) -> None:
    place %= len(WHOLE)
    try:
        assert read_pdf(WHOLE[:place] + put + WHOLE[place + len(put) :], seconds=20) == SEALED
    except CarrierError as refused:
        assert str(refused).isprintable()
