# SPDX-License-Identifier: GPL-3.0-or-later
"""What the CRS counts. Everything a stranger can cause is ignored, but never unseen."""

from dataclasses import dataclass


@dataclass(slots=True)
class CrsStats:
    """Counters since the server was made; they only grow, except the two `..._now`."""

    tcp_accepted: int = 0
    tcp_refused: int = 0
    """Connections turned away by a limit."""
    tls_failed: int = 0
    """Connections that did not get through the TLS handshake, or not with ALPN umsg/1."""
    sessions_broken: int = 0
    """Sessions ended with `error protocol` from our side."""
    auth_refused: int = 0
    welcomed: int = 0
    replaced: int = 0
    bad_messages: int = 0
    forbidden: int = 0
    """Messages refused: not the sender's `from`, a `leg`, an id in use, not a party."""
    internal_errors: int = 0
    calls: int = 0
    calls_now: int = 0
    stun_bound: int = 0
    """Binding requests answered."""
    stun_refused: int = 0
    """STUN that is malformed, unknown, unauthenticated, or a repeated transaction."""
    media_forwarded: int = 0
    media_octets: int = 0
    media_unknown: int = 0
    """Packets from an address that no leg is bound to."""
    media_unbound: int = 0
    """Packets for a leg that is not bound yet."""
    texts_stored: int = 0
    texts_now: int = 0
    """Texts that wait for a receipt: this one falls too."""
    texts_again: int = 0
    """Texts that came again from their senders."""
    texts_refused: int = 0
    texts_receipted: int = 0
    text_parts_sent: int = 0
    disk_errors: int = 0
    """Texts and receipts that the disk refused."""
