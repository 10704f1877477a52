# SPDX-License-Identifier: GPL-3.0-or-later
"""The `python` media engine: asyncio (or uvloop) sockets and timers around one `Bridge` a call.

It reads datagrams, hands them to the bridge, sends what comes out, and keeps one timer a call.
Whatever goes wrong with one packet or one timer is counted and logged, and ends nothing.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections import Counter
from collections.abc import Callable

from cig_common.clock import Clock, SystemClock
from cig_common.control.media import SipMedia, TelLeg
from cig_relay.media import codec as codecs
from cig_relay.media.bridge import DEAD_AFTER, Bridge, Channel, MediaLost, SipSession, TelBound
from cig_relay.media.engine import (
    CallExistsError,
    CallStatistics,
    MediaListener,
    MediaSettings,
    PortRange,
    SipAddress,
    UnknownCallError,
)
from cig_relay.media.leg import Sockaddr, check_reach, sockaddr
from cig_relay.media.ports import PortPool
from cig_relay.media.sockets import Endpoint, open_endpoint, reserve
from cig_relay.media.srtp import SrtpReceiver, SrtpSender
from mikey_sakke.srtp import SrtpKeys

_log = logging.getLogger("Media")

_AFTER_FAULT = 1.0
_LEG_COUNTERS = ("packets_received", "packets_sent", "rejected", "auth_failed", "replayed")


class _Call:
    """A bridge with its three sockets, its timer and its listener.

    ``settings`` are those of its beginning: a reload in mid-call changes nothing for it.
    ``tel_addr`` and ``sip_addr`` are the local addresses.
    """

    def __init__(
        self,
        name: str,
        bridge: Bridge,
        clock: Clock,
        listener: MediaListener,
        faults: Counter[str],
        settings: MediaSettings,
    ) -> None:
        self.name = name
        self.bridge = bridge
        self.settings = settings
        self.tel_addr = ""
        self.sip_addr = ""
        self.endpoints: list[Endpoint] = []
        self.release: list[tuple[PortPool, int]] = []
        self._monotonic = clock.monotonic
        self._listener = listener
        self._faults = faults
        self._timer: asyncio.TimerHandle | None = None

    def on_tel(self, data: bytes, source: Sockaddr) -> None:
        """Take a datagram from the tel socket."""
        bridge = self.bridge
        try:
            packet = bridge.tel_packet(data, source, self._monotonic())
            if packet is None:
                self.flush()
            elif bridge.sip.remote is not None:
                self.endpoints[1].send(packet, bridge.sip.remote)
        except Exception:
            self._fault("a packet from the tel side")

    def on_sip(self, data: bytes, source: Sockaddr) -> None:
        """Take a datagram from the RTP socket of the sip side."""
        bridge = self.bridge
        try:
            packet = bridge.sip_packet(data, source, self._monotonic())
            if packet is not None and bridge.tel.remote is not None:
                self.endpoints[0].send(packet, bridge.tel.remote)
        except Exception:
            self._fault("a packet from the sip side")

    def on_sip_report(self, data: bytes, source: Sockaddr) -> None:
        """Take a datagram from the RTCP socket of the sip side."""
        try:
            self.bridge.sip_report(data, source, self._monotonic())
        except Exception:
            self._fault("RTCP from the sip side")

    def flush(self) -> None:
        """Send what the bridge has ready and tell the listener what it has to hear."""
        for datagram in self.bridge.take_output():
            endpoint = self.endpoints[0 if datagram.channel is Channel.TEL else 2]
            endpoint.send(datagram.data, datagram.remote)
        for event in self.bridge.take_events():
            match event:
                case TelBound():
                    self.arm()
                    self._listener.tel_bound(self.name)
                case MediaLost(side, seconds):
                    self._listener.media_lost(self.name, side, seconds)

    def arm(self, not_before: float = 0.0) -> None:
        """Set the timer to the bridge's next deadline, ``not_before`` seconds from now at least."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        deadline = self.bridge.next_deadline()
        if deadline is not None:
            delay = max(not_before, deadline - self._monotonic())
            self._timer = asyncio.get_running_loop().call_later(delay, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        try:
            self.bridge.handle_timer(self._monotonic())
            self.flush()
        except Exception:
            self._fault("a timer")
            # What failed may fail again at once: it must not take the loop for itself.
            self.arm(not_before=_AFTER_FAULT)
        else:
            self.arm()

    def _fault(self, what: str) -> None:
        # The first of each kind is told in full; a stranger must not fill the log with the rest.
        self._faults[what] += 1
        if self._faults[what] == 1:
            _log.exception("%s of call %s failed; further ones are counted only", what, self.name)

    async def close(self) -> None:
        """Say BYE, stop the timer, close the sockets and let the ports rest.

        Nobody refers to the bridge from a socket or a timer afterwards, so libsrtp wipes the
        session keys as soon as the caller drops this object.
        """
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if len(self.endpoints) == 3:
            try:
                self.bridge.close(self._monotonic())
                self.flush()
            except Exception:
                self._fault("the goodbye")
        for endpoint in self.endpoints:
            await endpoint.close()
        for pool, port in self.release:
            pool.release(port)
        self.release.clear()


class PythonMediaEngine:
    """`cig_relay.media.engine.MediaEngine` in Python.

    ``clock`` gives monotonic time and UTC, ``random_bytes`` random octets; ``dead_after`` is the
    time without authentic media, seconds, after which a call counts as dead.
    """

    def __init__(
        self,
        settings: MediaSettings,
        *,
        clock: Clock | None = None,
        random_bytes: Callable[[int], bytes] = os.urandom,
        dead_after: float = DEAD_AFTER,
    ) -> None:
        self._clock = clock or SystemClock()
        self._random_bytes = random_bytes
        self._dead_after = dead_after
        self._settings = settings
        self._tel_pool = self._pool(settings.tel_ports, 1)
        self._sip_pool = self._pool(settings.sip_ports, 2)
        self._calls: dict[str, _Call] = {}
        self._opening: set[str] = set()
        self._ended: Counter[str] = Counter()
        self._faults: Counter[str] = Counter()

    def _pool(self, ports: PortRange, step: int) -> PortPool:
        return PortPool(ports, step, int.from_bytes(self._random_bytes(2), "big"))

    def configure(self, settings: MediaSettings) -> None:
        """Take new settings for new calls; open ones keep their ports, addresses and overrides."""
        old, self._settings = self._settings, settings
        if old.tel_ports != settings.tel_ports:
            self._tel_pool = self._pool(settings.tel_ports, 1)
        if old.sip_ports != settings.sip_ports:
            self._sip_pool = self._pool(settings.sip_ports, 2)

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

        Raises CallExistsError, or MediaError when no port is free or a local address is not this
        host's; the call does not exist then.
        """
        if call in self._calls or call in self._opening:
            raise CallExistsError(f"a call {call[:64]!r} is open already")
        now = self._clock.monotonic()
        bridge = Bridge(
            SrtpSender(tel_tx, tel_ssrc),
            SrtpReceiver(tel_rx),
            tel_ssrc=tel_ssrc,
            random_bytes=self._random_bytes,
            utc_offset=self._clock.utc() - now,
            now=now,
            dead_after=self._dead_after,
        )
        opened = _Call(call, bridge, self._clock, listener, self._faults, self._settings)
        self._opening.add(call)
        try:
            port = await self._open_sockets(opened, tel_local_addr, sip_local_addr)
        except BaseException:
            await opened.close()
            raise
        finally:
            self._opening.discard(call)
        self._calls[call] = opened
        return SipAddress(sip_local_addr, port)

    async def _open_sockets(self, call: _Call, tel_addr: str, sip_addr: str) -> int:
        tel_port, sockets = reserve(self._tel_pool, tel_addr, 1, "tel")
        call.tel_addr, call.sip_addr = tel_addr, sip_addr
        call.release.append((self._tel_pool, tel_port))
        try:
            sip_port, pair = reserve(self._sip_pool, sip_addr, 2, "sip")
            call.release.append((self._sip_pool, sip_port))
            sockets += pair
            for receiver in (call.on_tel, call.on_sip, call.on_sip_report):
                call.endpoints.append(await open_endpoint(sockets[0], receiver))
                sockets.pop(0)
        finally:
            for sock in sockets:
                sock.close()
        return sip_port

    def _get(self, call: str) -> _Call:
        found = self._calls.get(call)
        if found is None:
            raise UnknownCallError(f"no call {call[:64]!r} is open")
        return found

    async def set_tel_leg(self, call: str, leg: TelLeg) -> None:
        """Name the CRS's side of the tel leg; STUN starts at once.

        Raises UnknownCallError, or MediaError for an address that is none or of another family.
        """
        found = self._get(call)
        addr = found.settings.tel_override.get(leg.addr, leg.addr)
        remote = sockaddr(addr, leg.port)
        check_reach(remote, found.tel_addr, "tel")
        now = self._clock.monotonic()
        found.bridge.set_tel_leg(remote, leg.ufrag, leg.pwd, now)
        found.bridge.handle_timer(now)
        found.flush()
        found.arm()

    def set_tel_media(self, call: str, codec: str, dtmf: int | None) -> None:
        """Set the tel side's codec and the DTMF payload type that its peer wants to get.

        Starts, or starts anew, the watch for dead media. Raises UnknownCallError, CodecError.
        """
        found = self._get(call)
        found.bridge.set_tel_media(codecs.by_name(codec), dtmf, self._clock.monotonic())
        found.arm()

    def set_sip_media(self, call: str, media: SipMedia) -> None:
        """Set the PBX's side after an answer or re-INVITE.

        Raises UnknownCallError, CodecError, or MediaError for an address that is none or of
        another family than the call's own.
        """
        found = self._get(call)
        addr = found.settings.sip_override.get(media.addr, media.addr)
        remote = sockaddr(addr, media.port)
        check_reach(remote, found.sip_addr, "sip")
        session = SipSession(
            rtp=remote,
            rtcp=sockaddr(addr, media.rtcp_port) if media.rtcp_port else None,
            codec=codecs.by_name(media.codec),
            dtmf=media.dtmf,
            receive_dtmf=media.receive_dtmf,
            direction=media.direction,
        )
        found.bridge.set_sip_media(session, self._clock.monotonic())
        found.arm()

    def statistics(self, call: str) -> CallStatistics:
        """Give the call's counters as of now; raises UnknownCallError."""
        return self._get(call).bridge.statistics(self._clock.monotonic())

    async def close_call(self, call: str) -> CallStatistics:
        """Say BYE, close the sockets, let the ports rest, give the last counters.

        Raises UnknownCallError.
        """
        found = self._get(call)
        del self._calls[call]
        return await self._end(found)

    async def _end(self, call: _Call) -> CallStatistics:
        await call.close()
        self._ended.update(_counters(call))
        return call.bridge.statistics(self._clock.monotonic())

    async def close(self) -> None:
        """Close all calls."""
        calls = list(self._calls.values())
        self._calls.clear()
        await asyncio.gather(*(self._end(call) for call in calls))

    def calls(self) -> int:
        """How many calls are open."""
        return len(self._calls)

    def ports_free(self) -> int:
        """For how many more calls there are ports."""
        return min(len(self._tel_pool), len(self._sip_pool))

    def counters(self) -> dict[str, int]:
        """Counters over all calls since start, those that ended among them.

        Names are ``tel_`` or ``sip_`` and a field of `LegStatistics` or a reason why a valid
        packet was not forwarded; ``send_failed`` counts datagrams that the kernel refused and
        ``faults`` packets and timers that met an error of ours.
        """
        total = Counter(self._ended)
        for call in self._calls.values():
            total.update(_counters(call))
        total["faults"] = self._faults.total()
        return dict(total)


def _counters(call: _Call) -> dict[str, int]:
    legs = (call.bridge.tel, call.bridge.sip)
    counted = {
        f"{leg.side}_{name}": getattr(leg.statistics(), name)
        for leg in legs
        for name in _LEG_COUNTERS
    }
    counted.update(call.bridge.drops())
    counted["send_failed"] = sum(endpoint.send_failed for endpoint in call.endpoints)
    return counted
