# SPDX-License-Identifier: GPL-3.0-or-later
"""`cig-lab phone text` through the running lab's socket, and what the lab prints of texts."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from cig_lab import remote
from cig_lab.crs import CrsServer
from cig_lab.kms import LabKms, months_for
from cig_lab.main import main
from cig_lab.phone.mime import ReceivedText
from cig_lab.phone.phone import SecurePhone
from cig_lab.process import LabError
from cig_lab.up import shown

ALICE, BOB = "tel:+46701234567", "tel:+46707654321"
NUMBER = "+46707654321"


async def soon(awaitable: Awaitable[Any]) -> Any:
    async with asyncio.timeout(10):
        return await awaitable


@pytest.fixture
async def phones(tmp_path: Path) -> AsyncIterator[list[SecurePhone]]:
    kms, months = LabKms(), months_for(time.time())
    async with CrsServer(kpak=kms.kpak, domain=kms.domain, text_folder=tmp_path / "crs") as crs:
        made = [
            SecurePhone(
                dict(kms.user_keys(uri, months)),
                crs=crs.tls_address,
                pin=crs.certificate_sha256,
                host="127.0.0.1",
            )
            for uri in (ALICE, BOB)
        ]
        for phone in made:
            await soon(phone.ready())
        yield made
        for phone in made:
            await phone.stop()


async def test_text_with_files(
    phones: list[SecurePhone], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    alice, bob = phones
    bob.texts.refuse = lambda text: "no-mailbox" if text.to_uri.endswith(";9") else None
    server, path = remote.PhoneServer(alice), tmp_path / "phone.sock"
    await server.start(path)
    picture, odd = tmp_path / "ä.png", tmp_path / "b.unheardof"
    picture.write_bytes(bytes(range(256)) * 4000)
    odd.write_bytes(b"\r\n")
    assert await soon(remote.text(NUMBER, "Hej", [picture, odd], path)) == 0
    got = await soon(bob.next_text())
    assert got.text == "Hej"
    assert got.attachments == (
        ("ä.png", "image/png", picture.read_bytes()),
        ("b.unheardof", "application/octet-stream", b"\r\n"),
    )
    assert await soon(remote.text(f"{NUMBER}w9", "no", [], path)) == 1
    assert await soon(remote.text("+4799", "no", [], path)) == 1
    assert await soon(remote.text("nonsense", "no", [], path)) == 1
    words = [line.split(":")[0] for line in capsys.readouterr().out.splitlines()]
    assert words == ["stored", "delivered", "stored", "refused", "error", "error"]
    await server.stop()
    with pytest.raises(LabError, match="still running"):
        await remote.text(NUMBER, "no", [], path)


async def test_requests_that_are_not_understood(phones: list[SecurePhone], tmp_path: Path) -> None:
    server, path = remote.PhoneServer(phones[0]), tmp_path / "phone.sock"
    await server.start(path)
    whole = {"text": "x", "to": NUMBER, "attachments": []}
    for wrong in (
        [],
        {**whole, "text": 7},
        {**whole, "to": None},
        {**whole, "attachments": None},
        {**whole, "attachments": ["x"]},
        {**whole, "attachments": [["a", "image/png"]]},
        {**whole, "attachments": [["a", "image/png", 5]]},
        {**whole, "attachments": [["a", "nonsense", ""]]},
        {**whole, "attachments": [["a", "image/png", "ab"]]},
    ):
        reader, writer = await asyncio.open_unix_connection(str(path))
        writer.write(json.dumps(wrong).encode() + b"\n")
        assert json.loads(await soon(reader.readline()))["event"] == "error", wrong
        writer.close()
    await server.stop()


def test_a_text_cannot_steer_the_terminal() -> None:
    files = (("a\x1b[2J.png", "image/png", b"abc"),)
    lines = shown(ReceivedText(ALICE, BOB, "one\n\x1b]0;evil\x07two ✓", files, {}))
    assert all(line.isprintable() for line in lines)
    assert ALICE in lines[0]
    assert "one" in lines[1]
    assert "two ✓" in lines[2]
    assert "3 octets" in lines[3]


def test_command_line_without_a_lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    result = CliRunner().invoke(main, ["phone", "text", "+8888w101", "Hej"])
    assert (result.exit_code, "cig-lab up" in result.output) == (1, True)
    result = CliRunner().invoke(main, ["phone", "text", "+8888w101", "Hej", "--attach", "none"])
    assert result.exit_code == 2
