# SPDX-License-Identifier: GPL-3.0-or-later
"""A crypto engine whose random source fails: it says so and ends, and shows no key."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from threading import Thread

import cig_relay
from cig_material import document
from cig_relay.engines import process
from cig_relay.engines.operations import Operations
from cig_relay.engines.wire import Failed, Load, Ready, Sign, Signature, decode, encode
from cig_relay.randomness.rdrand import RdRand
from cig_relay.randomness.source import RandomSource
from umsg.framing import FrameDecoder
from unit.cig_relay.keys.lab import material

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(cig_relay.__file__).parents[1])}
SIGN = Sign("2026-11-1", b"text")


class Relay:
    """The relay's end of the socket pair."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._frames = FrameDecoder()

    def ask(self, request: object) -> object:
        self._channel.sendall(encode(1, request))  # type: ignore[arg-type]
        return self.receive()

    def receive(self) -> object:
        """The next message, None after the end."""
        while octets := self._channel.recv(65536):
            for payload in self._frames.feed(octets):
                return decode(payload)[1]
        return None


def test_an_engine_whose_source_fails_says_so_and_ends() -> None:
    now = 0.0
    ones = False
    sound = RandomSource(None)

    def fill(count: int) -> bytes:
        return b"\xff" * count if ones else sound.random_bytes(count)

    random = RandomSource(RdRand(fill), clock=lambda: now)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        operations = Operations(random.random_bytes)
        engine = Thread(target=process.serve, args=(theirs, operations))
        engine.start()
        relay = Relay(ours)
        assert relay.ask(Load(document.encode(material()))) == Ready()
        assert isinstance(relay.ask(SIGN), Signature)
        now, ones = 60.0, True
        answer = relay.ask(SIGN)
        assert isinstance(answer, Failed)
        assert answer.text.startswith("RdRand failed its health tests")
        engine.join(10)
        assert not engine.is_alive()


def test_an_engine_does_not_get_ready_where_rdrand_is_wanted_and_is_not_there() -> None:
    code = (
        "import sys\n"
        "sys.modules['cig_relay.randomness._rdrand'] = None\n"
        "import os\n"
        "sys.argv = ['process', str(os.getppid())]\n"
        "from cig_relay.engines.process import main\n"
        "main()\n"
    )
    ours, theirs = socket.socketpair()
    with ours, theirs:
        answer = subprocess.run(
            [sys.executable, "-c", code],
            env=ENVIRONMENT,
            stdin=theirs.fileno(),
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
    assert answer.returncode == 1
    assert answer.stderr.startswith("crypto engine: the extension module for RdRand is not compil")
