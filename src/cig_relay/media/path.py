# SPDX-License-Identifier: GPL-3.0-or-later
"""One direction of a call: clear RTP of one leg in, our own clear RTP for the other leg out."""

from __future__ import annotations

from cig_relay.media.codec import Codec, transcoding_table
from cig_relay.media.leg import Leg
from cig_relay.media.reception import STRAY, Source
from cig_relay.media.rtp import (
    COMFORT_NOISE,
    HEADER,
    HEADER_LENGTH,
    VERSION_BITS,
    RtpError,
    payload_bounds,
)
from cig_relay.media.stream import MARKER
from cig_relay.media.telephone_event import HIGHEST_DTMF, LENGTH

_NONE = -1


class Path:
    """Forwards what comes on the leg ``source`` to the leg ``target``.

    `open` is set by the bridge: whether the session's state lets packets through at the moment.
    While it is false they are counted and lead to no gap in the numbers.
    """

    __slots__ = (
        "_receive_audio",
        "_receive_event",
        "_send_audio",
        "_send_event",
        "_table",
        "open",
        "source",
        "target",
    )

    def __init__(self, source: Leg, target: Leg) -> None:
        self.source = source
        self.target = target
        self.open = False
        self._table: bytes | None = None
        self._receive_audio = _NONE
        self._receive_event = _NONE
        self._send_audio = _NONE
        self._send_event = _NONE

    def receive(self, codec: Codec, event: int | None) -> None:
        """Set the codec and the telephone event payload type that the source leg was told of."""
        self._receive_audio = codec.payload_type
        self._receive_event = _NONE if event is None else event
        self._join()

    def send(self, codec: Codec, event: int | None) -> None:
        """Set the codec and the telephone event payload type that the target leg wants."""
        self._send_audio = codec.payload_type
        self._send_event = _NONE if event is None else event
        self._join()

    def _join(self) -> None:
        source, target = self.source.codec, self.target.codec
        self._table = transcoding_table(source, target) if source and target else None

    def negotiated(self, payload_type: int) -> bool:
        """Whether the source leg may send this payload type."""
        return payload_type in (self._receive_audio, self._receive_event)

    def forward(self, data: bytes, now: float) -> bytes | None:
        """Take an RTP packet of at least 12 octets and version 2, from the right source.

        Gives the packet for the target leg, or None when nothing is to be sent; why not is
        counted.
        """
        first, second, sequence, timestamp, ssrc = HEADER.unpack_from(data)
        leg = self.source
        payload = data[HEADER_LENGTH:] if first == VERSION_BITS else self._payload(data)
        if payload is None:
            return None
        payload_type = second & 0x7F
        audio = payload_type == self._receive_audio
        source = leg.source
        if source is None or source.ssrc != ssrc:
            if not audio and payload_type != self._receive_event:
                self._drop(payload_type)
                return None
            source = self._take_over(ssrc, sequence)
        extended = source.receive(sequence)
        if extended < 0:
            if extended == STRAY:
                leg.drops["stray"] += 1
                return None
            source = self._take_over(ssrc, sequence)
            extended = source.receive(sequence)
        leg.packets_received += 1
        leg.octets_received += len(payload)
        if audio:
            source.measure(timestamp, now)
            leg.heard = True
            if self.open and payload:
                if self._table is not None:
                    payload = payload.translate(self._table)
                second = second & MARKER | self._send_audio
                packet = self.target.output.audio(extended, timestamp, second, payload, now)
                if packet is None:
                    leg.drops["late_or_duplicate"] += 1
                return packet
            leg.drops["closed" if payload else "empty"] += 1
        elif payload_type == self._receive_event:
            leg.heard = True
            return self._event(extended, timestamp, second, payload, now)
        else:
            self._drop(payload_type)
        self.target.output.skip(extended)
        return None

    def _payload(self, data: bytes) -> bytes | None:
        try:
            start, end = payload_bounds(data)
        except RtpError:
            self.source.rejected += 1
            return None
        return data[start:end]

    def _take_over(self, ssrc: int, sequence: int) -> Source:
        self.target.output.restart()
        return self.source.switch_source(ssrc, sequence)

    def _event(
        self, extended: int, timestamp: int, second: int, payload: bytes, now: float
    ) -> bytes | None:
        drops = self.source.drops
        output = self.target.output
        if len(payload) < LENGTH or payload[0] > HIGHEST_DTMF:
            drops["event_unknown"] += 1
        elif self._send_event == _NONE:
            drops["event_unwanted"] += 1
        elif not self.open:
            drops["closed"] += 1
        else:
            second = second & MARKER | self._send_event
            packet = output.event(extended, timestamp, second, payload[:LENGTH], now)
            if packet is None:
                drops["late_or_duplicate"] += 1
            return packet
        output.skip(extended)
        return None

    def _drop(self, payload_type: int) -> None:
        reason = "comfort_noise" if payload_type == COMFORT_NOISE else "payload_type"
        self.source.drops[reason] += 1
