# SPDX-License-Identifier: GPL-3.0-or-later
"""The forms in which sealed key material leaves the KMS: armoured text, a PDF, the octets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cig_common.control.key_facts import Identity


@dataclass(frozen=True, slots=True)
class Form:
    """One form: whether a terminal can show it, and what makes it."""

    binary: bool
    make: Callable[[bytes, Identity], bytes]


def render(form: str, sealed: bytes, identity: Identity) -> bytes:
    """Give sealed octets in one of `FORMS`; the PDF says besides whose they are."""
    return FORMS[form].make(sealed, identity)


def _text(sealed: bytes, _identity: Identity) -> bytes:
    from cig_common.carrier import armour

    return armour.encode(sealed).encode("ascii")


def _pdf(sealed: bytes, identity: Identity) -> bytes:
    # fpdf2 and segno are there for the lab alone, and take a while to load.
    from cig_lab.kms.pdf import write_pdf

    lines = (
        f"Public id: {identity.public_id}",
        f"Security domain: {identity.domain}",
        f"Periods: {', '.join(identity.periods)}",
        f"CRS: {', '.join(identity.crs)}",
    )
    return write_pdf(sealed, title=f"Key material of {identity.public_id}", lines=lines)


FORMS = {
    "text": Form(binary=False, make=_text),
    "pdf": Form(binary=True, make=_pdf),
    "sealed": Form(binary=True, make=lambda sealed, _identity: sealed),
}
