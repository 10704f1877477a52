# SPDX-License-Identifier: GPL-3.0-or-later
"""What `status` and `show texts` say of text messages."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from cig_server import text_facts
from cig_server.mgmt.view import Texts
from cig_server.text_facts import NOT_SET_UP, text_rows, texts_of, trouble_of
from cig_server.texts.model import QueueFacts, StorageError

QUEUES = (
    QueueFacts("read", "/a", 5, 1.0, 2),
    QueueFacts("write", "/b", 1, None),
    QueueFacts("sip", "-", 4, None),
    QueueFacts("crs", "-", 3, 2.0),
)


@dataclass
class Service:
    trouble: str = ""
    counters: Counter[str] = field(default_factory=lambda: Counter(sent=2, refused=0))
    error: bool = False
    answers: bool = True

    async def facts(self) -> Sequence[QueueFacts]:
        if self.error:
            raise StorageError("/a", "Permission denied")
        if not self.answers:
            await asyncio.Event().wait()
        return QUEUES


async def test_all_is_well() -> None:
    assert trouble_of(Service()) == ""
    assert await texts_of(Service()) == Texts(QUEUES, 3, "", {"sent": 2, "refused": 0})
    assert await text_rows(Service()) == (
        ("Texts", "OK"),
        ("Texts waiting", "10"),
        ("Texts in transit", "3"),
        ("Texts sent", "2"),
    )


async def test_trouble() -> None:
    service = Service("the disk is full", error=True)
    assert trouble_of(service) == "the disk is full"
    with pytest.raises(StorageError):
        await texts_of(service)
    rows = dict(await text_rows(service))
    assert rows["Texts"] == "the disk is full"
    assert rows["Texts waiting"] == "not known: /a: Permission denied"


async def test_a_disk_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_facts, "PATIENCE_SECONDS", 0.01)
    rows = dict(await text_rows(Service(answers=False)))
    assert rows["Texts waiting"] == "not known: no answer in time"


async def test_nothing_is_set_up() -> None:
    assert trouble_of(None) == NOT_SET_UP
    assert await texts_of(None) == Texts(problem=NOT_SET_UP)
    assert await text_rows(None) == (("Texts", NOT_SET_UP),)
