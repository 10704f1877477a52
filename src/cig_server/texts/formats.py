# SPDX-License-Identifier: GPL-3.0-or-later
"""The formats that `texts.incoming` needs: MIME, the manual's messages, the maps of cig.conf."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import BinaryIO

from cig_common.config import Configuration
from cig_common.texts.content import TextContent
from cig_common.texts.entity import parse_entity
from cig_common.texts.errors import ContentError
from cig_server.texts import mapping
from cig_server.texts.copies import Source, Target
from cig_server.texts.mailbox_message import MailboxMessage
from cig_server.texts.model import ContentRefusedError

logger = logging.getLogger("Texts")


class MailboxFormats:
    """What `texts.incoming` needs of other modules, with their errors in its terms."""

    def parse(self, file: BinaryIO, now: datetime) -> TextContent:
        """Read the MIME entity of a text."""
        try:
            return parse_entity(file, now)[1]
        except ContentError as error:
            raise _refused(error) from None

    def targets(
        self, configuration: Configuration, from_uri: str, to_uri: str
    ) -> tuple[Target, ...]:
        """Return the write mailboxes that a text is for; tells of those that it almost is for."""
        return mapping.targets(configuration, from_uri, to_uri, tell=_tell)

    def encode(
        self,
        target: Target,
        content: TextContent,
        source: Source,
        random_bytes: Callable[[int], bytes],
    ) -> Iterator[bytes]:
        """Yield a message as it stands in a mailbox."""
        message = MailboxMessage(
            to=target.to_value,
            from_=target.from_value,
            content=content,
            sender_uri=source.uri,
            sender_domain=source.domain,
            message_id=source.mid,
        )
        try:
            yield from message.encode(random_bytes)
        except ContentError as error:
            raise _refused(error) from None


def _refused(error: ContentError) -> ContentRefusedError:
    return ContentRefusedError(error.word, str(error))


def _tell(line: str) -> None:
    logger.warning("%s", line)
