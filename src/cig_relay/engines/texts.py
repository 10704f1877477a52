# SPDX-License-Identifier: GPL-3.0-or-later
"""What the pool of crypto engines does for texts and their receipts."""

from __future__ import annotations

from cig_relay.engines.pool import EnginePool
from cig_relay.engines.wire import (
    BuildText,
    CheckSignature,
    OpenText,
    Ready,
    Sign,
    Signature,
    TextSecrets,
)


class TextEngines:
    """The operations of texts. All raise RefusedError, EngineError or OverloadError.

    A RefusedError's ``detail`` is a `mikey_sakke.errors.Reason`.
    """

    def __init__(self, pool: EnginePool) -> None:
        self._pool = pool

    async def open(self, message: bytes, *, now: float, accept_short: bool = False) -> TextSecrets:
        """Check a text's I_MESSAGE, signature and all, and open it with our keys of its month."""
        return await self._pool.ask(TextSecrets, OpenText(message, now, accept_short))

    async def build(
        self, *, responder: str, now: float, ssrc: int, csb_id: int, binding: bytes
    ) -> TextSecrets:
        """Make a text's I_MESSAGE of time ``now`` for the tel URI ``responder``."""
        request = BuildText(responder, now, ssrc, csb_id, binding)
        return await self._pool.ask(TextSecrets, request)

    async def sign_receipt(self, *, period: str, text: bytes) -> bytes:
        """Give the ECCSI signature (129 octets) over ``text`` with the SSK of ``period``."""
        return (await self._pool.ask(Signature, Sign(period, text))).sig

    async def check_receipt(self, *, signer: str, month: str, text: bytes, sig: bytes) -> None:
        """Check the signature of the bare tel URI ``signer``, made with its key of ``month``."""
        await self._pool.ask(Ready, CheckSignature(signer, month, text, sig))
