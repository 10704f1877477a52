# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/set-key.md shows what set-key shows, and names the rows and words that there are."""

import re
from dataclasses import replace
from pathlib import Path

from cig_cli.setkey.command import set_key_command
from cig_common.carrier import armour
from cig_common.control.keys import InspectKeysRequest, KeysInstalled, PeriodAction, PeriodPreview
from cig_common.control.messages import ErrorCode, ErrorReply
from cig_common.control.record import Record
from unit.cig_cli.setkey.keys_socket import PREVIEW, listening
from unit.cig_cli.setkey.pty_session import on_terminal

PAGE = (Path(__file__).resolve().parents[4] / "docs" / "set-key.md").read_text("utf-8")
SHOWN = re.findall(r"^# cig-cli set-key\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
KMS = "kms.domain.example"
ADD = PeriodAction.ADD
PERIODS = (
    PeriodPreview("2026-11-1", KMS, 1_793_318_400.0, 1_796_256_000.0, ADD, ""),
    PeriodPreview("2026-12-1", KMS, 1_795_910_400.0, 1_798_934_400.0, ADD, ""),
    PeriodPreview("2027-01-1", KMS, 1_798_588_800.0, 1_801_612_800.0, ADD, ""),
)
FOUND = replace(
    PREVIEW,
    domain="DOMAIN",
    crs=("crs.example.com:5223",),
    anchor=f"the certificate with SHA-256 {'ab' * 32}",
    periods=PERIODS,
    changes=(),
)
PATH = "/opt/cig/userdata/.ks.tel:+8888"


def answers(request: Record) -> Record | None:
    if not isinstance(request, InspectKeysRequest):
        return KeysInstalled(PATH, tuple(one.period for one in PERIODS), ())
    if request.passphrase == b"red horse":
        return FOUND
    text = "the passphrase is wrong, or the key material was altered"
    return ErrorReply(ErrorCode.MATERIAL, "passphrase", text)


def test_the_walk_through(tmp_path: Path) -> None:
    socket = str(tmp_path / "keys.sock")
    with (
        listening(Path(socket), answers),
        on_terminal(("set-key", "--keys-socket", socket)) as session,
    ):
        session.expect("> ")
        session.type(armour.encode(bytes(1745)))
        for phrase in ("blue horse", "red horse"):
            session.expect("Passphrase: ")
            session.type(f"{phrase}\n")
        session.expect("[yes/no] ")
        session.type("yes\n")
        assert session.end() == 0
    seen = re.sub(r"^[0-9]{4} .*\n(?:[0-9]{4} .*\n)*", "...\n", session.seen, flags=re.MULTILINE)
    assert [seen] == SHOWN


def test_every_option_is_named() -> None:
    for parameter in set_key_command.params:
        assert parameter.opts[0] in PAGE
