# SPDX-License-Identifier: GPL-3.0-or-later
"""What the gateway itself writes to a sender: that a text of theirs did not arrive, or not whole.

A notice is an automatic reply (RFC 3834), so that nobody's machine answers it. It says of which
text it speaks by its time and its recipient, and holds nothing of what the text said.
"""

from __future__ import annotations

from datetime import UTC, datetime

from cig_common.texts.content import AutoSubmitted, Held, TextContent

_REASON_LENGTH = 100
_WORDS = {
    "no-mailbox": "nobody takes messages for that address",
    "crypto": "its encryption was not accepted",
    "too-large": "it is too large",
}
"""What the words in receipts that this project makes mean to a person."""


def refusal_notice(*, sent_at: datetime, to_uri: str, reason: str, now: datetime) -> TextContent:
    """Return the notice that a text to ``to_uri``, dated ``sent_at`` (aware), was refused.

    ``reason`` is what the receipt, the CRS or the SIP side says, and may be empty: a stranger's
    words, so at most 100 printable characters of it are told.
    """
    why = _WORDS.get(reason) or _printable(reason)
    return _notice(
        f"Your message of {_moment(sent_at)} to {_printable(to_uri)} was not delivered"
        + (f": {why}." if why else "."),
        now,
    )


def attachments_notice(count: int, *, to_uri: str, now: datetime) -> TextContent:
    """Return the notice that ``count`` attachments (at least 1) of a text to ``to_uri`` were left.

    The text itself was passed on.
    """
    what = "1 attachment" if count == 1 else f"{count} attachments"
    were = "was" if count == 1 else "were"
    return _notice(
        f"{what} of your message to {_printable(to_uri)} {were} not delivered: "
        "only plain text can be sent there.",
        now,
    )


def _notice(text: str, now: datetime) -> TextContent:
    return TextContent(
        date=now, text=Held(text.encode()), auto_submitted=AutoSubmitted.AUTO_REPLIED
    )


def _moment(when: datetime) -> str:
    """Write a time as the manual's Date header has it, in English whatever the locale."""
    utc = when.astimezone(UTC)
    months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
    return f"{utc.day:02} {months[utc.month - 1]} {utc.year:04} {utc:%H:%M:%S} +0000"


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text[:_REASON_LENGTH]).strip()
