# SPDX-License-Identifier: GPL-3.0-or-later
"""Gives up what is too old, while there has been no connection to the CRS for long.

Of each mailbox the oldest message is looked at, until it is young enough. What is no message is put
aside meanwhile, since it could come before them. What cannot be put aside now holds up no other.
"""

from __future__ import annotations

from functools import partial

from cig_server.texts import outbox_store
from cig_server.texts.carrying import Carrying
from cig_server.texts.store import TextStore
from cig_server.texts.watch import ReadMailboxes

_AT_ONCE = 64


async def give_up_old(
    *,
    store: TextStore,
    mailboxes: ReadMailboxes,
    carrying: Carrying,
    before: float,
    hours: float,
) -> None:
    """Give up texts and messages that arrived ``before`` (seconds since 1970).

    ``hours`` is how long a text is tried. Raises StorageError where the outbox cannot be used.
    """
    reason = f"it could not be sent for {hours:g} hours: there is no connection to the CRS"
    mids = await store.run(lambda connection: outbox_store.older(connection, before, _AT_ONCE))
    for mid in mids:
        row = await store.run(partial(outbox_store.find, mid=mid))
        if row is not None and mid not in carrying.flights:
            await carrying.give_up(row, reason)
    done: set[str] = set()
    while (found := await mailboxes.next(carrying.claimed, leave=done)) is not None:
        candidate, path = found.candidate, found.mailbox.path
        if candidate is not None and candidate.since >= before:
            mailboxes.put_back(found)
            done.add(path)
        elif not await carrying.put_aside(found, reason):
            done.add(path)
