# SPDX-License-Identifier: GPL-3.0-or-later
"""Dialogs (RFC 3261 section 12): what both sides remember of a call, and requests inside it."""

from __future__ import annotations

from dataclasses import dataclass

from cig_lab.sip_phone.address import Destination, NameAddr, destination
from cig_lab.sip_phone.message import Headers, Request, Response


@dataclass(slots=True)
class Dialog:
    """One dialog from our side. ``local`` and ``remote`` are From and To values without tags."""

    call_id: str
    local: str
    local_tag: str
    remote: str
    remote_tag: str
    target: str
    route: tuple[str, ...]
    local_cseq: int
    remote_cseq: int = 0

    @staticmethod
    def of_client(invite: Request, response: Response) -> Dialog:
        """Make it from our INVITE and a response with a To tag (section 12.1.2)."""
        local, remote = NameAddr.parse(invite.need("From")), NameAddr.parse(response.need("To"))
        contact = response.all("Contact")
        return Dialog(
            invite.need("Call-ID"),
            local.uri,
            local.tag or "",
            remote.uri,
            remote.tag or "",
            NameAddr.parse(contact[0]).uri if contact else invite.uri,
            tuple(reversed(response.all("Record-Route"))),
            invite.cseq[0],
        )

    @staticmethod
    def of_server(invite: Request, local_tag: str) -> Dialog:
        """Make it from the peer's INVITE and the tag that our responses bear (section 12.1.1)."""
        local, remote = NameAddr.parse(invite.need("To")), NameAddr.parse(invite.need("From"))
        contact = invite.all("Contact")
        return Dialog(
            invite.need("Call-ID"),
            local.uri,
            local_tag,
            remote.uri,
            remote.tag or "",
            NameAddr.parse(contact[0]).uri if contact else remote.uri,
            invite.all("Record-Route"),
            0,
            invite.cseq[0],
        )

    def next_hop(self) -> Destination:
        """Where a request goes: the first route, or else the target; raises SipError."""
        return destination(NameAddr.parse(self.route[0]).uri if self.route else self.target)

    def request(
        self, method: str, via: str, extra: Headers = (), body: bytes = b"", cseq: int | None = None
    ) -> Request:
        """Build a request inside the dialog; ``cseq`` is given for an ACK, else it counts up."""
        if cseq is None:
            self.local_cseq += 1
            cseq = self.local_cseq
        headers: Headers = (
            ("Via", via),
            ("Max-Forwards", "70"),
            ("From", f"<{self.local}>;tag={self.local_tag}"),
            ("To", f"<{self.remote}>;tag={self.remote_tag}"),
            ("Call-ID", self.call_id),
            ("CSeq", f"{cseq} {method}"),
            *(("Route", route) for route in self.route),
            *extra,
        )
        return Request(headers, body, method=method, uri=self.target)


def response_to(
    request: Request,
    status: int,
    reason: str,
    *,
    tag: str,
    source: Destination,
    extra: Headers = (),
    body: bytes = b"",
) -> Response:
    """Build a response (section 8.2.6) with ``received`` and ``rport`` in its first Via."""
    headers: list[tuple[str, str]] = []
    top = True
    for name, value in request.headers:
        if name == "Via":
            headers.append((name, _with_source(value, source) if top else value))
            top = False
        elif name == "To" and status > 100 and NameAddr.parse(value).tag is None:
            headers.append((name, f"{value};tag={tag}"))
        elif name in ("From", "To", "Call-ID", "CSeq", "Record-Route"):
            headers.append((name, value))
    return Response((*headers, *extra), body, status=status, reason=reason)


def _with_source(via: str, source: Destination) -> str:
    first, comma, others = via.partition(",")
    parts = [part for part in first.split(";") if part.strip().lower() != "rport"]
    if len(parts) < len(first.split(";")):
        parts.append(f"rport={source[1]}")
    return ";".join((*parts, f"received={source[0]}")) + comma + others
