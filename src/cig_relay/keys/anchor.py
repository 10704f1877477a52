# SPDX-License-Identifier: GPL-3.0-or-later
"""The CRS's trust anchor in words, for the operator who decides about key material."""

from __future__ import annotations

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from cig_common.control.key_facts import Identity
from cig_material.errors import MaterialError
from cig_material.material import KeyMaterial

_SHOWN = 120


def describe(material: KeyMaterial | Identity) -> str:
    """Say by what the CRS's certificate is checked; raises `MaterialError` for a broken one."""
    parts = []
    if material.anchor_pin is not None:
        parts.append(f"the certificate with SHA-256 {material.anchor_pin.hex()}")
    if material.anchor_ca is not None:
        parts += [_of_ca(certificate) for certificate in _certificates(material.anchor_ca)]
    return " and ".join(parts)


def _certificates(pem: str) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(pem.encode("ascii"))
    except ValueError:
        raise MaterialError(
            "the CA certificate in the key material cannot be read, so no CRS could be trusted: "
            "ask the CMS for new material"
        ) from None


def _of_ca(certificate: x509.Certificate) -> str:
    try:
        name = certificate.subject.rfc4514_string()
    except ValueError:
        name = "no readable name"
    shown = "".join(letter if letter.isprintable() else "?" for letter in name)[:_SHOWN]
    return f"the CA {shown} (SHA-256 {certificate.fingerprint(hashes.SHA256()).hex()})"
