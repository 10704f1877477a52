# SPDX-License-Identifier: GPL-3.0-or-later
"""The main program of a crypto engine: ``python -m cig_relay.engines.process PARENT``.

It takes requests from the socket that is its standard input, one after the other, and ends when
that is closed or when the process PARENT ends, even by SIGKILL. A request that fails ends itself,
not the engine.

Before it says that it is there, and so before it is given a key, it tests itself, locks its memory
and shuts itself in (`cig_relay.engines.sandbox`). From then on it can write no file, no log and no
traceback: what ends it is told by its exit status alone.
"""

from __future__ import annotations

import signal
import socket
import sys
from contextlib import suppress

from cig_relay.engines.hardening import die_with_parent, lock_memory, protect_memory
from cig_relay.engines.operations import Operations
from cig_relay.engines.sandbox import CHANNEL, confine
from cig_relay.engines.self_test import self_test
from cig_relay.engines.wire import Started, decode, encode
from cig_relay.randomness.source import random_bytes
from umsg.framing import FrameDecoder

_RECEIVE_OCTETS = 65536
_ROOM = 256 << 20
"""Octets of address space that an engine may come to need besides what it has at start."""


def main() -> None:
    """Serve until the relay goes away."""
    die_with_parent(int(sys.argv[1]))
    protect_memory()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
        # These go to a whole group (a terminal, systemd): the relay decides when engines end.
        signal.signal(number, signal.SIG_IGN)
    operations = Operations(random_bytes)
    self_test(random_bytes)
    with socket.socket(fileno=CHANNEL) as channel, suppress(ConnectionError):
        started = Started(locked=lock_memory(_ROOM), filtered=confine())
        channel.sendall(encode(0, started))
        serve(channel, operations)


def serve(channel: socket.socket, operations: Operations) -> None:
    """Answer the requests that come on ``channel`` until its other end is closed."""
    frames = FrameDecoder()
    while octets := channel.recv(_RECEIVE_OCTETS):
        for payload in frames.feed(octets):
            number, request = decode(payload)
            channel.sendall(encode(number, operations.answer(request)))


if __name__ == "__main__":
    main()
