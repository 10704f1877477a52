# SPDX-License-Identifier: GPL-3.0-or-later
"""Alice's end of texts, and the server's requests about them, for tests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from cig_common.control.record import Record
from cig_common.control.texts import (
    OpenTextReply,
    OpenTextRequest,
    SealTextReply,
    SealTextRequest,
    TextDataReply,
    TextDataRequest,
)
from mikey_sakke import initiator, receiver
from mikey_sakke.keys import UserKeys
from mikey_sakke.session import SessionKeys
from umsg.binding import TEXT_INFO, text_associated_data, text_digest
from umsg.sealing import TextOpener, TextSealer
from umsg.texts import MAX_AGE, Envelope
from unit.cig_relay.keys.lab import ALICE, GATEWAY, NOW, user

MID = "q83vASNFZ4mrze8B"
CONTENT = b'Content-Type: text/plain; charset="UTF-8"\n\nGood morning\n'


class Asker(Protocol):
    async def ask(self, request: Record) -> Record: ...


@dataclass(frozen=True)
class Made:
    """A text as Alice made it."""

    built: initiator.Built
    envelope: Envelope
    sealed: bytes

    def request(self, name: str = "t1", data: bytes | None = None) -> OpenTextRequest:
        """The request that opens it: whole, or with the first piece ``data`` alone."""
        envelope = self.envelope
        return OpenTextRequest(
            text=name,
            mid=envelope.mid,
            from_uri=envelope.from_uri,
            to_uri=envelope.to_uri,
            mikey=envelope.mikey,
            data=self.sealed if data is None else data,
            last=data is None,
        )


def _key(session: SessionKeys) -> bytes:
    return session.answer_key(TEXT_INFO).reveal()[:16]


def made(
    content: bytes = CONTENT,
    *,
    signer: UserKeys | None = None,
    now: float = NOW,
    mid: str = MID,
    to_uri: str = f"{GATEWAY};101",
    binding: bytes | None = None,
) -> Made:
    """Have Alice (or ``signer``) seal a text for the gateway."""
    keys = signer or user(ALICE)
    named = {"mid": mid, "from_uri": keys.uri, "to_uri": to_uri}
    digest = text_digest(**named) if binding is None else binding
    built = initiator.build(keys, to_uri=to_uri, ssrc=0x1234, binding=digest, now=now)
    sealer = TextSealer(_key(built.keys), text_associated_data(**named))
    sealed = sealer.update(content) + sealer.finish()
    return Made(built, Envelope(mid, keys.uri, to_uri, built.message), sealed)


def taken(envelope: Envelope, sealed: bytes, *, keys: UserKeys, now: float) -> bytes:
    """Have the recipient open a text of the gateway's, as far from now as may be."""
    parsed = receiver.precheck(
        envelope.mikey,
        now=now,
        own_uri=keys.uri,
        initiator=envelope.from_uri,
        max_age=MAX_AGE,
        days_after=8,
    )
    named = {"mid": envelope.mid, "from_uri": envelope.from_uri, "to_uri": envelope.to_uri}
    assert parsed.binding == text_digest(**named)
    session = receiver.open(receiver.verify(parsed, verifier=keys.verifier), keys)
    opener = TextOpener(_key(session), text_associated_data(**named))
    content = opener.update(sealed)
    opener.finish()
    return content


def seal_request(
    name: str = "s1",
    *,
    data: bytes = CONTENT,
    last: bool = True,
    from_uri: str = f"{GATEWAY};101",
    to_uri: str = f"{ALICE};7",
    mid: str = MID,
) -> SealTextRequest:
    """The request that begins a text for Alice."""
    return SealTextRequest(name, mid, from_uri, to_uri, data, last)


async def the_rest(peer: Asker, name: str, pieces: list[bytes]) -> bytes:
    """Send the further pieces of a text; gives what came of them."""
    done = b""
    for number, piece in enumerate(pieces, start=1):
        request = TextDataRequest(name, piece, number == len(pieces))
        reply = await peer.ask(request)
        assert isinstance(reply, TextDataReply), reply
        done += reply.data
    return done


async def opened(peer: Asker, text: Made, stride: int) -> bytes:
    """Have a text opened in pieces of ``stride`` octets."""
    first, rest = text.sealed[:stride], text.sealed[stride:]
    reply = await peer.ask(text.request(data=first if rest else None))
    assert isinstance(reply, OpenTextReply), reply
    pieces = [rest[start : start + stride] for start in range(0, len(rest), stride)]
    return reply.data + await the_rest(peer, "t1", pieces)


async def sealed(peer: Asker, content: bytes, stride: int) -> tuple[Envelope, bytes]:
    """Have a text sealed in pieces of ``stride`` octets."""
    first, rest = content[:stride], content[stride:]
    request = seal_request(data=first, last=not rest)
    reply = await peer.ask(request)
    assert isinstance(reply, SealTextReply), reply
    pieces = [rest[start : start + stride] for start in range(0, len(rest), stride)]
    octets = reply.data + await the_rest(peer, "s1", pieces)
    return Envelope(MID, request.from_uri, request.to_uri, reply.mikey), octets
