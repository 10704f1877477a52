# SPDX-License-Identifier: GPL-3.0-or-later
"""The TLS side of the connection to a CRS: what is trusted, and how that is checked.

Trust comes with the key material: a CA certificate, the SHA-256 of the server's certificate (a
pin), or both, and then both must hold. The pin is checked before an octet of UMSG is sent.
"""

from __future__ import annotations

import hashlib
import hmac
import ssl

from cig_common.control.key_facts import Identity
from cig_common.errors import LocalError, PeerError

ALPN = "umsg/1"
"""Application protocol of UMSG (RFC 7301)."""


class TrustError(PeerError):
    """The server is not the one that the key material names."""

    log_code = "crs-trust"


def client_context(identity: Identity) -> ssl.SSLContext:
    """Make the context for connections to the CRS of ``identity``.

    TLS 1.2 at least. With a CA the server's name is checked too; with a pin alone the certificate
    is taken as it comes and `check_server` compares it. Raises LocalError without an anchor.
    """
    if identity.anchor_pin is None and identity.anchor_ca is None:
        raise LocalError("the key material has no trust anchor for the CRS: ask for new material")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols([ALPN])
    if identity.anchor_ca is not None:
        try:
            context.load_verify_locations(cadata=identity.anchor_ca)
        except ssl.SSLError as error:
            raise LocalError(f"the CRS's CA certificate cannot be read: {error}") from error
    else:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def check_server(connection: ssl.SSLObject | ssl.SSLSocket, identity: Identity) -> bytes:
    """Give the SHA-256 (32 octets) of the server's DER certificate after checking it.

    Raises `TrustError` when the pin differs or the server did not choose ``umsg/1``.
    """
    certificate = connection.getpeercert(binary_form=True)
    if certificate is None:
        raise TrustError("the CRS showed no certificate")
    digest = hashlib.sha256(certificate).digest()
    if identity.anchor_pin is not None and not hmac.compare_digest(digest, identity.anchor_pin):
        raise TrustError(
            f"the CRS's certificate (SHA-256 {digest.hex()}) is not the pinned one: "
            "either it was renewed and new key material is due, or somebody is in between"
        )
    if connection.selected_alpn_protocol() != ALPN:
        raise TrustError(f"the server at the CRS's address does not speak {ALPN}")
    return digest
