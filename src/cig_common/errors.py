# SPDX-License-Identifier: GPL-3.0-or-later
"""The gateway's error tree: every error carries its consequence as data.

Whoever catches one reads ``sip_status``, ``umsg_reason``, ``retryable`` and ``log_code``; nobody
looks into its text, which is for the operator alone.
"""

from __future__ import annotations

from umsg.reasons import Reason


class CigError(Exception):
    """Root of the gateway's own errors.

    ``sip_status`` is the final response a SIP caller gets, ``umsg_reason`` the reason a secure
    caller gets in ``hangup``, ``retryable`` tells whether the same request may succeed a little
    later, ``log_code`` is the stable word in log lines and counters.
    """

    sip_status: int = 500
    umsg_reason: Reason = Reason.ERROR
    retryable: bool = False
    log_code: str = "internal"


class LocalError(CigError):
    """Something on this host is wrong: the configuration, a resource, our own code."""


class PeerError(CigError):
    """The other side broke a rule; only its own call or connection pays for it."""


class NoRouteError(PeerError):
    """No map of cig.conf gives a new to-URI, or none gives a new from-URI."""

    sip_status = 404
    umsg_reason = Reason.NOT_FOUND
    log_code = "no-route"


class CryptoError(PeerError):
    """A MIKEY message or an answer's MAC was refused, or no keys exist for the peer's period."""

    sip_status = 500
    umsg_reason = Reason.CRYPTO
    log_code = "crypto"


class NoKeysForPeerError(CryptoError):
    """There are no keys of the month that is needed: new key material makes it good."""

    retryable = True
    log_code = "no-keys"


class MediaError(LocalError):
    """No RTP port is free, or the two sides have no codec in common."""

    sip_status = 503
    umsg_reason = Reason.MEDIA
    retryable = True
    log_code = "media"


class CodecError(PeerError):
    """An offer or answer holds no G.711 (RFC 3264: 488 Not Acceptable Here)."""

    sip_status = 488
    umsg_reason = Reason.MEDIA
    log_code = "codec"


class OverloadError(LocalError):
    """A limit of ours is reached; the caller may try again later."""

    sip_status = 503
    umsg_reason = Reason.OVERLOAD
    retryable = True
    log_code = "overload"


class RelayUnavailableError(LocalError):
    """cig-relay is not connected, or went away while it had a request of ours."""

    sip_status = 503
    umsg_reason = Reason.ERROR
    retryable = True
    log_code = "relay-down"


class CrsUnavailableError(LocalError):
    """There is no authenticated connection to a CRS at the moment."""

    sip_status = 503
    umsg_reason = Reason.UNREACHABLE
    retryable = True
    log_code = "crs-down"


class ControlError(PeerError):
    """A message on the control socket was malformed or out of turn."""

    log_code = "control"
