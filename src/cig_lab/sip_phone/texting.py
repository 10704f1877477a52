# SPDX-License-Identifier: GPL-3.0-or-later
"""MESSAGE outside of calls (RFC 3428) for the phone, sans-IO: one request, one final response.

A MESSAGE that comes is answered at once with `answer`, and reported if that was 2xx; one for
another user than ours gets 404. With `answer` 0 the phone stays silent.
"""

from __future__ import annotations

from cig_lab.sip_phone import events
from cig_lab.sip_phone.address import Destination, NameAddr, destination, user_of
from cig_lab.sip_phone.message import Headers, Request, Response
from cig_lab.sip_phone.transaction import Transaction
from cig_lab.sip_phone.wire import Wire

PLAIN = "text/plain;charset=utf-8"


class Texting:
    """The messages of one user agent."""

    def __init__(self, wire: Wire, user: str, identity: str) -> None:
        self.answer = 200
        self._wire = wire
        self._user = user
        self._identity = identity

    def send(
        self,
        uri: str,
        body: bytes,
        now: float,
        *,
        peer: Destination | None = None,
        content_type: str = PLAIN,
    ) -> str:
        """Send a MESSAGE to ``uri`` through ``peer`` (default: where it leads); give its name."""
        call_id = f"{self._wire.token()}@{self._wire.local[0]}"
        headers: Headers = (
            ("Via", self._wire.via()),
            ("Max-Forwards", "70"),
            ("From", f"<{self._identity}>;tag={self._wire.token()}"),
            ("To", f"<{uri}>"),
            ("Call-ID", call_id),
            ("CSeq", "1 MESSAGE"),
            *((("Content-Type", content_type),) if content_type else ()),
        )
        request = Request(headers, body, method="MESSAGE", uri=uri)
        self._wire.request(request, peer or destination(uri), now)
        return call_id

    def received(self, transaction: Transaction, now: float) -> events.IncomingText | None:
        """Answer a MESSAGE; give it if it was taken."""
        request = transaction.request
        status = self.answer if user_of(request.uri) == self._user else 404
        if status:
            self._wire.reply(transaction, status, now)
        if not 200 <= status < 300:
            return None
        return events.IncomingText(
            request.need("Call-ID"),
            NameAddr.parse(request.need("From")).uri,
            request.uri,
            request.get("Content-Type") or "",
            request.body,
        )

    def responded(self, response: Response) -> events.TextResult | None:
        """Give what a response to a MESSAGE of ours means; None for a provisional one."""
        if response.status < 200:
            return None
        return events.TextResult(response.need("Call-ID"), response.status, response.reason)

    def timed_out(self, transaction: Transaction) -> events.TextResult:
        """Give the end of a MESSAGE that nobody answered."""
        return events.TextResult(transaction.request.need("Call-ID"), 408, "no response")
