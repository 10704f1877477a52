# SPDX-License-Identifier: GPL-3.0-or-later
"""What a scanner makes of a printed PDF: crooked, blurred, noisy, unevenly lit, in JPEG."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import pypdfium2
from PIL import Image, ImageFilter

PRINTER_DPI = 300
SKEW_DEGREES = 3.0
JPEG_QUALITY = 60


def scanned(pdf: bytes, dpi: int, seed: int, printer_dpi: int = PRINTER_DPI) -> list[Image.Image]:
    """Every page of ``pdf`` as a scanner of ``dpi`` sees it, bad luck drawn from ``seed``."""
    random = np.random.default_rng(seed)
    return [_scan(page, dpi / printer_dpi, random) for page in printed(pdf, printer_dpi)]


def printed(pdf: bytes, dpi: int) -> list[Image.Image]:
    """Every page without any harm done to it."""
    document = pypdfium2.PdfDocument(pdf)
    try:
        pages = [document[index] for index in range(len(document))]
        return [page.render(scale=dpi / 72, grayscale=True).to_pil() for page in pages]
    finally:
        document.close()


def as_pdf(pages: Sequence[Image.Image], dpi: int) -> bytes:
    """The pages as a scanner's program stores them: a JPEG on each page."""
    file = io.BytesIO()
    rest = list(pages[1:])
    pages[0].save(
        file, "PDF", resolution=dpi, save_all=True, append_images=rest, quality=JPEG_QUALITY
    )
    return file.getvalue()


def _scan(page: Image.Image, scale: float, random: np.random.Generator) -> Image.Image:
    skew = float(random.choice((-SKEW_DEGREES, SKEW_DEGREES)))
    crooked = page.rotate(skew, Image.Resampling.BICUBIC, expand=True, fillcolor=255)
    size = (round(crooked.width * scale), round(crooked.height * scale))
    small = crooked.resize(size, Image.Resampling.BOX)
    small = small.filter(ImageFilter.GaussianBlur(random.uniform(0.4, 0.8)))
    ink = np.asarray(small, dtype=np.float32) / 255
    height, width = ink.shape
    # Toner is not black, paper is not white, and a lid that does not close lets light in.
    down = np.linspace(random.uniform(0.7, 1.0), random.uniform(0.7, 1.0), height)[:, None]
    across = np.linspace(random.uniform(0.8, 1.0), random.uniform(0.8, 1.0), width)[None, :]
    light = (0.15 + 0.8 * ink) * down * across * 255
    noisy = light + random.normal(0, random.uniform(4, 12), ink.shape)
    return Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8))
