# SPDX-License-Identifier: GPL-3.0-or-later
"""A socket that speaks the messages of the keys socket, and answers as a test wants.

For what a real cig-relay does not do when asked to; what it does is tested against a real one.
"""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from cig_common.control.codec import ControlDecoder, Envelope
from cig_common.control.keys import (
    KEYS,
    InspectKeysRequest,
    InstallKeysRequest,
    KeysInstalled,
    KeysPreview,
    PeriodAction,
    PeriodPreview,
)
from cig_common.control.record import Record

PERIODS = (
    PeriodPreview("2026-10-1", "kms", 1_790_640_000.0, 1_793_664_000.0, PeriodAction.EXPIRED, ""),
    PeriodPreview("2026-11-1", "kms", 1_793_232_000.0, 1_796_256_000.0, PeriodAction.HELD, ""),
    PeriodPreview("2026-12-2", "kms", 1_795_910_400.0, 1_798_934_400.0,
                  PeriodAction.REPLACE, "2026-12-1"),
    PeriodPreview("2027-01-1", "kms", 1_798_588_800.0, 1_801_612_800.0, PeriodAction.ADD, ""),
    PeriodPreview("2027-01-0", "kms", 1_798_588_800.0, 1_801_612_801.5, PeriodAction.OLDER, ""),
)  # fmt: skip
PREVIEW = KeysPreview(
    token=b"token",
    public_id="tel:+8888",
    domain="secure.example.com",
    crs=("crs1.example.com:5223", "crs2.example.com:5223"),
    anchor="the certificate with SHA-256 00",
    periods=PERIODS,
    changes=("CRS addresses: a (they were b)",),
    replaces="",
)
OTHER = replace(PREVIEW, replaces="tel:+4711 (security domain d)")
DONE = KeysInstalled("/ud/.ks.tel:8888", ("2026-11-1", "2026-12-2"), ("A note.",))

Answers = Callable[[Record], Record | bytes | None]
"""Gives what to answer: a message, some octets, or None to close the connection."""


def agreeing(request: Record) -> Record | None:
    match request:
        case InspectKeysRequest():
            return PREVIEW
        case InstallKeysRequest(b"token", _):
            return DONE
    return None


@contextmanager
def listening(path: Path, answers: Answers = agreeing) -> Iterator[list[Record]]:
    """Serve in a thread; gives the list that gets all requests."""
    asked: list[Record] = []
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    _converse(connection, answers, asked)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield asked
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(10)
            path.unlink()


def _converse(connection: socket.socket, answers: Answers, asked: list[Record]) -> None:
    decoder = ControlDecoder(KEYS)
    while octets := connection.recv(65536):
        for envelope in decoder.feed(octets):
            asked.append(envelope.message)
            answer = answers(envelope.message)
            if answer is None:
                return
            if not isinstance(answer, bytes):
                answer = Envelope(envelope.number, answer).encode()
            connection.sendall(answer)
