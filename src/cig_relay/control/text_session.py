# SPDX-License-Identifier: GPL-3.0-or-later
"""The texts of one server's connection that are being sealed or opened; knows no socket.

The rules:

1. A text is named by the server. Its name is taken from the moment its first request is; a second
   one of the same name is refused. One that could not be begun leaves nothing behind.
2. Pieces come one after the other: one that comes before its text has begun is refused.
3. A text is forgotten with its last piece, with its first fault, when the server gives it up, when
   nothing was heard of it for a minute, and when the connection ends.
4. At most 64 at once, each of at most 16 MiB sealed: what a text costs here is a key and the state
   of its cipher.

What is sealed or opened is never looked at, kept or told.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from cig_common.control.messages import Done
from cig_common.control.record import Record
from cig_common.control.texts import (
    CheckReceiptRequest,
    CloseTextRequest,
    OpenTextReply,
    OpenTextRequest,
    SealTextReply,
    SealTextRequest,
    SignReceiptRequest,
    TextDataReply,
    TextDataRequest,
)
from cig_common.errors import ControlError, OverloadError
from cig_relay.control.text_crypto import TextCrypto
from cig_relay.engines.errors import RefusedError
from cig_relay.media.engine import UnknownCallError
from mikey_sakke.secret import Secret
from umsg.binding import text_associated_data
from umsg.sealing import SealError, TextOpener, TextSealer
from umsg.texts import MAX_PART, MAX_SEALED, TAG_OCTETS

_log = logging.getLogger("Control")

MAX_TEXTS = 64
IDLE_SECONDS = 60.0
"""A text of which nothing was heard for so long is given up."""
_MAX_NAME = 128


class UnknownTextError(UnknownCallError):
    """No text of that name is being sealed or opened (any more)."""

    log_code = "unknown-text"


@dataclass(slots=True, eq=False)
class _Text:
    """One text. ``cipher`` is None until it has begun; ``room`` is what may yet come."""

    name: str
    cipher: TextSealer | TextOpener | None = field(default=None, repr=False)
    room: int = 0
    idle: asyncio.TimerHandle | None = None


class TextSession:
    """Carries out the requests about texts of one connection.

    ``handlers`` has what carries out each kind of request, as `Session` wants it.
    """

    def __init__(
        self, crypto: TextCrypto, counters: Counter[str], *, idle_seconds: float = IDLE_SECONDS
    ) -> None:
        self._crypto = crypto
        self._counters = counters
        self._idle_seconds = idle_seconds
        self._texts: dict[str, _Text] = {}
        self.handlers: dict[type[Record], Callable[[Any], Awaitable[Record]]] = {
            OpenTextRequest: self._open,
            SealTextRequest: self._seal,
            TextDataRequest: self._data,
            CloseTextRequest: self._close,
            SignReceiptRequest: self._sign_receipt,
            CheckReceiptRequest: self._check_receipt,
        }

    def __len__(self) -> int:
        return len(self._texts)

    def close(self) -> None:
        """Forget all texts, at once."""
        for text in tuple(self._texts.values()):
            self._forget(text)

    # --- requests -------------------------------------------------------------------------------

    async def _open(self, request: OpenTextRequest) -> Record:
        text = self._reserve(request.text)
        try:
            opened = await self._crypto.open(request)
            self._begin(text, opened.key, request, TextOpener, MAX_SEALED)
            reply = OpenTextReply(
                opened.signer, opened.domain, self._feed(text, request.data, last=request.last)
            )
        except BaseException:
            self._forget(text)
            raise
        if opened.short:
            self._counters["signatures_short"] += 1
            _log.warning(
                "text %s: the signature of %s leaves out the SIGN header and was taken, as "
                "--accept-short-signatures says",
                request.mid,
                opened.signer,
            )
        return reply

    async def _seal(self, request: SealTextRequest) -> Record:
        text = self._reserve(request.text)
        try:
            key, mikey = await self._crypto.seal(request)
            self._begin(text, key, request, TextSealer, MAX_SEALED - TAG_OCTETS)
            return SealTextReply(mikey, self._feed(text, request.data, last=request.last))
        except BaseException:
            self._forget(text)
            raise

    async def _data(self, request: TextDataRequest) -> Record:
        text = self._texts.get(request.text)
        if text is None:
            raise _unknown(request.text)
        if text.cipher is None:
            raise ControlError(f"text {text.name!r} has not begun yet")
        try:
            return TextDataReply(self._feed(text, request.data, last=request.last))
        except BaseException:
            self._forget(text)
            raise

    async def _close(self, request: CloseTextRequest) -> Record:
        text = self._texts.get(request.text)
        if text is not None:
            self._forget(text)
        return Done()

    async def _sign_receipt(self, request: SignReceiptRequest) -> Record:
        return await self._crypto.sign_receipt(request)

    async def _check_receipt(self, request: CheckReceiptRequest) -> Record:
        await self._crypto.check_receipt(request)
        return Done()

    # --- the inside -----------------------------------------------------------------------------

    def _reserve(self, name: str) -> _Text:
        if not 1 <= len(name) <= _MAX_NAME or name in self._texts:
            raise ControlError(
                f"text name {name[:_MAX_NAME]!r} is in use already or has a wrong length"
            )
        if len(self._texts) >= MAX_TEXTS:
            raise OverloadError(f"{MAX_TEXTS} texts are being sealed and opened already")
        text = self._texts[name] = _Text(name)
        return text

    def _begin(
        self,
        text: _Text,
        key: Secret,
        request: OpenTextRequest | SealTextRequest,
        cipher: type[TextSealer | TextOpener],
        room: int,
    ) -> None:
        try:
            # It may have been given up, or the connection have ended, while an engine was busy.
            if self._texts.get(text.name) is not text:
                raise _unknown(text.name)
            data = text_associated_data(
                mid=request.mid, from_uri=request.from_uri, to_uri=request.to_uri
            )
            text.cipher, text.room = cipher(key.reveal(), data), room
        finally:
            key.wipe()

    def _feed(self, text: _Text, data: bytes, *, last: bool) -> bytes:
        cipher = text.cipher
        if cipher is None or len(data) > MAX_PART or len(data) > text.room:
            raise ControlError(f"a piece of text {text.name!r} is larger than it may be")
        text.room -= len(data)
        done = cipher.update(data)
        if not last:
            self._wait_for_more(text)
            return done
        if isinstance(cipher, TextSealer):
            done += cipher.finish()
            self._counters["texts_sealed"] += 1
        else:
            try:
                cipher.finish()
            except SealError as error:
                raise RefusedError("content", str(error)) from None
            self._counters["texts_opened"] += 1
        self._forget(text)
        return done

    def _wait_for_more(self, text: _Text) -> None:
        if text.idle is not None:
            text.idle.cancel()
        loop = asyncio.get_running_loop()
        text.idle = loop.call_later(self._idle_seconds, self._give_up, text)

    def _give_up(self, text: _Text) -> None:
        _log.warning("text %s of the server was left idle and is given up", text.name)
        self._counters["texts_idle"] += 1
        self._forget(text)

    def _forget(self, text: _Text) -> None:
        # The library overwrites a cipher's key and state when it is let go.
        if self._texts.get(text.name) is text:
            del self._texts[text.name]
        if text.idle is not None:
            text.idle.cancel()
            text.idle = None
        text.cipher = None


def _unknown(name: str) -> UnknownTextError:
    return UnknownTextError(f"no text {name[:_MAX_NAME]!r} is being sealed or opened")
