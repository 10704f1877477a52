# SPDX-License-Identifier: GPL-3.0-or-later
"""Renders a PDF and decodes its QR codes, in a process of its own: ``-m`` this module.

The PDF comes in on standard input. Each page that was looked at gives one line of JSON on
standard output: ``{"page": 1, "pages": 2, "codes": ["base64", ...]}``; ``{"problem": ...}`` says
why there is no page to look at. First every page is looked at once, then again and again as a
harder case, until the reader has what it needs and ends this process.

A PDF is a program for a large library. Here it can neither take the memory of whoever reads it
nor end that process: this one has limits.
"""

from __future__ import annotations

import base64
import json
import os
import resource
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_PAGES = 50
MAX_MEMORY = 2 << 30
MAX_CPU_SECONDS = 300

DAMAGED = "damaged"
LOCKED = "locked"
TOO_MANY_PAGES = "too many pages"
NO_LIBRARY = "no library"


@dataclass(frozen=True, slots=True)
class Way:
    """One way to look at a page.

    ``pixels`` are those of its longer side, whatever size it says that it has: scanners' programs
    err there, and a page of hostile size costs no more than another. ``turned`` are degrees,
    ``binarizer`` is zxing-cpp's way to tell black from white.
    """

    pixels: int
    turned: float = 0.0
    binarizer: str = "LocalAverage"


WAYS = (
    Way(2400),
    Way(3600),
    Way(1800),
    Way(4800),
    Way(3600, binarizer="GlobalHistogram"),
    Way(3000, turned=30),
)
"""2400 pixels are A4 with 205 dpi. Six looks miss nothing that more of them would find."""


def main() -> None:
    """Read, look, tell, end."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY, MAX_MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (MAX_CPU_SECONDS, MAX_CPU_SECONDS))
    # Only the answer may stand in the pipe, whatever a library should print.
    with os.fdopen(os.dup(1), "w", encoding="ascii") as answer:
        os.dup2(2, 1)
        for record in codes_of(sys.stdin.buffer.read()):
            print(json.dumps(record), file=answer, flush=True)


def codes_of(octets: bytes) -> Iterator[dict[str, object]]:
    """Look at all pages in all ways; give a record of each look."""
    try:
        import pypdfium2
        import zxingcpp  # noqa: F401 - to be told before the first page
        from PIL import Image  # noqa: F401
    except ImportError:
        yield {"problem": NO_LIBRARY}
        return
    try:
        document = pypdfium2.PdfDocument(octets)
    except pypdfium2.PdfiumError as error:
        locked = error.err_code == pypdfium2.raw.FPDF_ERR_PASSWORD
        yield {"problem": LOCKED if locked else DAMAGED}
        return
    with closing(document):
        pages = len(document)
        if not 1 <= pages <= MAX_PAGES:
            yield {"problem": TOO_MANY_PAGES if pages else DAMAGED}
            return
        for way in WAYS:
            for index in range(pages):
                found = [base64.b64encode(code).decode() for code in _look(document, index, way)]
                yield {"page": index + 1, "pages": pages, "codes": found}


def _look(document: Any, index: int, way: Way) -> list[bytes]:
    """Give what the codes of a page hold; nothing for a page that cannot be rendered."""
    import zxingcpp

    image = _rendered(document, index, way)
    if image is None:
        return []
    found = zxingcpp.read_barcodes(
        image,
        formats=zxingcpp.BarcodeFormats(zxingcpp.BarcodeFormat.QRCode),
        binarizer=getattr(zxingcpp.Binarizer, way.binarizer),
    )
    return [code.bytes for code in found]


def _rendered(document: Any, index: int, way: Way) -> Image | None:
    import pypdfium2
    from PIL import Image

    try:
        page = document[index]
    except pypdfium2.PdfiumError:
        return None
    with closing(page):
        width, height = page.get_size()
        if not (width > 0 and height > 0):
            return None
        bitmap = page.render(scale=way.pixels / max(width, height), grayscale=True)
        with closing(bitmap):
            # A copy: the bitmap's own memory goes with it.
            image: Image.Image = bitmap.to_pil().copy()
    if way.turned:
        image = image.rotate(way.turned, Image.Resampling.BILINEAR, expand=True, fillcolor=255)
    return image


if __name__ == "__main__":
    main()
