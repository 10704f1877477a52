# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with the content of a text."""

from __future__ import annotations

WORDS = frozenset({"header", "cut-off", "boundary", "type", "charset", "encoding", "attachments"})
"""The words of all faults."""


class ContentError(ValueError):
    """A content that cannot be read, whoever tries and however often.

    ``word`` is one of `WORDS` and never changes its meaning; the text is for people. Neither holds
    anything of the content.
    """

    def __init__(self, word: str, text: str) -> None:
        super().__init__(text)
        self.word = word
