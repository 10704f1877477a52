# SPDX-License-Identifier: GPL-3.0-or-later
"""What a media engine offers to the rest of the relay, whatever it is built on.

An engine owns the media sockets of all calls. A call is named by the string that the server chose;
its tel leg is the one towards the CRS (SRTP), its sip leg the one towards the PBX (RTP). The two
legs are told about in any order, and again whenever something changed; the bridge forwards as soon
as it knows enough.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from cig_common.control.media import LegStatistics, SipMedia, TelLeg
from cig_common.errors import LocalError
from mikey_sakke.srtp import SrtpKeys

GATEWAY_DTMF = 101
"""The RFC 4733 payload type that the gateway announces to the tel side."""


class UnknownCallError(LocalError):
    """No call of that name is open in the engine."""

    log_code = "unknown-call"


class CallExistsError(LocalError):
    """A call of that name is open already."""

    log_code = "call-exists"


@dataclass(frozen=True, slots=True)
class SipAddress:
    """Where the sip leg receives RTP: IP address and even port; RTCP comes to ``port`` + 1."""

    addr: str
    port: int


@dataclass(frozen=True, slots=True)
class CallStatistics:
    """Counters of a call's two legs; ``seconds`` is the age of the call since ``open_call``."""

    seconds: float
    tel: LegStatistics
    sip: LegStatistics

    @property
    def legs(self) -> tuple[LegStatistics, LegStatistics]:
        """Both legs, the secure one first, as `StatisticsReply` wants them."""
        return (self.tel, self.sip)


@dataclass(frozen=True, slots=True)
class PortRange:
    """An ``rtp_port_range``: both ends belong to it, ``1 <= low <= high <= 65535``."""

    low: int
    high: int


@dataclass(frozen=True, slots=True)
class MediaSettings:
    """What cig.conf says about media.

    ``tel_override`` and ``sip_override`` are the ``rtp_remote_addr_override`` rules of the two
    interfaces: told address to the one to use instead, both as IP literals.
    """

    tel_ports: PortRange
    sip_ports: PortRange
    tel_override: Mapping[str, str] = field(default_factory=dict)
    sip_override: Mapping[str, str] = field(default_factory=dict)


class MediaListener(Protocol):
    """Who wants to hear of a call's media; called in the engine's event loop."""

    def tel_bound(self, call: str) -> None:
        """The CRS answered the first STUN binding of the call's present tel leg."""

    def media_lost(self, call: str, side: str, seconds: float) -> None:
        """Nothing authentic came on ``side`` (``tel``) for ``seconds``; told once."""


class MediaEngine(Protocol):
    """Joins tel legs and sip legs; one object for all calls."""

    def configure(self, settings: MediaSettings) -> None:
        """Take new settings for new calls; open ones keep their ports, addresses and overrides."""

    async def open_call(
        self,
        call: str,
        *,
        tel_tx: SrtpKeys,
        tel_rx: SrtpKeys,
        tel_ssrc: int,
        tel_local_addr: str,
        sip_local_addr: str,
        listener: MediaListener,
    ) -> SipAddress:
        """Reserve the ports of a call and give where the PBX shall send.

        ``tel_tx`` protects what goes to the CRS under the SSRC ``tel_ssrc``, ``tel_rx`` opens what
        comes from it. Raises CallExistsError, or MediaError when no port is free or a local
        address is not this host's.
        """

    async def set_tel_leg(self, call: str, leg: TelLeg) -> None:
        """Name the CRS's side of the tel leg; STUN starts at once. Raises UnknownCallError, or
        MediaError for an address that is none, or of another family than the call's own."""

    def set_tel_media(self, call: str, codec: str, dtmf: int | None) -> None:
        """Set the tel side's codec and the DTMF payload type that its peer wants to get.

        Starts, or starts anew, the watch for dead media. Raises UnknownCallError, CodecError.
        """

    def set_sip_media(self, call: str, media: SipMedia) -> None:
        """Set the PBX's side after an answer or re-INVITE. Raises UnknownCallError, CodecError,
        or MediaError for an address that is none, or of another family than the call's own."""

    def statistics(self, call: str) -> CallStatistics:
        """Give the call's counters as of now; raises UnknownCallError."""

    async def close_call(self, call: str) -> CallStatistics:
        """Say BYE, close the sockets, let the ports rest, give the last counters.

        Raises UnknownCallError.
        """

    async def close(self) -> None:
        """Close all calls."""

    def calls(self) -> int:
        """How many calls are open."""

    def ports_free(self) -> int:
        """For how many more calls there are ports."""

    def counters(self) -> dict[str, int]:
        """Counters over all calls since start, those that ended among them."""
