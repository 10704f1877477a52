# SPDX-License-Identifier: GPL-3.0-or-later
"""The mailboxes that are made of a configuration's maps do for texts what those did."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cig_common.config import Configuration, Interface, Mailbox, MailboxKind, load, loads
from cig_common.config.chains import Chain
from cig_common.config.migration import MigrationError, migrate
from cig_common.config.patterns import canonical_tel
from cig_common.config.routing import route
from cig_common.config.translate import translate

FILES = Path(__file__).parent / "files"
READ, WRITE = "/path/to/read/mailbox", "/path/to/write/mailbox"
CHAPTER_USES = """
interfaces {
    tel { extension map telmap; source map telsrc; }
    sip { extension map sipmap; source map sipsrc; bind ::1; messaging true; }
}
"""


def migrated(text: str) -> tuple[Configuration, str, tuple[str, ...]]:
    """The old file with what is added to it, that alone, and what was told."""
    made = migrate(loads(text), READ, WRITE)
    added = "\n".join(made.lines()) + "\n"
    return loads(text + added), added, made.notes


def words(text: str) -> list[str]:
    return re.sub(r"//.*", "", text).split()


def test_the_manuals_chapter_to_the_letter() -> None:
    old = (FILES / "manual_migration_maps.conf").read_text() + CHAPTER_USES
    config, added, notes = migrated(old)
    printed = FILES / "manual_migration_translate_maps.conf"
    assert words(added) == words(printed.read_text())
    by_hand = load(printed)
    for ours, theirs in zip(config.translate_maps, by_hand.translate_maps, strict=True):
        assert [(one.match.text, one.translation.text) for one in ours.rules] == [
            (one.match.text, one.translation.text) for one in theirs.rules
        ]
    assert "    // {discard}: not in the match, so it becomes empty.\n    rule\n" in added
    assert [note.split()[1] for note in notes if "swapped" in note] == ["`sipsrc`:", "`sipmap`:"]


def value(mailbox: Mailbox, header: str, text: str) -> str | None:
    made = mailbox.map_from if header == "From" else mailbox.map_to
    found = translate(made, text)
    return found and found.value


def test_the_manuals_simple_example_goes_the_same_ways() -> None:
    old = (FILES / "manual_simple.conf").read_text()
    config, _, _ = migrated(old)
    reader, writer = config.mailboxes
    assert (reader.kind, reader.path) == (MailboxKind.READ, READ)
    assert (writer.kind, writer.path) == (MailboxKind.WRITE, WRITE)
    sender, target = "sip:101@pbx.com", "sip:94670123456@secure.com"
    call = route(config, Interface.SIP, target, sender)
    assert value(reader, "From", sender) == call.from_uri == "tel:+8888;101"
    assert value(reader, "To", target) == call.to_uri
    sender, target = "tel:+4670123456", "tel:+8888;101"
    call = route(config, Interface.TEL, target, sender)
    assert value(writer, "From", sender) == call.from_uri
    assert value(writer, "To", target) == call.to_uri
    # Its first map is used both ways.
    assert writer.map_to.name == "maptel2sip"
    assert reader.map_from.name == "maptel2sip_to_tel"
    assert len(config.translate_maps) == 4


MAPS = """
map a { entry e sip "SIP:{x}@H.com:5070" tel "TEL:+46-70w{x}"; }
map b { entry e sip "sip:{x}@h" tel "tel:+{x}"; }
map c { }
"""


def test_several_maps_of_one_use_are_one_translate_map() -> None:
    old = (
        'translate_map a_b { rule match "x" translation "y"; }\n' + MAPS + "interfaces {"
        " tel { extension map a; extension map b; extension map a; }"
        " sip { extension map c; source map a; source map b; bind ::1; } }"
    )
    config, _, notes = migrated(old)
    reader, writer = config.mailboxes
    names = [reader.map_from.name, reader.map_to.name, writer.map_from.name, writer.map_to.name]
    # `a_b` is taken, and the tel side's sources and targets are the same.
    assert names == ["a_b_to_tel", "c", "a_b_to_sip", "a_b_to_sip"]
    assert [one.match.text for one in writer.map_to.rules] == ["tel:+4670;{x}", "tel:+{x}"]
    assert [one.translation.text for one in reader.map_from.rules] == ["tel:+4670;{x}", "tel:+{x}"]
    assert any("no `messaging true;`" in note for note in notes)
    assert (
        "translate_map `a_b_to_tel`: in 2 rules a host is matched, and its upper and lower case "
        "count now" in notes
    )
    assert sum("a port or parameters" in note for note in notes) == 1


def test_one_way_alone() -> None:
    tel = "interfaces { tel { extension map b; source map a; } sip { bind ::1; source map b; } }"
    config, _, notes = migrated(MAPS + tel)
    assert [box.kind for box in config.mailboxes] == [MailboxKind.WRITE]
    assert "no `read` mailbox: no map routes what comes in on `sip`" in notes
    assert {made.name for made in config.translate_maps} == {"b"}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (MAPS, "name no maps"),
        (MAPS + "interfaces { tel { extension map a; } sip { bind ::1; } }", "name no maps"),
        ((FILES / "manual_mailboxes.conf").read_text(), "has mailboxes already"),
    ],
)
def test_nothing_can_be_made(text: str, why: str) -> None:
    with pytest.raises(MigrationError, match=why):
        migrate(loads(text), READ, WRITE)


# Small letters only: a host's case does not count for a map, and does for a translate_map.
LITERALS = st.text(st.sampled_from("ab1@;+.-w:"), max_size=3)


@st.composite
def sides(draw: st.DrawFn, scheme: str) -> str:
    parts = [draw(st.sampled_from([scheme, scheme, f"{scheme}+1", ""]))]
    for name in draw(st.permutations(("{x}", "{y}")))[: draw(st.integers(0, 2))]:
        parts += [draw(LITERALS), name]
    return "".join((*parts, draw(LITERALS)))


ENTRIES = st.lists(st.tuples(sides("sip:"), sides("tel:")), max_size=4)
USES = st.lists(st.sampled_from("abc"), min_size=1, max_size=2)


@st.composite
def configurations(draw: st.DrawFn) -> str:
    lines = []
    for name in "abc":
        entries = "".join(f' entry e sip "{one}" tel "{two}";' for one, two in draw(ENTRIES))
        lines.append(f"map {name} {{{entries} }}")
    blocks = []
    for side in ("tel", "sip"):
        uses = [f"extension map {name};" for name in draw(USES)]
        uses += [f"source map {name};" for name in draw(st.just([]) | USES)]
        blocks.append(f"{side} {{ {' '.join(uses)} {'bind ::1;' if side == 'sip' else ''} }}")
    return "\n".join((*lines, f"interfaces {{ {' '.join(blocks)} }}"))


def by_maps(asked: Chain, text: str) -> str | None:
    """What the maps give, before it is made a URI that may be sent."""
    found = asked.first(text)
    if found is None:
        return None
    _, entry, values = found
    return entry.side(asked.side.other).substitute(values)


TEXTS = st.builds(
    "{}{}".format, st.sampled_from(["sip:", "tel:", "tel:+1"]), st.text("ab1@;+.-w:", max_size=8)
)


@given(configurations(), TEXTS)
def test_for_any_maps_and_addresses_the_same_comes_out(text: str, address: str) -> None:
    config, _, _ = migrated(text)
    reader, writer = config.mailboxes
    for box, side, given_text in (
        (reader, Interface.SIP, address),
        (writer, Interface.TEL, canonical_tel(address)),
    ):
        expected = by_maps(config.from_chain(side), given_text)
        assert value(box, "From", given_text) == expected
        assert value(box, "To", given_text) == by_maps(config.to_chain(side), given_text)
