# SPDX-License-Identifier: GPL-3.0-or-later
"""The manual's printed tables, to the letter."""

from dataclasses import replace

from cig_server.mgmt.tables import call_table, keys_text, status_text, texts_text, umsg_table
from cig_server.mgmt.view import CallRow, Keys, Texts, UmsgRow
from unit.cig_server.mgmt.gateway_view import DECEMBER, KEYS, NOVEMBER, STATUS, TEXTS, period


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


def test_status_says_what_each_period_is_good_for() -> None:
    states = [
        ("2026-11-1", "over", "over"),
        ("2026-11-2", "texts", "for stored texts only"),
        ("2026-11-3", "accepted", "accepted until 2026-12-02 24:00"),
        ("2026-11-4", "valid", "valid until 2026-11-30 24:00"),
        ("2026-11-5", "superseded", "superseded by a later revision"),
        ("2026-11-6", "coming", "accepted from 2026-10-30 00:00"),
    ]
    views = tuple(period(name, state, NOVEMBER, DECEMBER) for name, state, _ in states)
    status = replace(
        STATUS,
        crypto_periods=tuple(name for name, _, _ in states),
        crypto_validity=views,
        crypto_warning="the last keys end in 3 days",
    )
    lines = status_text(status, "2.7.0")
    for number, (name, _, words) in enumerate(states, 1):
        assert f"Crypto period {number}           {name}  {words}" in lines
    assert "Crypto state              OK (the last keys end in 3 days)" in lines


def test_keys() -> None:
    assert keys_text(KEYS) == [
        "Public ID                 tel:+12345",
        "Security Domain           DOMAIN",
        "CRS Address               crs.example.com:5223, 192.0.2.1:5223",
        "CRS trust anchor          pinned certificate, SHA-256 cd",
        "Keystore                  /opt/cig/userdata/.ks.tel:+12345",
        "Keystore sealed by        a key",
        "PERIOD     VALID FROM        VALID UNTIL       STATE       KMS",
        "2026-11-1  2026-10-30 00:00  2026-12-02 24:00  valid       "
        "kms.example.com (KPAK abababababababab)",
        "2026-12-2  2026-11-29 00:00  2027-01-02 24:00  coming      "
        "kms.example.com (KPAK abababababababab)",
    ]


def test_keys_that_are_not_there() -> None:
    none = Keys("", "", (), "", "", "no keystore yet", "no keys are loaded", "they end", ())
    assert keys_text(none) == [
        "Public ID                 -",
        "Security Domain           -",
        "CRS Address               -",
        "CRS trust anchor          -",
        "Keystore                  none",
        "Keystore sealed by        no keystore yet",
        "Problem                   no keys are loaded",
        "Warning                   they end",
        "PERIOD     VALID FROM        VALID UNTIL       STATE       KMS",
    ]


def test_texts() -> None:
    assert texts_text(TEXTS) == [
        "KIND   NAME                     WAITING  OLDEST            FAILED  LAST ERROR",
        "read   /var/spool/cig/send      12       2026-11-01 00:00  2       "
        "2026-12-01 00:00 not-found",
        "write  /var/spool/cig/received  0        -                 0       -",
        "crs    -                        3        2026-11-01 00:00  0       -",
        "In transit                3",
        "Problem                   none",
        "sent                      7",
    ]
    assert texts_text(Texts(problem="the disk is full")) == [
        "KIND   NAME        WAITING  OLDEST            FAILED  LAST ERROR",
        "In transit                0",
        "Problem                   the disk is full",
    ]


def test_no_caller_steers_the_terminal() -> None:
    row = CallRow("sip:\x1b[2J@h", "a\nOK", "", "", "TRY", "1")
    assert all(line.isprintable() for line in call_table([row]))
