# SPDX-License-Identifier: GPL-3.0-or-later
"""A small asyncio client and media socket for tests against the running server."""

import asyncio
import secrets
import ssl
from hashlib import sha256

from aioice import stun

from cig_lab.crs import CrsServer
from mikey_sakke import eccsi
from mikey_sakke.identifiers import tel_identifier
from mikey_sakke.kms import MasterKeys
from mikey_sakke.periods import month_of
from umsg.events import Event, SignatureWanted, Welcomed
from umsg.messages import Leg, Message
from umsg.session import ClientSession


def tls_context(crs: CrsServer, alpn: str = "umsg/1") -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=crs.certificate_pem)
    context.set_alpn_protocols([alpn])
    return context


class Phone(asyncio.Protocol):
    """A client that signs with real keys and collects its events in a queue."""

    def __init__(self, uri: str, master: MasterKeys) -> None:
        self.events: asyncio.Queue[Event | None] = asyncio.Queue()
        self.uri = uri
        self._master = master
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None

    async def connect(self, crs: CrsServer, *held: str) -> "Phone":
        await self._loop.create_connection(lambda: self, *crs.tls_address, ssl=tls_context(crs))
        assert isinstance(await self.event(), Welcomed)
        self.session.resume(held, self._loop.time())
        self.flush()
        return self

    def connection_made(self, transport: asyncio.Transport) -> None:
        self.transport = transport
        der = transport.get_extra_info("ssl_object").getpeercert(binary_form=True)
        self.session = ClientSession(
            uri=self.uri,
            agent="test",
            certificate_digest=sha256(der).digest(),
            now=self._loop.time(),
            random_bytes=secrets.token_bytes,
        )
        self.flush()

    def data_received(self, data: bytes) -> None:
        self.session.receive_data(data, self._loop.time())
        self.flush()

    def connection_lost(self, error: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self.session.connection_lost()
        self.flush()
        self.events.put_nowait(None)

    def flush(self) -> None:
        while (event := self.session.next_event()) is not None:
            if isinstance(event, SignatureWanted):
                self._sign(event)
            else:
                self.events.put_nowait(event)
        self.transport.write(self.session.data_to_send())
        if self.session.closed:
            self.transport.close()
        if self._timer is not None:
            self._timer.cancel()
        deadline = self.session.next_deadline()
        self._timer = None if deadline is None else self._loop.call_at(deadline, self._on_timer)

    def _on_timer(self) -> None:
        self.session.handle_timer(self._loop.time())
        self.flush()

    def _sign(self, wanted: SignatureWanted) -> None:
        month = month_of(wanted.time)
        period = f"{month}-1"
        identifier = tel_identifier(self.uri, month)
        ssk, pvt = self._master.issue_ssk(identifier)
        sig = eccsi.sign(
            wanted.text(period), identifier=identifier, ssk=ssk, pvt=pvt, kpak=self._master.kpak
        )
        self.session.authenticate(period, sig, self._loop.time())

    def send(self, *messages: Message) -> None:
        for message in messages:
            self.session.send(message, self._loop.time())
        self.flush()

    async def event(self) -> Event | None:
        return await asyncio.wait_for(self.events.get(), 5)

    async def message(self) -> Message:
        """Return the next message, passing over other events."""
        while True:
            event = await self.event()
            assert event is not None
            if hasattr(event, "message"):
                return event.message


class MediaSocket(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.packets: asyncio.Queue[bytes] = asyncio.Queue()

    @classmethod
    async def open(cls, leg: Leg) -> "MediaSocket":
        loop = asyncio.get_running_loop()
        _, self = await loop.create_datagram_endpoint(cls, remote_addr=(leg.addr, leg.port))
        return self

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.packets.put_nowait(data)

    async def packet(self) -> bytes:
        return await asyncio.wait_for(self.packets.get(), 5)

    async def bind(self, leg: Leg) -> stun.Message:
        request = stun.Message(
            stun.Method.BINDING, stun.Class.REQUEST, attributes={"USERNAME": leg.ufrag}
        )
        request.add_message_integrity(leg.pwd.encode())
        self.transport.sendto(bytes(request))
        response = stun.parse_message(await self.packet())
        assert response.check_message_integrity(leg.pwd.encode())
        assert response.transaction_id == request.transaction_id
        return response
