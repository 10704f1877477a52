# SPDX-License-Identifier: GPL-3.0-or-later
"""Which mailboxes get a text, and what the headers of one from a mailbox become."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cig_common.config import Configuration, Mailbox, loads
from cig_common.uri import TelUri
from cig_server.texts.mapping import (
    MAX_ADDRESS_OCTETS,
    MappingError,
    read_addresses,
    targets,
)

MAPS = """
translate_map in { rule match "tel:+46{n}" translation "sip:46{n}@x"; }
translate_map ext { rule match "tel:+8888;{e}" translation "{e} pbx"; }
translate_map any { rule match "{all}" translation "{all}"; }
translate_map brackets { rule match "{all}" translation "<{all}>"; }
translate_map twice { rule match "{all}" translation "{a}{all}"; }
translate_map users { rule match "{n}@secure" translation "tel:+{n}"; }
translate_map own {
    rule match "{e}@pbx" translation "tel:+88-88w{e}";
    rule match "operator" translation "tel:+8888";
}
"""


def write(path: str, map_from: str, map_to: str) -> str:
    maps = f"map_from translate_map {map_from}; map_to translate_map {map_to};"
    return f'write {{ path "{path}"; {maps} }}\n'


def configuration(*mailboxes: str, maps: str = MAPS) -> Configuration:
    return loads(f"{maps} mailboxes {{ {''.join(mailboxes)} }}")


def reader(map_from: str = "own", map_to: str = "users", maps: str = MAPS) -> Mailbox:
    text = write("/r", map_from, map_to).replace("write", "read")
    return configuration(text, maps=maps).mailboxes[0]


def test_every_mailbox_whose_two_maps_match_gets_the_text() -> None:
    config = configuration(
        write("/a", "in", "ext"),
        write("/b", "in", "in"),
        write("/c", "any", "any"),
        write("/d", "ext", "ext"),
        write("/e", "any", "any").replace("write", "read"),
    )
    found = targets(config, "tel:+46701", "tel:+8888w101")
    assert [(one.mailbox.path, one.from_value, one.to_value) for one in found] == [
        ("/a", "sip:46701@x", "101 pbx"),
        ("/c", "tel:+46701", "tel:+8888;101"),
    ]
    assert (found[0].by_from.map_name, found[0].by_to.number) == ("in", 1)
    assert targets(loads(""), "tel:+1", "tel:+2") == ()


def test_what_would_break_a_header_does_not_match_and_is_told() -> None:
    config = configuration(write("/a", "any", "brackets"), write("/b", "any", "any"))
    told: list[str] = []
    found = targets(config, "tel:+1", "tel:+2", told.append)
    assert [one.mailbox.path for one in found] == ["/b"]
    (line,) = told
    assert line.startswith(
        "mailbox /a does not get a text: what rule 1 of translate_map `brackets`"
    )
    assert line.endswith("line 5, makes for To holds `<` or `>`")
    assert "+2" not in line


def test_a_header_line_keeps_to_its_length() -> None:
    for octets, taken in ((MAX_ADDRESS_OCTETS, True), (MAX_ADDRESS_OCTETS + 1, False)):
        long = f'translate_map long {{ rule match "{{a}}" translation "{"x" * octets}"; }}'
        config = configuration(write("/a", "long", "long"), maps=long)
        assert bool(targets(config, "tel:+1", "tel:+2")) == taken
    assert len(f"From: <{'x' * MAX_ADDRESS_OCTETS}>\n") < 1000


def test_a_message_to_send() -> None:
    made = read_addresses(reader(), "tel:+8888", "101@pbx", "4670@secure")
    assert (made.from_uri, made.to_uri) == ("tel:+8888;101", "tel:+4670")
    assert read_addresses(reader(), "tel:+8888", "operator", "1@secure").from_uri == "tel:+8888"


@pytest.mark.parametrize(
    ("sender", "recipient", "told"),
    [
        ("x", "1@secure", "no rule of translate_map `own` matches From `x`"),
        ("1@pbx", "x\x1b\n", r"no rule of translate_map `users` matches To `x\x1b\n`"),
        (
            "1 2@pbx",
            "1@secure",
            "rule 1 of translate_map `own`, line 9, makes `tel:+88-88w1 2` of From `1 2@pbx`, "
            "which is no tel URI: not `tel:+` with",
        ),
        ("1@pbx", "a@secure", "rule 1 of translate_map `users`, line 7, makes `tel:+a` of To"),
        (
            "1@pbx",
            "8888@secure",
            "To must become the tel URI of a secure user, and translate_map `users` makes it this "
            "gateway's own tel:+8888",
        ),
    ],
)
def test_a_message_that_cannot_be_sent_says_why(sender: str, recipient: str, told: str) -> None:
    with pytest.raises(MappingError) as refused:
        read_addresses(reader(), "tel:+8888", sender, recipient)
    assert str(refused.value).startswith(told)
    assert str(refused.value).isprintable()


def test_a_sender_that_is_not_our_own() -> None:
    with pytest.raises(MappingError, match=r"From must become this gateway's own tel:\+8889, and"):
        read_addresses(reader(), "tel:+8889", "101@pbx", "4670@secure")
    # A number of which ours is the beginning is another one.
    with pytest.raises(MappingError, match=r"makes it tel:\+88881$"):
        read_addresses(reader("users"), "tel:+8888", "88881@secure", "4670@secure")


def test_a_long_value_is_told_in_short() -> None:
    with pytest.raises(MappingError) as refused:
        read_addresses(reader(), "tel:+8888", "x" * 60_000, "1@secure")
    assert len(str(refused.value)) < 500


HEADERS = st.text(max_size=40) | st.builds(
    "{}@{}".format,
    st.text(st.characters(codec="utf-8"), max_size=12),
    st.sampled_from(["pbx", "secure"]),
)
MAPPED = st.sampled_from(["own", "users", "any", "twice"])


@given(HEADERS, HEADERS, MAPPED, MAPPED)
def test_no_header_gives_anything_but_tel_uris_or_an_error(
    sender: str, recipient: str, map_from: str, map_to: str
) -> None:
    try:
        made = read_addresses(reader(map_from, map_to), "tel:+8888", sender, recipient)
    except MappingError as error:
        assert str(error).isprintable()
        return
    for uri in (made.from_uri, made.to_uri):
        assert TelUri.parse(uri).encode() == uri
    assert made.from_uri.partition(";")[0] == "tel:+8888"
    assert made.to_uri.partition(";")[0] != "tel:+8888"


ADDRESSES = st.text(max_size=20) | st.from_regex(
    r"tel:\+[0-9]{1,15}(;[0-9*#+w-]{0,8})?", fullmatch=True
)


@given(
    ADDRESSES,
    ADDRESSES,
    st.sampled_from(["any", "in", "brackets"]),
    st.sampled_from(["ext", "any"]),
)
def test_no_uri_gives_a_header_that_breaks_its_line(
    source: str, target: str, map_from: str, map_to: str
) -> None:
    for one in targets(configuration(write("/a", map_from, map_to)), source, target):
        for value in (one.from_value, one.to_value):
            assert value.isprintable()
            assert not set(value) & set("<>\r\n")
            assert len(value.encode()) <= MAX_ADDRESS_OCTETS
