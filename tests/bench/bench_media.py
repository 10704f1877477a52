# SPDX-License-Identifier: GPL-3.0-or-later
"""What one media packet costs: in the core, by the codec table, and through real sockets.

Run it as ``PYTHONPATH=src python tests/bench/bench_media.py``. The contenders of a table take
turns in short rounds, so that a noisy host spoils all of them alike; of each the smallest and the
median round are printed, and ratios are of medians of the same run. Packets are made before the
clock starts.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import random
import socket
import statistics
import time
from collections.abc import Callable

import uvloop
from pylibsrtp import Policy, Session

from cig_common.control.media import Direction, SipMedia, TelLeg
from cig_relay.media import codec
from cig_relay.media.bridge import Bridge, SipSession
from cig_relay.media.engine import MediaSettings, PortRange
from cig_relay.media.python_engine import PythonMediaEngine
from cig_relay.media.rtp import RtpPacket
from cig_relay.media.srtp import SrtpReceiver, SrtpSender
from cig_relay.media.stun import is_stun
from mikey_sakke.secret import Secret
from mikey_sakke.srtp import SrtpKeys

CRS, PBX = ("192.0.2.1", 146), ("198.51.100.2", 30000)
UFRAG, PWD = "leg", "0123456789abcdefghijklmn"
PER_ROUND = 1000
ROUNDS = 21


def _keys(seed: int) -> SrtpKeys:
    octets = random.Random(seed).randbytes(30)
    return SrtpKeys(Secret(octets[:16]), Secret(octets[16:]))


TX, RX = _keys(1), _keys(2)


def _rtp(payload_type: int, number: int) -> bytes:
    payload = bytes(range(96, 256))
    return RtpPacket(payload_type, number & 0xFFFF, number * 160, 0x77, payload).encode()


def _answer(request: bytes) -> bytes:
    from aioice import stun

    asked = stun.parse_message(request)
    answer = stun.Message(stun.Method.BINDING, stun.Class.RESPONSE, asked.transaction_id)
    answer.add_message_integrity(PWD.encode())
    return bytes(answer)


def _bridge(sip_codec: codec.Codec) -> Bridge:
    bridge = Bridge(
        SrtpSender(TX, 1),
        SrtpReceiver(RX),
        tel_ssrc=1,
        random_bytes=os.urandom,
        utc_offset=1.7e9,
        now=0.0,
    )
    bridge.set_tel_leg(CRS, UFRAG, PWD, 0.0)
    bridge.handle_timer(0.0)
    bridge.tel_packet(_answer(bridge.take_output()[0].data), CRS, 0.0)
    bridge.set_tel_media(codec.PCMA, 101, 0.0)
    session = SipSession(PBX, None, sip_codec, 101, 101, Direction.SENDRECV)
    bridge.set_sip_media(session, 0.0)
    return bridge


def _tel_to_sip(sip_codec: codec.Codec) -> Callable[[], None]:
    bridge = _bridge(sip_codec)
    sender = Session(Policy(key=RX.reveal(), ssrc_type=Policy.SSRC_ANY_OUTBOUND))
    wires = iter([sender.protect(_rtp(8, n)) for n in range(PER_ROUND * ROUNDS)])
    clock = iter(range(PER_ROUND * ROUNDS))

    def one() -> None:
        assert bridge.tel_packet(next(wires), CRS, 0.02 * next(clock)) is not None

    return one


def _sip_to_tel(sip_codec: codec.Codec) -> Callable[[], None]:
    bridge = _bridge(sip_codec)
    total = PER_ROUND * ROUNDS
    wires = iter([_rtp(sip_codec.payload_type, n) for n in range(total)])
    clock = iter(range(total))

    def one() -> None:
        assert bridge.sip_packet(next(wires), PBX, 0.02 * next(clock)) is not None

    return one


def _compare(title: str, contenders: dict[str, Callable[[], None]], per_round: int) -> None:
    rounds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(ROUNDS):
        for name, one in contenders.items():
            start = time.perf_counter()
            for _ in range(per_round):
                one()
            rounds[name].append((time.perf_counter() - start) / per_round * 1e6)
    print(title)
    base = statistics.median(next(iter(rounds.values())))
    for name, times in rounds.items():
        median = statistics.median(times)
        print(f"  {name:<34} min {min(times):7.3f}  median {median:7.3f}  x{median / base:.2f}")


def core() -> None:
    """Print the cost of a packet in the core, us."""
    _compare(
        "core, us a packet of 20 ms:",
        {
            "SRTP PCMA -> RTP PCMA": _tel_to_sip(codec.PCMA),
            "SRTP PCMA -> RTP PCMU": _tel_to_sip(codec.PCMU),
            "RTP PCMA -> SRTP PCMA": _sip_to_tel(codec.PCMA),
            "RTP PCMU -> SRTP PCMA": _sip_to_tel(codec.PCMU),
        },
        PER_ROUND,
    )


def transcoding() -> None:
    """Print the cost of 160 samples by the table and by the two conversions, us."""
    payload = bytes(range(96, 256))
    table = codec.transcoding_table(codec.PCMA, codec.PCMU)
    assert table is not None

    def by_table() -> None:
        payload.translate(table)

    def by_conversion() -> None:
        codec.PCMU.from_linear(codec.PCMA.to_linear(payload))

    assert payload.translate(table) == codec.PCMU.from_linear(codec.PCMA.to_linear(payload))
    _compare(
        "PCMA to PCMU, us for 160 samples:",
        {"table of 256 octets": by_table, "to linear PCM and back": by_conversion},
        20 * PER_ROUND,
    )


class _Listener:
    def __init__(self) -> None:
        self.bound = asyncio.Event()

    def tel_bound(self, call: str) -> None:
        self.bound.set()

    def media_lost(self, call: str, side: str, seconds: float) -> None:
        raise RuntimeError(f"{call}: nothing came for {seconds} s")


def _crs(ports: multiprocessing.connection.Connection, packets: int, pace: float) -> None:
    """Play CRS and PBX: answer STUN, send at the given pace, count what comes to the PBX."""
    crs = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    pbx = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for sock in (crs, pbx):
        sock.bind(("127.0.0.1", 0))
    pbx.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
    ports.send((crs.getsockname()[1], pbx.getsockname()[1]))
    request, gateway = crs.recvfrom(2048)
    assert is_stun(request[0])
    crs.sendto(_answer(request), gateway)
    sender = Session(Policy(key=RX.reveal(), ssrc_type=Policy.SSRC_ANY_OUTBOUND))
    wires = [sender.protect(_rtp(8, n)) for n in range(packets)]
    ports.recv()
    start = time.perf_counter()
    for number, wire in enumerate(wires):
        due = start + number * pace
        while (rest := due - time.perf_counter()) > 0:
            time.sleep(rest)
        crs.sendto(wire, gateway)
    ports.send("sent")
    ports.recv()


async def _relay(packets: int, pace: float) -> float:
    """Give the CPU time of this process a forwarded packet, us."""
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_crs, args=(there, packets, pace))
    process.start()
    loop = asyncio.get_running_loop()
    crs_port, pbx_port = await loop.run_in_executor(None, here.recv)
    listener = _Listener()
    settings = MediaSettings(PortRange(20000, 20100), PortRange(20200, 20300))
    engine = PythonMediaEngine(settings)
    await engine.open_call(
        "bench",
        tel_tx=TX,
        tel_rx=RX,
        tel_ssrc=1,
        tel_local_addr="127.0.0.1",
        sip_local_addr="127.0.0.1",
        listener=listener,
    )
    await engine.set_tel_leg("bench", TelLeg("127.0.0.1", crs_port, UFRAG, PWD))
    await listener.bound.wait()
    engine.set_tel_media("bench", "PCMA/8000", 101)
    media = SipMedia("127.0.0.1", pbx_port, 0, "PCMU/8000", 101, 101, Direction.SENDRECV)
    engine.set_sip_media("bench", media)
    before = time.process_time()
    here.send("go")
    await loop.run_in_executor(None, here.recv)
    cpu = time.process_time() - before
    here.send("done")
    forwarded = (await engine.close_call("bench")).sip.packets_sent
    process.join()
    return cpu / max(forwarded, 1) * 1e6


def sockets(packets: int) -> None:
    """Print the cost of a packet through real sockets, CPU us of the relay's process."""
    pace = 1 / 15_000
    print(f"SRTP PCMA -> RTP PCMU through sockets, CPU us a packet at {1 / pace:.0f} a second:")
    rounds: dict[str, list[float]] = {"uvloop": [], "asyncio": []}
    for _ in range(3):
        for name, factory in (("uvloop", uvloop.new_event_loop), ("asyncio", None)):
            with asyncio.Runner(loop_factory=factory) as runner:
                rounds[name].append(runner.run(_relay(packets, pace)))
    for name, costs in rounds.items():
        print(f"  {name:<34} min {min(costs):7.2f}  median {statistics.median(costs):7.2f}")


def main() -> None:
    """Run the benchmarks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--packets", type=int, default=15_000, help="packets of a socket round")
    parser.add_argument("--core-only", action="store_true", help="leave the sockets out")
    options = parser.parse_args()
    core()
    transcoding()
    if not options.core_only:
        sockets(options.packets)


if __name__ == "__main__":
    main()
