# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/texts.md says what the code does: its counters, limits and columns are the code's."""

from __future__ import annotations

import re
from pathlib import Path

from cig_cli import maildir as create
from cig_common.texts.entity import MAX_ATTACHMENTS
from cig_server.mgmt.tables import texts_text
from cig_server.mgmt.view import Texts
from cig_server.texts import (
    assembly,
    incoming,
    maildir,
    outbox_store,
    postponed,
    preparing,
    read_mailbox,
    received,
    sending,
    sip_in,
    sip_out,
)
from cig_server.texts.model import QueueFacts
from umsg.messages import ReceiptStatus
from umsg.texts import MAX_AGE, MAX_SEALED

PROJECT = Path(__file__).resolve().parents[4]
PAGE = (PROJECT / "docs/texts.md").read_text("utf-8")
DAY = 86_400


def section(title: str) -> str:
    return PAGE.split(f"\n{title}\n", 1)[1].split("\n## ", 1)[0]


def test_all_counters_are_explained_and_no_others() -> None:
    told = set()
    for line in section("### Counters").splitlines():
        if line.startswith("| `"):
            told |= set(re.findall(r"`([^`]+)`", line.split("|")[1]))
    counted = set()
    for path in (PROJECT / "src/cig_server/texts").glob("*.py"):
        for inside in re.findall(r"counters\[(.+?)\] \+=", path.read_text("utf-8")):
            counted |= set(re.findall(r'(?<!f)"([a-z-]+)"', inside))
    made = {
        "postponed-…",
        "sip-in-STATUS",
        *(f"receipts-{status.value}" for status in ReceiptStatus),
    }
    assert told == counted | made


def test_the_limits_are_the_code_s() -> None:
    rows = dict(re.findall(r"^\| ([^|]+) \| ([^|]+) \|$", section("## Limits"), re.M))
    assert rows["a text with its attachments, sealed"] == f"{MAX_SEALED >> 20} MiB"
    assert rows["a file in a `read` mailbox"] == f"{read_mailbox.MAX_OCTETS >> 20} MiB"
    assert rows["attachments of a text"] == str(MAX_ATTACHMENTS)
    under_way = f"{assembly.MAX_TEXTS}, and {assembly.MAX_OCTETS >> 20} MiB"
    assert rows["texts from the CRS under way at once"] == under_way
    assert rows["texts to the CRS under way at once"] == str(sending.WINDOW)
    engines = rows["texts that use a crypto engine at once"]
    assert engines.startswith(f"{incoming.ENGINES} ")
    assert incoming.ENGINES == preparing.ENGINES
    resting = rows["texts of mailboxes that rest for another attempt"]
    assert resting.startswith(f"{sending.MOST_RESTING:,};")
    assert rows["age of a text when it comes"] == f"{MAX_AGE // DAY} days"
    assert rows["texts that came are remembered for"] == f"{received.KEEP_SECONDS // DAY} days"
    waited = rows["a recipient's receipt is waited for"]
    assert waited == f"{outbox_store.RECEIPT_SECONDS // DAY} days"
    sizes = rows["a text from SIP, a text to SIP"]
    assert sizes == f"{sip_in.MAX_BODY:,} and {sip_out.MAX_TEXT:,} octets"
    assert f"the oldest {read_mailbox.MOST:,} are looked at" in PAGE


def test_the_causes_are_the_code_s() -> None:
    told = re.findall(r"^\| `postponed-([a-z-]+)` \|", PAGE, re.M)
    assert sorted(told) == sorted(cause.value for cause in postponed.Cause)


def test_the_columns_are_the_code_s() -> None:
    shown = PAGE.split("# cig-cli show texts\n", 1)[1].split("```", 1)[0].splitlines()
    queues = (
        QueueFacts("crs", "incoming", 0, None),
        QueueFacts("write", "/var/spool/cig/received", 0, None),
    )
    lines = texts_text(Texts(queues, 0, "", {}))
    assert shown[:2] == lines[:2]
    assert [line for line in lines if "In transit" in line or "Problem" in line] == shown[6:8]


def test_mailboxes_and_names_are_the_code_s() -> None:
    for folder in create.FOLDERS:
        assert f"\n| `{folder}` |" in PAGE
    assert f"mode {create.MODE:o} and the group `{create.GROUP}`" in PAGE
    assert f"Messages have mode 0{maildir.MODE:o}" in PAGE
    [name] = re.findall(r"`([0-9]+\.M\S+\.gateway)`", PAGE)
    assert maildir.Names(bytes, "gateway").is_ours(name)
