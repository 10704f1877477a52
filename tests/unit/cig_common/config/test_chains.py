# SPDX-License-Identifier: GPL-3.0-or-later
"""Chains: the first entry to match, found by an index, against trying all entries by hand."""

import re
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cig_common.config import Configuration, Interface, loads

Side = Interface


def lower(char: str) -> str:
    return char.lower() if char.isascii() else char


def by_hand(pattern: str, text: str, side: Interface) -> list[str] | None:
    """Match as cig.conf(5) says it, trying every run, shortest first; None: no match.

    `text` has a scheme in any case. On the tel side `text` is in canonical form.
    """
    if side is Side.TEL:
        number, mark, rest = re.match(r"((?:\{\w+\}|[^;w{])*)([;w]?)(.*)", pattern).groups()
        pattern = re.sub(r"[-.()]", "", number) + (";" if mark else "") + rest
    scheme = text.index(":") + 1
    host = len(text)
    if side is Side.SIP:
        host = text.index("@") + 1 if "@" in text else scheme
    parts: list[str] = []
    for token in re.findall(r"\{\w+\}|[^{]", pattern):
        parts.append("" if len(token) > 1 else token)

    def rest_of(index: int, place: int) -> list[str] | None:
        if index == len(parts):
            return [] if place == len(text) else None
        if parts[index]:
            if place == len(text):
                return None
            folds = place < scheme or place >= host
            fold = lower if folds else str
            same = fold(parts[index]) == fold(text[place])
            return rest_of(index + 1, place + 1) if same else None
        for end in range(place, len(text) + 1):
            tail = rest_of(index + 1, end)
            if tail is not None:
                return [text[place:end], *tail]
        return None

    return rest_of(0, 0)


def configuration(maps: list[list[tuple[str, str]]]) -> Configuration:
    """Name the maps m0, m1, … and let both interfaces have them all."""
    text = ""
    for number, entries in enumerate(maps):
        written = "\n".join(f'entry e sip "{sip}" tel "{tel}";' for sip, tel in entries)
        text += f"map m{number} {{ {written} }}\n"
    uses = " ".join(f"extension map m{number};" for number in range(len(maps)))
    return loads(f"{text} interfaces {{ tel {{ {uses} }} sip {{ {uses} bind ::1; }} }}")


def join(tokens: list[str]) -> str:
    """Number the parameters, so that none stands twice."""
    return "".join(f"{{p{at}}}" if token == "{}" else token for at, token in enumerate(tokens))


def tokens(alphabet: list[str]) -> st.SearchStrategy[str]:
    return st.lists(st.sampled_from([*alphabet, "{}"]), max_size=6).map(join)


SIP = ["a", "A", "1", "@", "h", "H", ".", "\u0130"]
TEL = ["+", "1", "2", ";", "w", "-", "a", "A"]
sip_patterns = st.tuples(st.sampled_from(["sip:", "sip:", "SIP:", "sips:"]), tokens(SIP)).map(
    "".join
)
tel_patterns = st.tuples(st.sampled_from(["tel:", "tel:+", "TEL:"]), tokens(TEL)).map("".join)
entries = st.lists(st.tuples(sip_patterns, tel_patterns), max_size=8)
sip_texts = st.tuples(
    st.sampled_from(["sip:", "SiP:", "sips:"]), st.text("aA1@hH.\u0130", max_size=7)
)
tel_texts = st.tuples(
    st.sampled_from(["tel:", "Tel:"]),
    st.from_regex(r"[+12]{0,4}(;[-+12waA;]{0,4})?", fullmatch=True),
)
values = st.lists(st.text("aA1@hH.", max_size=3), min_size=7, max_size=7)


@given(st.lists(entries, min_size=1, max_size=3), sip_texts.map("".join), tel_texts.map("".join))
def test_first_agrees_with_trying_by_hand(
    maps: list[list[tuple[str, str]]], sip: str, tel: str
) -> None:
    config = configuration(maps)
    for side, text in ((Side.SIP, sip), (Side.TEL, tel.replace("Tel", "tel"))):
        for chain in (config.to_chain(side), config.from_chain(side)):
            expected = None
            for number, rules in enumerate(maps):
                for index, rule in enumerate(rules):
                    caught = by_hand(rule[side is Side.TEL], text, side)
                    if expected is None and caught is not None:
                        expected = (f"m{number}", rules.index(rule), caught)
                        assert rules[index] == rule
            found = chain.first(text)
            if found is None:
                assert expected is None
                continue
            use, entry, got = found
            at = list(use.map.entries).index(entry)
            assert (use.map.name, at, list(got.values())) == expected


@given(st.lists(entries, min_size=1, max_size=2), values, st.randoms(use_true_random=False))
def test_no_text_reaches_what_is_covered(
    maps: list[list[tuple[str, str]]], caught: list[str], random: Random
) -> None:
    config = configuration(maps)
    rules = [rule for each in maps for rule in each]
    for side in Side:
        chain = config.to_chain(side)
        told = dict(chain.covered())
        for number, by in told.items():
            assert by < number
            pattern, earlier = (rules[at][side is Side.TEL] for at in (number, by))
            text = pattern
            for value in caught:
                text = re.sub(r"\{\w+\}", value, text, count=1)
            text = "".join(random.choice((char, char.swapcase()[:1])) for char in text)
            if by_hand(pattern, text, side) is not None:
                assert by_hand(earlier, text, side) is not None
        # And an entry that is written twice is told the second time.
        for number, rule in enumerate(rules):
            if rule[side is Side.TEL] in [each[side is Side.TEL] for each in rules[:number]]:
                assert number in told


COVERED = [
    ("sip:{x}@h", "sip:1@h", True),
    ("sip:1@h", "sip:{x}@h", False),
    ("sip:{x}@H", "sip:{y}@h", True),
    ("sip:A{x}@h", "sip:a{y}@h", False),
    ("sip:{x}", "sip:{a}@{b}", True),
    ("sip:{a}@{b}", "sip:{x}", False),
    # The `@` of what is caught makes what stands before it a user part, where case counts.
    ("sip:a{x}", "sip:A{x}", False),
    ("sip:a{x}", "sip:a{x}", True),
    ("sip:a{x}", "sip:a1{x}", True),
    ("sip:PBX.com", "sip:pbx.com", True),
    ("sip:pbx{x}", "sip:PBX.com", True),
    ("sip:{x}.com", "sip:{x}.COM", False),
    ("sip:{x}@a.com", "sip:{x}@{y}.com", False),
    ("sip:{x}@{y}.COM", "sip:{x}@a.com", True),
    ("sip:{x}1{y}", "sip:{x}2{y}", False),
    ("sip:{x}1{y}", "sip:{x}21{y}@h", True),
    ("sip:1{x}1@h", "sip:1@h", False),
    ("sips:{x}", "sip:{x}", False),
    ("{x}", "sip:{x}", True),
]
TEL_COVERED = [
    ("tel:+{x}", "tel:+1;{e}", True),
    ("tel:+1w{e}", "tel:+1;{e}", True),
    ("tel:+1-2{x}", "tel:+12{x}", True),
    ("tel:+1;A{x}", "tel:+1;a{x}", False),
    ("tel:+1;{x}", "tel:+1{x}", False),
]


@pytest.mark.parametrize(("earlier", "later", "covers"), COVERED)
def test_covered_on_the_sip_side(earlier: str, later: str, covers: bool) -> None:
    chain = configuration([[(earlier, "tel:+1")], [(later, "tel:+2")]]).to_chain(Side.SIP)
    assert list(chain.covered()) == ([(1, 0)] if covers else [])


@pytest.mark.parametrize(("earlier", "later", "covers"), TEL_COVERED)
def test_covered_on_the_tel_side(earlier: str, later: str, covers: bool) -> None:
    chain = configuration([[("sip:1@h", earlier), ("sip:2@h", later)]]).to_chain(Side.TEL)
    assert list(chain.covered()) == ([(1, 0)] if covers else [])


def test_the_four_chains() -> None:
    config = loads(
        """
        map a { entry x sip "sip:1@h" tel "tel:+1"; entry y sip "sip:2@h" tel "tel:+2"; }
        map b { entry x sip "sip:3@h" tel "tel:+3"; }
        map c { entry x sip "sip:4@h" tel "tel:+4"; }
        interfaces {
          tel { extension map a; extension map b; extension map a; source map c; }
          sip { extension map b; bind ::1; }
        }"""
    )
    of = {
        "to tel": config.to_chain(Side.TEL),
        "to sip": config.to_chain(Side.SIP),
        "from tel": config.from_chain(Side.TEL),
        "from sip": config.from_chain(Side.SIP),
    }
    assert {name: [use.map.name for use in chain.uses] for name, chain in of.items()} == {
        "to tel": ["a", "b"],
        "to sip": ["b"],
        "from tel": ["b"],
        "from sip": ["c"],
    }
    assert {name: chain.side.value for name, chain in of.items()} == {
        name: name.split()[1] for name in of
    }
    chain = of["to tel"]
    assert len(chain) == 3
    assert [(chain.locate(n)[0].map.name, chain.locate(n)[1]) for n in range(3)] == [
        ("a", 0),
        ("a", 1),
        ("b", 0),
    ]
    # The map's first place is where the use is told.
    assert chain.uses[0] is config.tel.extension_maps[0]
    assert list(chain.covered()) == []
    assert len(loads("").to_chain(Side.TEL)) == 0


def test_chains_of_the_same_maps_share_an_index() -> None:
    chains = configuration([[("sip:1@h", "tel:+1")]]).chains
    assert chains.to_tel._index is chains.from_tel._index
    assert chains.to_sip._index is chains.from_sip._index
