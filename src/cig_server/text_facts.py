# SPDX-License-Identifier: GPL-3.0-or-later
"""What `status` and `show texts` say of text messages."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Protocol

from cig_common.errors import CigError
from cig_server.mgmt.view import Rows, Texts
from cig_server.texts.model import QueueFacts

NOT_SET_UP = "texts are not set up"
PATIENCE_SECONDS = 5.0
"""The folders may stand on a disk that does not answer."""

TO_CRS = "crs"
"""The kind of queue (see `QueueFacts`) whose texts are on their way to the CRS."""


class TextFacts(Protocol):
    """What knows of texts."""

    @property
    def trouble(self) -> str:
        """What keeps texts from being taken or handed on; empty where nothing does."""
        ...

    @property
    def counters(self) -> Mapping[str, int]:
        """What was counted since the start."""
        ...

    async def facts(self) -> Sequence[QueueFacts]:
        """Return the queues; raises CigError where one cannot be looked at."""
        ...


def trouble_of(service: TextFacts | None) -> str:
    """Return what keeps texts from passing; empty where nothing does."""
    return NOT_SET_UP if service is None else service.trouble


async def texts_of(service: TextFacts | None) -> Texts:
    """Return what `show texts` prints. Raises CigError, and TimeoutError after a few seconds."""
    if service is None:
        return Texts(problem=NOT_SET_UP)
    async with asyncio.timeout(PATIENCE_SECONDS):
        queues = tuple(await service.facts())
    in_transit = sum(queue.waiting for queue in queues if queue.kind == TO_CRS)
    return Texts(queues, in_transit, service.trouble, dict(service.counters))


async def text_rows(service: TextFacts | None) -> Rows:
    """Return the rows of `status`; it answers even where the queues cannot be looked at."""
    if service is None:
        return (("Texts", NOT_SET_UP),)
    try:
        texts = await texts_of(service)
        waiting = str(sum(queue.waiting for queue in texts.queues) - texts.in_transit)
        in_transit = str(texts.in_transit)
    except (CigError, TimeoutError) as error:
        waiting, in_transit = f"not known: {str(error) or 'no answer in time'}", "not known"
    counted = sorted(service.counters.items())
    return (
        ("Texts", service.trouble or "OK"),
        ("Texts waiting", waiting),
        ("Texts in transit", in_transit),
        *((f"Texts {name}", str(count)) for name, count in counted if count),
    )
