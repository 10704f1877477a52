# SPDX-License-Identifier: GPL-3.0-or-later
"""What the gateway writes to a sender by itself."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cig_common.texts.content import AutoSubmitted, TextContent
from cig_server.texts.notices import attachments_notice, refusal_notice

NOW = datetime(2026, 11, 26, 18, 0, tzinfo=UTC)
SENT = datetime(2026, 11, 26, 18, 15, 44, tzinfo=timezone(timedelta(hours=1)))
TO = "tel:+46701234567"


def said(content: TextContent) -> str:
    assert content.auto_submitted is AutoSubmitted.AUTO_REPLIED
    assert content.date == NOW
    assert not content.attachments
    return b"".join(content.text.chunks()).decode()


@pytest.mark.parametrize(
    ("reason", "end"),
    [
        ("", "."),
        ("no-mailbox", ": nobody takes messages for that address."),
        ("crypto", ": its encryption was not accepted."),
        ("busy\r\nhere", ": busy  here."),
    ],
)
def test_a_refusal(reason: str, end: str) -> None:
    notice = refusal_notice(sent_at=SENT, to_uri=TO, reason=reason, now=NOW)
    start = f"Your message of 26 Nov 2026 17:15:44 +0000 to {TO} was not delivered"
    assert said(notice) == start + end


@pytest.mark.parametrize(
    ("count", "start"),
    [(1, "1 attachment of your message"), (7, "7 attachments of your message")],
)
def test_attachments_that_were_left(count: int, start: str) -> None:
    assert said(attachments_notice(count, to_uri=TO, now=NOW)).startswith(start)


@given(st.text())
def test_no_reason_breaks_a_notice(reason: str) -> None:
    notice = refusal_notice(sent_at=SENT, to_uri=TO, reason=reason, now=NOW)
    assert said(notice).isprintable()
    assert len(said(notice)) < 250
