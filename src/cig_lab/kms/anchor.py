# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads certificates: those that members of the domain are told to trust the CRS by."""

from __future__ import annotations

import hashlib
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from cig_lab.process import LabError
from cig_material.material import MAX_CA


def certificate_pin(path: Path) -> bytes:
    """Give the SHA-256 (32 octets) of the first certificate in a PEM file, in DER.

    Raises LabError.
    """
    return hashlib.sha256(_read(path)[0].public_bytes(Encoding.DER)).digest()


def certificates(path: Path) -> str:
    """Give the certificates of a PEM file, and nothing else of it, in PEM; raises LabError."""
    return "".join(each.public_bytes(Encoding.PEM).decode() for each in _read(path))


def _read(path: Path) -> list[x509.Certificate]:
    try:
        with path.open("rb") as stream:
            return x509.load_pem_x509_certificates(stream.read(MAX_CA))
    except OSError as error:
        raise LabError(f"{path} cannot be read: {error.strerror}") from None
    except ValueError:
        raise LabError(f"{path} holds no certificate in PEM") from None
