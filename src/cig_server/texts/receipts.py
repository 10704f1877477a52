# SPDX-License-Identifier: GPL-3.0-or-later
"""Receipts for texts that came: signed by cig-relay, kept in the journal, sent to the CRS.

The rules:

1. What is said in a receipt is in the journal before: the caller has it from there, or has just
   put it there.
2. A receipt is signed once. The signature is in the journal before the receipt leaves, so one that
   is sent again, after a restart too, is the same octets.
3. A receipt that cannot leave is let go: the CRS sends its text again after the next ``welcome``,
   and that is answered from the journal.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections import Counter
from typing import Protocol

from cig_server.texts.model import Outcome, TextKey
from umsg.messages import Receipt, ReceiptStatus

_REASON_LENGTH = 200


class ReceiptSigner(Protocol):
    """cig-relay, as far as receipts go (`texts.crypto.TextCrypto`)."""

    async def sign_receipt(
        self, mid: str, status: ReceiptStatus, content_digest: bytes
    ) -> tuple[str, bytes]:
        """Return the period and the signature (129 octets); raises CigError."""
        ...


class ReceiptJournal(Protocol):
    """Where signatures are kept (`texts.delivery.Deliverer`)."""

    async def keep_receipt(self, key: TextKey, period: str, sig: bytes) -> None:
        """Keep them with the text's row; on disk when it returns. Raises StorageError."""
        ...


class ReceiptLink(Protocol):
    """The way to the CRS (`uif.interface.UmsgInterface`)."""

    def send_receipt(self, receipt: Receipt) -> bool:
        """Send it; tells whether the way was open."""
        ...


class Receipts:
    """Signs and sends. ``slots`` are the crypto engines that texts may have at once."""

    def __init__(
        self,
        signer: ReceiptSigner,
        journal: ReceiptJournal,
        link: ReceiptLink,
        slots: asyncio.Semaphore,
        counters: Counter[str],
    ) -> None:
        self._signer = signer
        self._journal = journal
        self._link = link
        self._slots = slots
        self._counters = counters
        self._being_signed: set[TextKey] = set()

    async def send(self, key: TextKey, outcome: Outcome) -> None:
        """Send the receipt of a text that the journal has; sign it first where it is not.

        Returns too where the way to the CRS is not open. Raises the CigError of what was in the
        way of signing or keeping it.
        """
        if not outcome.sig:
            if key in self._being_signed:
                return
            self._being_signed.add(key)
            try:
                outcome = await self._sign(key, outcome)
            finally:
                self._being_signed.discard(key)
        sent = self._link.send_receipt(
            Receipt(
                mid=key.mid,
                status=outcome.status,
                period=outcome.period,
                sig=outcome.sig,
                reason=outcome.reason or None,
            )
        )
        self._counters["receipts-sent" if sent else "receipts-unsent"] += 1

    async def _sign(self, key: TextKey, outcome: Outcome) -> Outcome:
        async with self._slots:
            period, sig = await self._signer.sign_receipt(
                key.mid, outcome.status, outcome.content_digest
            )
        await self._journal.keep_receipt(key, period, sig)
        return dataclasses.replace(outcome, period=period, sig=sig)


def reason_word(text: str) -> str:
    """Return ``text`` as a receipt's reason may have it: printable, at most 200 characters."""
    return "".join(c if c.isprintable() else " " for c in text[:_REASON_LENGTH])
