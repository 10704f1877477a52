# SPDX-License-Identifier: GPL-3.0-or-later
"""Gives up what is too old, while there has been no connection to the CRS for long."""

from __future__ import annotations

from collections.abc import Container
from functools import partial

from cig_server.texts import outbox_store
from cig_server.texts.ending import Ending
from cig_server.texts.store import TextStore
from cig_server.texts.watch import Claimed, ReadMailboxes

_AT_ONCE = 64


async def give_up_old(
    *,
    store: TextStore,
    mailboxes: ReadMailboxes,
    ending: Ending,
    claimed: Claimed,
    busy: Container[str],
    before: float,
    hours: float,
) -> None:
    """Give up texts and messages that arrived ``before`` (seconds since 1970).

    ``busy`` are under way; ``hours`` is how long a text is tried. Raises StorageError.
    """
    reason = f"it could not be sent for {hours:g} hours: there is no connection to the CRS"
    mids = await store.run(lambda connection: outbox_store.older(connection, before, _AT_ONCE))
    for mid in mids:
        row = await store.run(partial(outbox_store.find, mid=mid))
        if row is not None and mid not in busy:
            await ending.given_up(row, reason)
    while (found := await mailboxes.next(claimed)) is not None:
        candidate = found.candidate
        if candidate is None or candidate.since >= before:
            mailboxes.put_back(found)
            return
        ending.count_failed()
        await ending.put_aside(found.mailbox.path, candidate.name, reason, candidate)
