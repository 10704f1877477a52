# SPDX-License-Identifier: GPL-3.0-or-later
"""Translating the addresses of text messages."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cig_common.config import TranslateMap, loads
from cig_common.config.patterns import Kind, compile_pattern, subject
from cig_common.config.translate import translate


def rules(*pairs: tuple[str, str]) -> TranslateMap:
    body = "".join(f'rule match "{match}" translation "{to}";\n' for match, to in pairs)
    return loads(f"translate_map t {{ {body} }}").translate_maps[0]


def made(translate_map: TranslateMap, text: str) -> str | None:
    found = translate(translate_map, text)
    return found and found.value


def test_the_first_rule_that_matches_decides_and_is_told() -> None:
    ours = rules(("a{x}", "1{x}"), ("ab{y}c", "2{y}"), ("{x}{y}", "3{y}"), ("ab{z}c", "4"))
    found = translate(ours, "abc")
    assert found is not None
    assert (found.value, found.map_name, found.number) == ("1bc", "t", 1)
    assert (found.caught, found.rule.position.line) == ((("x", "bc"),), 1)
    assert made(ours, "Abc") == "3Abc"
    assert made(ours, "") == "3"
    assert made(rules(), "x") is made(rules(("a", "b")), "c") is None


def test_a_text_is_compared_as_it_is() -> None:
    ours = rules(("A b@{h}", "{h}"), ("sip:{x}@Host", "{x}"))
    assert made(ours, "A b@X") == "X"
    assert made(ours, "a b@X") is made(ours, "SIP:1@Host") is made(ours, "sip:1@host") is None


@pytest.mark.parametrize("match", ["tel:+88-88;{x}", "tel:+8888w{x}", "tel:+8888;{x}"])
@pytest.mark.parametrize("text", ["tel:+8888;1-2w", "tel:+88.88w1-2w", "TEL:+(8888)w1-2w"])
def test_a_match_that_is_a_tel_uri_is_compared_like_one(match: str, text: str) -> None:
    assert made(rules((match, "{x}")), text) == "1-2w"


def test_what_is_no_tel_pattern_gets_a_tel_uri_as_it_is() -> None:
    assert made(rules(("{a}w{b}", "{b}")), "tel:+8888w1") == "1"
    assert made(rules(("{a}-{b}", "{b}"), ("tel:+1{b}", "x{b}")), "tel:+1-1") == "1"
    assert made(rules(("tel:+1{b}", "x{b}"), ("{a}-{b}", "{b}")), "tel:+1-1") == "x1"


def test_names_without_a_value_are_empty() -> None:
    assert made(rules(("tel:+{n}", "sip:{n}@{discard}")), "tel:+1") == "sip:1@"


def test_many_rules_cost_little() -> None:
    many = rules(*((f"sip:{n}@{{h}}", f"tel:+{n}") for n in range(1, 20_001)))
    assert made(many, "sip:20000@x") == "tel:+20000"
    begin = time.process_time()
    for _ in range(100):
        assert made(many, "sip:19999@x") == "tel:+19999"
    assert time.process_time() - begin < 1


PIECES = st.text(st.sampled_from("ab:;w-+1é{x}"), max_size=3)
TEXTS = st.builds("{}{}".format, st.sampled_from(["", "tel:", "tel:+", "TEL:"]), PIECES)


@st.composite
def patterns(draw: st.DrawFn) -> str:
    literals = [draw(st.sampled_from(["", "tel:+", "tel:", "a"]))]
    for name in ("{x}", "{y}")[: draw(st.integers(0, 2))]:
        literals += [name, draw(st.text(st.sampled_from("ab:;w-+1é"), max_size=2))]
    return "".join(literals)


@given(st.lists(patterns(), max_size=6), st.builds("{}{}".format, TEXTS, PIECES))
def test_it_is_what_trying_one_rule_after_the_other_gives(matches: list[str], text: str) -> None:
    ours = rules(*((match, f"{number}") for number, match in enumerate(matches)))
    found = translate(ours, text)
    number = None if found is None else found.number - 1
    for rule in ours.rules[:number]:
        assert translate(rules((rule.match.text, "")), text) is None
    if found is not None:
        assert found.value == str(number)
        if not found.rule.match.text.startswith("tel:"):
            pattern = compile_pattern(found.rule.match.text, Kind.TEXT)
            assert pattern.match(subject(text, Kind.TEXT)) == dict(found.caught)
