# SPDX-License-Identifier: GPL-3.0-or-later
"""The manual's printed tables, to the letter."""

from dataclasses import replace

from cig_server.mgmt.tables import call_table, status_text, umsg_table
from cig_server.mgmt.view import CallRow, UmsgRow
from unit.cig_server.mgmt.gateway_view import STATUS


def test_calls() -> None:
    assert call_table([]) == ["IN-FROM    IN-TO      OUT-FROM   OUT-TO     STATE"]
    row = CallRow("tel:...", "tel:...", "sip:...", "sip:...", "ANSWER", "1")
    assert call_table([row])[1] == "tel:...    tel:...    sip:...    sip:...    ANSWER"


def test_columns_grow_with_the_longest_value() -> None:
    rows = [CallRow("tel:+46701234567", "tel:+8888;101", "a", "b", "TRY", "1")]
    assert call_table(rows) == [
        "IN-FROM           IN-TO          OUT-FROM   OUT-TO     STATE",
        "tel:+46701234567  tel:+8888;101  a          b          TRY",
    ]


def test_umsg() -> None:
    rows = [UmsgRow("tel:...", "tel:...", "TALK", 429, "SxU+cQAE66+12m5j")]
    assert umsg_table(rows, 43321) == [
        "FROM      TO          STATE      TIME      ID",
        "tel:...   tel:...     TALK       429       SxU+cQAE66+12m5j",
        "ZERO      ZERO        ZERO       43321     umsg",
    ]


def test_status() -> None:
    assert status_text(STATUS, "2.7.0") == [
        "Cryptify Interconnect Gateway v2.7.0",
        "-----",
        "Relay connection state    CONNECTED",
        "Crypto engines available  3/3",
        "",
        "UMSG status:",
        "-----",
        "Public ID                 tel:+12345",
        "Security Domain           DOMAIN",
        "CRS Address               192.168.1.1",
        "Connection state          CONNECTED",
        "Crypto state              OK",
        "Crypto period 1           2026-11-0",
        "",
        "SIP status:",
        "-----",
        "SIP Bind address          192.168.1.2",
    ]


def test_status_of_a_gateway_in_trouble() -> None:
    down = replace(
        STATUS,
        relay_connected=False,
        umsg_connected=False,
        umsg_problem="connection refused",
        crypto_ok=False,
        crypto_problem="no keys",
        crypto_periods=(),
        sip_bind_address=None,
        umsg_rows=(("Last connected since start", "never"),),
    )
    lines = status_text(down, "2.7.0")
    assert "Relay connection state      DISCONNECTED" in lines
    assert "Connection state            DISCONNECTED (connection refused)" in lines
    assert "Crypto state                ERROR (no keys)" in lines
    assert "Last connected since start  never" in lines
    assert "SIP Bind address            all addresses" in lines


def test_no_caller_steers_the_terminal() -> None:
    row = CallRow("sip:\x1b[2J@h", "a\nOK", "", "", "TRY", "1")
    assert all(line.isprintable() for line in call_table([row]))
