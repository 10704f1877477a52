# SPDX-License-Identifier: GPL-3.0-or-later
"""The operator's end of the keys socket, for tests."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TypeVar

from cig_common.control.codec import ControlDecoder, Envelope
from cig_common.control.keys import (
    KEYS,
    InspectKeysRequest,
    InstallKeysRequest,
    KeysInstalled,
    KeysPreview,
)
from cig_common.control.messages import ErrorCode, ErrorReply
from cig_common.control.record import Record
from cig_material import document
from cig_material.material import KeyMaterial
from cig_material.seal import Cost, seal
from mikey_sakke.secret import Secret

PASSPHRASE = "correct horse battery staple"
CHEAP = Cost(log_n=4, r=1, p=1)

_Reply = TypeVar("_Reply", bound=Record)


def sealed(material: KeyMaterial, passphrase: str = PASSPHRASE) -> bytes:
    """Seal as a CMS does, but at a low cost."""
    return seal(document.encode(material), Secret(passphrase.encode()), cost=CHEAP)


class KeysPeer:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self._decoder = ControlDecoder(KEYS)
        self._number = 0

    @staticmethod
    async def connect(path: Path) -> KeysPeer:
        return KeysPeer(*await asyncio.open_unix_connection(str(path)))

    async def ask(self, request: Record) -> Record:
        self._number += 1
        self.writer.write(Envelope(self._number, request).encode())
        async with asyncio.timeout(30):
            while octets := await self.reader.read(65536):
                for envelope in self._decoder.feed(octets):
                    assert envelope.number == self._number
                    return envelope.message
        raise EOFError("the relay closed the connection")

    async def _expect(self, kind: type[_Reply], request: Record) -> _Reply:
        answer = await self.ask(request)
        assert isinstance(answer, kind), answer
        return answer

    async def inspect(
        self, material: KeyMaterial | bytes, passphrase: str = PASSPHRASE
    ) -> KeysPreview:
        octets = material if isinstance(material, bytes) else sealed(material)
        return await self._expect(KeysPreview, InspectKeysRequest(octets, passphrase.encode()))

    async def install(self, preview: KeysPreview, *, replace: bool = False) -> KeysInstalled:
        return await self._expect(KeysInstalled, InstallKeysRequest(preview.token, replace))

    async def bring(self, material: KeyMaterial, *, replace: bool = False) -> KeysInstalled:
        """Do both, as a script does."""
        return await self.install(await self.inspect(material), replace=replace)

    async def inspect_refused(
        self, material: KeyMaterial | bytes, passphrase: str = PASSPHRASE
    ) -> tuple[str, str]:
        """Give detail and text of the refusal that this must meet."""
        octets = material if isinstance(material, bytes) else sealed(material)
        return await self.refused(InspectKeysRequest(octets, passphrase.encode()))

    async def install_refused(
        self, preview: KeysPreview, *, replace: bool = False
    ) -> tuple[str, str]:
        return await self.refused(InstallKeysRequest(preview.token, replace))

    async def refused(self, request: Record) -> tuple[str, str]:
        answer = await self._expect(ErrorReply, request)
        assert answer.code is ErrorCode.MATERIAL
        return answer.detail, answer.text

    async def ended(self) -> bool:
        """Wait until the relay ends the connection."""
        async with asyncio.timeout(30):
            try:
                return await self.reader.read() == b""
            except ConnectionError:
                return True

    async def close(self) -> None:
        self.writer.close()
        await self.writer.wait_closed()
