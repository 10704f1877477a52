# SPDX-License-Identifier: GPL-3.0-or-later
"""What the log says of a configuration, and of the difference between two."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from cig_common.config import load, loads
from cig_server.config_view import MOST_ENTRIES, changes, describe, server_part

BASE = """\
map a { entry e sip "sip:{x}@h" tel "tel:+{x}"; entry f sip "sip:1@h" tel "tel:+1"; }
map b { entry e sip "sip:{x}@h" tel "tel:+{x}"; }
translate_map t { rule match "tel:{x}" translation "{x}"; }
interfaces {
  tel { extension map a; rtp_remote_addr_override 192.0.2.1 192.0.2.2; }
  sip { extension map a; source map b; bind 192.0.2.3; messaging true; }
}
mailboxes { read { path "/var/mail"; map_from translate_map t; map_to translate_map t; } }
"""
SHIPPED = Path(__file__).parents[3] / "etc" / "cig.conf"


def difference(*pairs: tuple[str, str]) -> list[str]:
    text = BASE
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    return list(changes(server_part(loads(BASE)), server_part(loads(text))))


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('tel "tel:+1"', 'tel "tel:+2"', "map `a`: changed, 2 entries, 2 before"),
        (' entry f sip "sip:1@h" tel "tel:+1";', "", "map `a`: changed, 1 entry, 2 before"),
        ("map b {", "map c { } map b {", "map `c`: added, 0 entries"),
        (
            'translation "{x}"',
            'translation "+{x}"',
            "translate_map `t`: changed, 1 rule, 1 before",
        ),
        ("bind", "rtp_port_range 1024 2047; bind", "sip rtp_port_range: 16384 32767 -> 1024 2047"),
        ("source map b;", "source map b; source map a;", "sip source map: b -> b, a"),
        (
            "rtp_remote_addr_override 192.0.2.1 192.0.2.2;",
            "",
            "tel rtp_remote_addr_override: 192.0.2.1 192.0.2.2 -> (none)",
        ),
        ("messaging true;", "", "sip messaging: true -> false"),
        ("interfaces {", "interfaces { max_calls 5;", "max_calls: 1000 -> 5"),
        ("mailboxes {", "mailboxes { retry_hours 5;", "mailboxes retry_hours: 72 -> 5"),
        (
            '"/var/mail"',
            '"/var/post"',
            "mailboxes: read /var/mail from t to t -> read /var/post from t to t",
        ),
    ],
)
def test_each_change_is_one_line(old: str, new: str, told: str) -> None:
    assert difference((old, new)) == [told]


def test_what_means_the_same_is_no_change() -> None:
    sides = ('sip "sip:1@h" tel "tel:+1"', '/* turned */ tel "tel:+1"\n sip "sip:1@h"')
    assert difference(sides, ("entry f", "entry g")) == []


def test_where_sip_listens_is_not_told_as_taken() -> None:
    assert difference(("bind 192.0.2.3;", "bind 192.0.2.9; port 5070;")) == []


def test_a_map_that_is_gone() -> None:
    old = loads(BASE + "map gone { }")
    told = list(changes(server_part(old), server_part(loads(BASE))))
    assert told == ["map `gone`: removed, 0 entries"]


def test_the_part_can_be_sent_by_the_compiling_process() -> None:
    part = pickle.loads(pickle.dumps(server_part(loads(BASE))))
    assert list(changes(part, server_part(loads(BASE)))) == []


@pytest.mark.parametrize("text", [BASE, "", "mailboxes { retry_hours 168; }", SHIPPED.read_text()])
def test_what_is_logged_loads_and_is_the_same(text: str) -> None:
    part = server_part(loads(text))
    again = server_part(loads("\n".join(describe(part.configuration))))
    assert list(changes(part, again)) == []
    assert part.configuration.sip.bind == again.configuration.sip.bind


def test_the_file_that_is_shipped_can_be_told() -> None:
    assert any(line.startswith("map ") for line in describe(load(SHIPPED)))


def test_the_log_of_a_big_file_is_bounded() -> None:
    entries = "".join(f'entry e sip "sip:{n}@h" tel "tel:+{n}";\n' for n in range(3000))
    lines = list(describe(loads(f"map m {{ {entries} }}")))
    assert "  // and 1000 entries more" in lines
    assert len(lines) < MOST_ENTRIES + 30
