# SPDX-License-Identifier: GPL-3.0-or-later
"""The texts that one server has the relay seal or open: piece by piece, each with its own key.

The rules:

1. A text begins with `OpenTextRequest` or `SealTextRequest` and ends with the piece that is its
   last, with `CloseTextRequest`, with the connection, or when nothing came for `IDLE_SECONDS`.
2. There are at most `MOST` at once; one more is refused as overload, and may be tried again.
3. Pieces of one text are taken in the order of their requests. A fault ends the text.
4. The relay keeps no content: a piece that comes is answered by what it gives.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from cig_common.control.messages import Done
from cig_common.control.record import Record
from cig_common.control.texts import (
    CheckReceiptRequest,
    CloseTextRequest,
    OpenTextReply,
    OpenTextRequest,
    SealTextReply,
    SealTextRequest,
    SignReceiptReply,
    SignReceiptRequest,
    TextDataReply,
    TextDataRequest,
)
from cig_common.errors import ControlError, OverloadError
from cig_relay.control.text_crypto import TextCrypto
from cig_relay.engines.errors import RefusedError
from umsg.sealing import SealError, TextOpener, TextSealer
from umsg.texts import MAX_PART

MOST = 64
IDLE_SECONDS = 60.0
MAX_NAME = 128


@dataclass(slots=True)
class _Text:
    """``work`` is None until the I_MESSAGE is done."""

    touched: float
    work: TextOpener | TextSealer | None = field(default=None, repr=False)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class TextSession:
    """The texts of one connection. ``domain`` gives the security domain of the keys in use.

    ``short`` is told of each text whose signature leaves out the SIGN header.
    """

    def __init__(
        self,
        crypto: TextCrypto,
        *,
        domain: Callable[[], str],
        monotonic: Callable[[], float],
        short: Callable[[str], None],
    ) -> None:
        self._crypto = crypto
        self._domain = domain
        self._monotonic = monotonic
        self._short = short
        self._texts: dict[str, _Text] = {}

    async def open(self, request: OpenTextRequest) -> Record:
        """Check a text's I_MESSAGE and open its first piece."""
        text = self._begin(request.text, request.data)
        async with text.lock:
            try:
                text.work, signer, short = await self._crypto.open(request)
                data = _piece(text.work, request.data, request.last)
            except BaseException:
                self._end(request.text, text)
                raise
        if short:
            self._short(signer)
        self._after(request.text, text, request.last)
        return OpenTextReply(signer, self._domain(), data)

    async def seal(self, request: SealTextRequest) -> Record:
        """Make a text's I_MESSAGE and seal its first piece."""
        text = self._begin(request.text, request.data)
        async with text.lock:
            try:
                text.work, mikey = await self._crypto.seal(request)
                data = _piece(text.work, request.data, request.last)
            except BaseException:
                self._end(request.text, text)
                raise
        self._after(request.text, text, request.last)
        return SealTextReply(mikey, data)

    async def data(self, request: TextDataRequest) -> Record:
        """Seal or open the next piece."""
        text = self._texts.get(request.text)
        if text is None:
            raise _unknown(request.text)
        async with text.lock:
            if self._texts.get(request.text) is not text or text.work is None:
                raise _unknown(request.text)
            try:
                data = _piece(text.work, _bounded(request.data), request.last)
            except BaseException:
                self._end(request.text, text)
                raise
        self._after(request.text, text, request.last)
        return TextDataReply(data)

    async def close_text(self, request: CloseTextRequest) -> Record:
        """Forget a text."""
        self._texts.pop(request.text, None)
        return Done()

    async def sign_receipt(self, request: SignReceiptRequest) -> Record:
        """Sign a receipt."""
        return SignReceiptReply(*await self._crypto.sign_receipt(request))

    async def check_receipt(self, request: CheckReceiptRequest) -> Record:
        """Check a receipt's signature."""
        await self._crypto.check_receipt(request)
        return Done()

    def close(self) -> None:
        """Forget all texts."""
        self._texts.clear()

    def __len__(self) -> int:
        """How many texts there are."""
        return len(self._texts)

    # --- the inside -----------------------------------------------------------------------------

    def _begin(self, name: str, data: bytes) -> _Text:
        _bounded(data)
        now = self._monotonic()
        for old in [n for n, t in self._texts.items() if now - t.touched > IDLE_SECONDS]:
            del self._texts[old]
        if not 1 <= len(name) <= MAX_NAME or name in self._texts:
            raise ControlError(
                f"text name {name[:MAX_NAME]!r} is in use already or has a wrong length"
            )
        if len(self._texts) >= MOST:
            raise OverloadError(f"{MOST} texts are being sealed or opened already")
        text = self._texts[name] = _Text(now)
        return text

    def _after(self, name: str, text: _Text, last: bool) -> None:
        text.touched = self._monotonic()
        if last:
            self._end(name, text)

    def _end(self, name: str, text: _Text) -> None:
        if self._texts.get(name) is text:
            del self._texts[name]


def _bounded(data: bytes) -> bytes:
    if len(data) > MAX_PART:
        raise ControlError(f"a piece of {len(data)} octets is longer than {MAX_PART}")
    return data


def _piece(work: TextOpener | TextSealer, data: bytes, last: bool) -> bytes:
    done = work.update(data)
    if not last:
        return done
    if isinstance(work, TextSealer):
        return done + work.finish()
    try:
        work.finish()
    except SealError as error:
        raise RefusedError("content", str(error)) from None
    return done


def _unknown(name: str) -> ControlError:
    return ControlError(f"no text {name[:MAX_NAME]!r} is under way")
