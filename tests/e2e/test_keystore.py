# SPDX-License-Identifier: GPL-3.0-or-later
"""The keystore's wrapping key is moved to a systemd credential, as docs/keys.md tells it."""

from __future__ import annotations

import os

import pytest

from e2e.support import gateway, reason_of, soon, until
from umsg.reasons import Reason


async def test_the_keystore_moves_to_a_credential(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CREDENTIALS_DIRECTORY", "CIG_KEYSTORE_KEY_FILE"):
        monkeypatch.delenv(name, raising=False)
    async with gateway() as lab:
        rows = (await lab.status())["umsg_rows"]
        assert rows["Keystore sealed by"] == (
            "key file in userdata (a copy of userdata is a copy of the keys)"
        )
        userdata = lab.lab.folder / "userdata"
        sealed = (userdata / ".ks.tel:+8888").read_bytes()
        credentials = lab.lab.folder / "credentials"
        credentials.mkdir(mode=0o700)
        (credentials / "cig-keystore-key").write_text(os.urandom(32).hex() + "\n")
        (credentials / "cig-keystore-key").chmod(0o400)
        monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(credentials))
        for _ in range(2):
            await lab.lab.relay.stop()
            await lab.lab.start_relay()

            async def moved() -> bool:
                rows = (await lab.status())["umsg_rows"]
                return rows.get("Keystore sealed by") == "systemd credential cig-keystore-key"

            await until("the relay to use the credential", moved)
            (userdata / ".ks.key").unlink(missing_ok=True)
        assert (userdata / ".ks.tel:+8888").read_bytes()[8:16] != sealed[8:16]
        assert (await lab.lab.cli("status")).count("Keystore sealed by") == 1
        call = await lab.dial()
        phone = lab.lab.sip_phone
        phone.reject(await soon(phone.incoming()), 486)
        assert await reason_of(call) == Reason.BUSY
