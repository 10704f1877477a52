# SPDX-License-Identifier: GPL-3.0-or-later
"""Drives a stream in real time: a frame every 20 ms, at moments that do not drift."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from cig_lab.signals import Samples
from cig_lab.voice.stream import FRAME_SECONDS, VoiceStream


class Ticker:
    """Sends a stream's packets through ``send`` until `stop`; lets callers await what is queued."""

    def __init__(self, stream: VoiceStream, send: Callable[[bytes], None]) -> None:
        self._stream = stream
        self._send = send
        self._loop = asyncio.get_running_loop()
        self._next = self._loop.time()
        self._waiters: list[asyncio.Future[None]] = []
        self._handle: asyncio.Handle | None = self._loop.call_soon(self._tick)

    def _tick(self) -> None:
        # A late wake-up sends what is due at once: the listener's buffer is there for that.
        while self._next <= self._loop.time():
            self._next += FRAME_SECONDS
            packet = self._stream.frame()
            if packet is not None:
                self._send(packet)
        if self._stream.idle:
            self._release()
        self._handle = self._loop.call_at(self._next, self._tick)

    def _release(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def play(self, samples: Samples) -> None:
        """Play to the end; returns early when the call ends."""
        self._stream.play(samples)
        await self._drained()

    async def send_digits(self, digits: str) -> None:
        """Send digits to the last pause; raises ValueError as `VoiceStream.send_digits` does."""
        self._stream.send_digits(digits)
        await self._drained()

    async def _drained(self) -> None:
        if self._handle is None:
            return
        waiter = self._loop.create_future()
        self._waiters.append(waiter)
        await waiter

    def stop(self) -> None:
        """Send nothing more and release whoever waits; a second call changes nothing."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        self._release()
