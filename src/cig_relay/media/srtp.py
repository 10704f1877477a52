# SPDX-License-Identifier: GPL-3.0-or-later
"""SRTP and SRTCP of one direction (RFC 3711), by libsrtp through pylibsrtp.

The profile is AES_CM_128_HMAC_SHA1_80 with a replay window of 128 packets. What is encrypted is
decided by this policy alone, never by a packet's E bit.
"""

from __future__ import annotations

from enum import Enum
from typing import cast

from pylibsrtp import ERRORS, Error, Policy, Session

from mikey_sakke.srtp import SrtpKeys

REPLAY_WINDOW = 128
MAX_PACKET = 1280
"""Largest datagram that is protected or opened; G.711 of 100 ms has 826 octets with everything."""

MIN_SRTP = 12 + 10
"""RTP header and authentication tag."""

MIN_SRTCP = 8 + 4 + 10
"""RTCP header with SSRC, E bit and index, authentication tag; shorter ones are never opened."""

_REPLAY_FAIL, _REPLAY_OLD = 9, 10
"""srtp_err_status_replay_fail and srtp_err_status_replay_old of libsrtp's srtp.h."""


class Refusal(Enum):
    """Why a packet was not opened."""

    REPLAYED = "replayed"
    AUTH_FAILED = "auth-failed"


class SrtpError(Exception):
    """A packet was refused; ``refusal`` says why. It changed no state."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(f"SRTP refused a packet: {refusal.value}")
        self.refusal = refusal


def _refusal(error: Error) -> Refusal:
    # pylibsrtp gives libsrtp's status as the entry of that number in its ERRORS; looking the entry
    # up gives the number back, whatever the wording.
    text = error.args[0] if error.args else None
    status = ERRORS.index(text) if text in ERRORS else None
    return Refusal.REPLAYED if status in (_REPLAY_FAIL, _REPLAY_OLD) else Refusal.AUTH_FAILED


def _session(keys: SrtpKeys, ssrc_type: int, ssrc: int) -> Session:
    policy = Policy(
        key=keys.reveal(),
        ssrc_type=ssrc_type,
        ssrc_value=ssrc,
        srtp_profile=Policy.SRTP_PROFILE_AES128_CM_SHA1_80,
    )
    policy.window_size = REPLAY_WINDOW
    session = Session(policy)
    # libsrtp has derived its session keys; the master key in the policy's memory is needed no more.
    # `Policy.key` gives a window on that memory, whatever its annotation says.
    memory = cast(memoryview, policy.key)
    memory[:] = bytes(len(memory))
    return session


class SrtpSender:
    """Protects one stream of our own; libsrtp keeps its roll-over counter.

    Never give it two RTP packets with one sequence number: libsrtp refuses the second.
    """

    __slots__ = ("_session", "protect", "protect_rtcp")

    def __init__(self, keys: SrtpKeys, ssrc: int) -> None:
        self._session = _session(keys, Policy.SSRC_SPECIFIC, ssrc)
        self.protect = self._session.protect
        """Takes an RTP packet, gives the SRTP packet, 10 octets longer."""
        self.protect_rtcp = self._session.protect_rtcp
        """Takes a compound RTCP packet, gives the SRTCP packet, 14 octets longer."""


class SrtpReceiver:
    """Opens what comes under one master key, whatever SSRC it has.

    libsrtp keeps a context for each SSRC, made when its first packet proved authentic. The number
    of SSRCs is bounded by the caller, see `cig_relay.media.leg`.
    """

    __slots__ = ("_session",)

    def __init__(self, keys: SrtpKeys) -> None:
        self._session = _session(keys, Policy.SSRC_ANY_INBOUND, 0)

    def unprotect(self, data: bytes) -> bytes:
        """Give the RTP packet; raises SrtpError. ``data`` has 22 to 1280 octets."""
        try:
            return self._session.unprotect(data)
        except Error as error:
            raise SrtpError(_refusal(error)) from error

    def unprotect_rtcp(self, data: bytes) -> bytes:
        """Give the RTCP packet; raises SrtpError. ``data`` has 22 to 1280 octets."""
        try:
            return self._session.unprotect_rtcp(data)
        except Error as error:
            raise SrtpError(_refusal(error)) from error
