# SPDX-License-Identifier: GPL-3.0-or-later
"""session.log: the manual's line, and that no caller can forge one."""

import csv
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from cig_server.session_log import SessionEvent, SessionLog, SessionState, quote

EVENT = SessionEvent(
    caller="sip:101@pbx.com",
    callee="sip:94670123456@secure.com",
    routed_caller="tel:+8888;101",
    routed_callee="tel:+4670123456",
    state=SessionState.TALK,
    caller_if_id="a84b4c76e66710",
    callee_if_id="SxU+cQAE66+12m5j",
)


def test_a_line_has_the_nine_fields_of_the_manual_in_order() -> None:
    assert EVENT.encode(1_795_403_651.123) == (
        "event, 2026-11-23T03:14:11.123Z, sip:101@pbx.com, sip:94670123456@secure.com, "
        "tel:+8888;101, tel:+4670123456, talk, a84b4c76e66710, SxU+cQAE66+12m5j"
    )


@given(st.text(max_size=60))
def test_any_field_stays_one_field_of_one_line(text: str) -> None:
    line = f"event, {quote(text)}, end"
    assert len(line.splitlines()) == 1
    row = next(csv.reader([line], skipinitialspace=True))
    assert len(row) == 3
    assert row[2] == "end"


def test_events_are_appended_and_a_moved_file_is_left_after_reopen(tmp_path: Path) -> None:
    path = tmp_path / "session.log"
    log = SessionLog(path)
    log.write(EVENT, 0)
    path.rename(tmp_path / "session.log.1")
    log.write(EVENT, 1)
    log.reopen()
    log.write(EVENT, 2)
    log.close()
    assert len((tmp_path / "session.log.1").read_text().splitlines()) == 2
    assert path.read_text().startswith("event, 1970-01-01T00:00:02.000Z, ")


def test_a_file_that_cannot_be_opened_anew_leaves_the_old_one(tmp_path: Path) -> None:
    folder = tmp_path / "log"
    folder.mkdir()
    log = SessionLog(folder / "session.log")
    folder.rename(tmp_path / "moved")
    log.reopen()
    log.write(EVENT, 0)
    log.close()
    assert (tmp_path / "moved" / "session.log").read_text().startswith("event, ")


def test_a_full_disk_is_counted_and_raises_nothing() -> None:
    log = SessionLog(Path("/dev/full"))
    log.write(EVENT, 0)
    log.write(EVENT, 1)
    assert log.lost == 2
    log.close()
