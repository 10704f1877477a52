# SPDX-License-Identifier: GPL-3.0-or-later
"""What a phone of the lab says to whoever reaches it: a little tune, then his own voice again."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

from cig_lab import signals
from cig_lab.signals import Samples
from cig_lab.voice.stream import VoiceStream

TUNE_SECONDS = 2.0


class _Media(Protocol):
    @property
    def stream(self) -> VoiceStream | None: ...


class Talker(Protocol):
    """A call of either phone."""

    @property
    def ended(self) -> asyncio.Future[Any]:
        """Done when the call is over."""

    @property
    def media(self) -> _Media:
        """Has the call's stream."""

    async def play(self, samples: Samples) -> None:
        """Play to the end."""


async def then_echo(call: Talker) -> None:
    """Play the tune, then send back what is heard, until the call ends."""
    await call.play(signals.make("rise", TUNE_SECONDS))
    if call.media.stream is not None:
        call.media.stream.on_audio = call.media.stream.play
    await asyncio.wait((call.ended,))
