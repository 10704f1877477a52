# SPDX-License-Identifier: GPL-3.0-or-later
"""Patterns, compared with a slow matcher that does nothing but try."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cig_common.config.patterns import (
    Kind,
    Pattern,
    PatternError,
    Subject,
    canonical_tel,
    compile_pattern,
    subject,
)


def reference(pattern: Pattern, prepared: Subject) -> list[str] | None:
    """Try every run, shortest first, one parameter after the other."""

    def same(literal: str, place: int) -> bool:
        if place + len(literal) > len(prepared.text):
            return False
        return all(
            prepared.folded[at] == (char.lower() if at >= prepared.host_start else char)
            for at, char in enumerate(literal, place)
        )

    def rest(index: int, place: int) -> list[str] | None:
        literal = pattern.literals[index]
        if not same(literal, place):
            return None
        place += len(literal)
        if index == len(pattern.names):
            return [] if place == len(prepared.text) else None
        for end in range(place, len(prepared.text) + 1):
            tail = rest(index + 1, end)
            if tail is not None:
                return [prepared.text[place:end], *tail]
        return None

    return rest(0, 0)


def caught(pattern: str, text: str, kind: Kind = Kind.SIP) -> dict[str, str] | None:
    return compile_pattern(pattern, kind).match(subject(text, kind))


literals = st.text("aAb@.:1", max_size=3)
patterns = st.lists(literals, min_size=1, max_size=5).map(
    lambda parts: "".join(
        part + (f"{{p{index}}}" if index < len(parts) - 1 else "")
        for index, part in enumerate(parts)
    )
)
texts = st.text("aAbB@.:1", max_size=14)


@pytest.mark.parametrize("kind", Kind)
@given(pattern=patterns, text=texts, scheme=st.sampled_from(["", "sip:", "SIP:"]))
def test_agrees_with_the_reference(kind: Kind, pattern: str, text: str, scheme: str) -> None:
    compiled = compile_pattern(scheme + pattern, kind)
    prepared = subject(scheme + text, kind)
    found = compiled.match(prepared)
    assert (None if found is None else list(found.values())) == reference(compiled, prepared)


@given(pattern=patterns, values=st.lists(texts, min_size=5, max_size=5))
def test_what_is_substituted_matches(pattern: str, values: list[str]) -> None:
    compiled = compile_pattern("sip:" + pattern, Kind.SIP)
    text = compiled.substitute(dict(zip(compiled.names, values, strict=False)))
    found = compiled.match(subject(text, Kind.SIP))
    assert found is not None
    again = compiled.substitute(found)
    # The same text again, but for the case of literals in the host part.
    assert again.lower() == text.lower()


@given(values=st.lists(st.text("23456789xyz", max_size=9), min_size=3, max_size=3))
def test_values_without_literal_characters_come_back(values: list[str]) -> None:
    compiled = compile_pattern("sip:{a}1{b}@{c}.com", Kind.SIP)
    given_values = dict(zip("abc", values, strict=True))
    assert compiled.match(subject(compiled.substitute(given_values), Kind.SIP)) == given_values


def test_shortest_run_from_the_left() -> None:
    assert caught("sip:{a}@{b}", "sip:x@y@z") == {"a": "x", "b": "y@z"}
    assert caught("sip:{a}{b}@h", "sip:xy@h") == {"a": "", "b": "xy"}
    assert caught("sip:{a}@h{b}", "sip:@h") == {"a": "", "b": ""}
    # The first literal and the last one never share characters.
    assert caught("sip:a{x}a", "sip:a") is None


def test_case() -> None:
    assert caught("sip:{a}@PBX.com", "SIP:Ab@pbx.COM") == {"a": "Ab"}
    assert caught("sip:a{x}@h", "sip:Ab@h") is None
    assert caught("sip:{x}.COM", "sip:a@b.com") == {"x": "a@b"}
    assert caught("sip:A{x}", "sip:a@b") is None
    assert caught("sip:PBX.com", "sip:pbx.com") == {}
    assert caught("tel:+1;A{x}", "TEL:+1;Ab", Kind.TEL) == {"x": "b"}
    assert caught("tel:+1;A{x}", "tel:+1;ab", Kind.TEL) is None
    assert caught("Tel:{x}", "tel:1", Kind.TEXT) is None
    # A letter whose lower case is longer than itself must not move the captures.
    assert caught("sip:{a}@x{b}.com", "sip:\u0130@X\u01301.com") == {"a": "\u0130", "b": "\u01301"}


def test_tel_is_canonical_on_both_sides() -> None:
    assert canonical_tel("TEL:+46-(70).1w1-2w3") == "tel:+46701;1-2w3"
    assert canonical_tel("tel:+1;a.b") == "tel:+1;a.b"
    assert canonical_tel("sip:a.b@c") == "sip:a.b@c"
    assert canonical_tel("tel:") == "tel:"
    assert caught("tel:+88-88w{e}", canonical_tel("tel:+8888;1"), Kind.TEL) == {"e": "1"}
    assert caught("tel:+{n}.1w{e}.", "tel:+9991;7.", Kind.TEL) == {"n": "999", "e": "7"}


@pytest.mark.parametrize(
    ("text", "offset"),
    [("a{b", 1), ("a}b", 1), ("{}", 0), ("{a{b}}", 0), ("{1a}", 0), ("{a}{a}", 3), ("a\tb", 1),
     ("{a b}", 2), ("\u200b", 0)],
)  # fmt: skip
def test_bad_patterns(text: str, offset: int) -> None:
    with pytest.raises(PatternError) as caught_error:
        compile_pattern(text, Kind.SIP)
    assert caught_error.value.offset == offset


@given(pattern=patterns, text=texts, scheme=st.sampled_from(["sip:", "SIP:", ""]))
def test_what_matches_comes_back_by_substitution(pattern: str, text: str, scheme: str) -> None:
    compiled = compile_pattern(scheme + pattern, Kind.SIP)
    prepared = subject(scheme + text, Kind.SIP)
    found = compiled.match(prepared)
    if found is not None:
        # But for the case of literals in the scheme and the host part.
        again = subject(compiled.substitute(found), Kind.SIP)
        assert again.folded == prepared.folded


@given(pattern=patterns, values=st.lists(st.text("12;,", max_size=4), min_size=5, max_size=5))
def test_what_is_caught_gives_the_same_text_again(pattern: str, values: list[str]) -> None:
    compiled = compile_pattern("tel:" + pattern, Kind.TEL)
    text = canonical_tel(compiled.substitute(dict(zip(compiled.names, values, strict=False))))
    found = compiled.match(subject(text, Kind.TEL))
    if found is not None:
        assert compiled.substitute(found) == text


class Counting(str):
    """A text that counts how many characters were searched."""

    searched = 0

    def find(self, *args: Any) -> int:
        found = super().find(*args)
        _, start, stop = args
        Counting.searched += max(0, (stop if found < 0 else found + len(args[0])) - start)
        return found


@pytest.mark.parametrize("count", [1, 40, 1000])
@pytest.mark.parametrize("end", ["", "2", "@", "@1"])
@pytest.mark.parametrize("texts", ["1", "1@", "@1", "1" * 50 + "@"])
def test_no_text_is_slow(count: int, end: str, texts: str) -> None:
    names = [f"{{p{index}}}" for index in range(count)]
    compiled = compile_pattern("sip:" + "1".join(names) + end, Kind.SIP)
    text = "sip:" + texts * (4000 // len(texts)) + end
    prepared = subject(text, Kind.SIP)
    counting = Subject(text, Counting(prepared.folded), prepared.host_start)
    Counting.searched = 0
    compiled.match(counting)
    assert Counting.searched <= 2 * len(text)
