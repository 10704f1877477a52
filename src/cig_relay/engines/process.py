# SPDX-License-Identifier: GPL-3.0-or-later
"""The main program of a crypto engine: ``python -m cig_relay.engines.process FD PARENT [OPTION]``.

It takes requests from the socket FD, one after the other, and ends when that is closed or when
the process PARENT ends, even by SIGKILL. A request that fails ends itself, not the engine. It has
no other input, writes no file and no log. ``--no-rdrand`` is for hosts without that instruction.

An engine whose random source fails answers so and ends: the one that takes its place tests its
source anew, and does not get ready where it is broken.
"""

from __future__ import annotations

import signal
import socket
import sys
from contextlib import suppress

from cig_common.control.record import Record
from cig_relay.engines.hardening import die_with_parent, protect_memory
from cig_relay.engines.operations import Operations
from cig_relay.engines.wire import Failed, Ready, Refused, decode, encode
from cig_relay.randomness.errors import EntropyError
from cig_relay.randomness.source import NO_RDRAND, RandomSource, open_source
from mikey_sakke.errors import MikeySakkeError
from umsg.framing import FrameDecoder

_RECEIVE_OCTETS = 65536


def main() -> None:
    """Serve until the relay goes away."""
    descriptor, parent = int(sys.argv[1]), int(sys.argv[2])
    die_with_parent(parent)
    protect_memory()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
        # These go to a whole group (a terminal, systemd): the relay decides when engines end.
        signal.signal(number, signal.SIG_IGN)
    try:
        random = open_source(rdrand=NO_RDRAND not in sys.argv[3:])
    except EntropyError as error:
        raise SystemExit(f"crypto engine: {error}") from None
    with socket.socket(fileno=descriptor) as channel, suppress(ConnectionError):
        serve(channel, random)


def serve(channel: socket.socket, random: RandomSource) -> None:
    """Answer the requests that come on ``channel`` until its other end is closed."""
    operations = Operations(random.random_bytes)
    frames = FrameDecoder()
    channel.sendall(encode(0, Ready()))
    while octets := channel.recv(_RECEIVE_OCTETS):
        for payload in frames.feed(octets):
            number, request = decode(payload)
            try:
                answer = _answer(operations, request)
            except EntropyError as error:
                channel.sendall(encode(number, Failed(str(error))))
                return
            channel.sendall(encode(number, answer))


def _answer(operations: Operations, request: Record) -> Record:
    try:
        return operations.run(request)
    except MikeySakkeError as error:
        return Refused(error.reason.value, str(error))
    except EntropyError:
        raise
    except Exception as error:
        # The exception's own text might quote what it stumbled over: a key.
        return Failed(type(error).__name__)


if __name__ == "__main__":
    main()
