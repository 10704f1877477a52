# SPDX-License-Identifier: GPL-3.0-or-later
"""Walks the table between SIP statuses and UMSG reasons both ways."""

import pytest

from cig_server.sif.reasons import ANSWERS, TABLE, reason_for_status, sip_status_for
from umsg.reasons import Reason


@pytest.mark.parametrize("row", TABLE, ids=lambda row: str(row.status))
def test_every_row_gives_its_reason(row):
    assert reason_for_status(row.status) is row.reason


def test_no_status_stands_twice():
    statuses = [row.status for row in TABLE]
    assert len(statuses) == len(set(statuses))


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_has_one_final_status(reason):
    rows = [row.status for row in TABLE if row.back and row.reason is reason]
    rows += [ANSWERS[reason][0]] if reason in ANSWERS else []
    assert rows == [sip_status_for(reason)]
    assert 400 <= rows[0] <= 699


@pytest.mark.parametrize("status", [*range(300, 700), 0])
def test_every_status_has_a_reason(status):
    named = {row.status for row in TABLE}
    if status in named:
        return
    expected = {3: Reason.UNREACHABLE, 6: Reason.DECLINED}.get(status // 100, Reason.ERROR)
    assert reason_for_status(status) is expected


@pytest.mark.parametrize(
    ("reason", "status"),
    [("busy", 486), ("declined", 603), ("not-found", 404), ("crypto", 500), ("overload", 503)],
)
def test_what_a_pbx_relies_on(reason, status):
    assert sip_status_for(Reason(reason)) == status


@pytest.mark.parametrize("reason", [row.reason for row in TABLE if row.back])
def test_there_and_back_keeps_the_reason(reason):
    assert reason_for_status(sip_status_for(reason)) is reason
