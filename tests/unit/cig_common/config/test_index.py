# SPDX-License-Identifier: GPL-3.0-or-later
"""The index, compared with trying every pattern in its order."""

import pickle
import random
import time
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cig_common.config.index import CROWD, PatternIndex
from cig_common.config.patterns import Kind, Pattern, compile_pattern, subject

KINDS = (Kind.SIP, Kind.TEL)


def compiled(texts: Sequence[str], kind: Kind = Kind.SIP) -> list[Pattern]:
    return [compile_pattern(text, kind) for text in texts]


def index_of(patterns: Sequence[Pattern]) -> PatternIndex:
    return PatternIndex.build(pattern.literals for pattern in patterns)


def naive(patterns: Sequence[Pattern], text: str, kind: Kind) -> list[int]:
    prepared = subject(text, kind)
    return [number for number, one in enumerate(patterns) if one.match(prepared) is not None]


def check(patterns: Sequence[Pattern], index: PatternIndex, text: str, kind: Kind) -> None:
    """What the index promises of one text."""
    candidates = index.candidates(text)
    assert all(low < high for low, high in pairwise(candidates))
    expected = naive(patterns, text, kind)
    known: set[tuple[str, ...]] = set()
    for number in expected:
        # Of patterns that are the same the first is enough.
        assert number in candidates or patterns[number].literals in known
        known.add(patterns[number].literals)
    prepared = subject(text, kind)
    verified = (number for number in candidates if patterns[number].match(prepared) is not None)
    assert next(verified, None) == next(iter(expected), None)


def with_parameters(parts: Sequence[str]) -> str:
    """Put a parameter between each two parts."""
    return "".join(
        part + (f"{{p{number}}}" if number < len(parts) - 1 else "")
        for number, part in enumerate(parts)
    )


# Few different characters, so that much matches; Kelvin's sign and 'İ' change with str.lower.
ALPHABET = "aAb1@.:;İK"
literals = st.text(ALPHABET, max_size=3)
rules = st.builds(
    lambda scheme, parts: scheme + with_parameters(parts),
    st.sampled_from(["", "sip:", "SIP:", "tel:"]),
    st.lists(literals, min_size=1, max_size=5),
)
uris = st.builds(
    lambda scheme, rest: scheme + rest,
    st.sampled_from(["", "sip:", "Sip:", "tel:", "TEL:"]),
    st.text(ALPHABET, max_size=12),
)


@pytest.mark.parametrize("kind", KINDS)
@given(rules=st.lists(rules, max_size=30), texts=st.lists(uris, min_size=1, max_size=8))
@example(rules=["", "{a}", "{a}{b}", "a", "A"], texts=["", "a", "A", "İ", "\ud800"])
@example(rules=["a{x}a", "aa{x}a", "a{x}aa"], texts=["a", "aa", "aaa", "aaaa"])
def test_agrees_with_trying_all(kind: Kind, rules: list[str], texts: list[str]) -> None:
    patterns = compiled(rules, kind)
    index = index_of(patterns)
    for text in texts:
        check(patterns, index, text, kind)


# Always one crowd: the same prefix and suffix, and more of them than are simply tried.
crowds = st.lists(
    st.lists(literals, max_size=3).map(lambda middles: with_parameters(["sip:", *middles, ""])),
    min_size=CROWD + 1,
    max_size=5 * CROWD,
)


@given(rules=crowds, other=rules, texts=st.lists(uris, min_size=1, max_size=8))
def test_agrees_with_trying_all_of_a_crowd(rules: list[str], other: str, texts: list[str]) -> None:
    patterns = compiled([*rules, other])
    index = index_of(patterns)
    for text in texts:
        check(patterns, index, text, Kind.SIP)


@given(rules=st.lists(rules, min_size=1, max_size=30), data=st.data())
def test_what_a_pattern_gives_finds_it(rules: list[str], data: st.DataObject) -> None:
    patterns = compiled(rules)
    index = index_of(patterns)
    pattern = data.draw(st.sampled_from(patterns))
    values = {name: data.draw(literals) for name in pattern.names}
    check(patterns, index, pattern.substitute(values), Kind.SIP)


def test_of_nothing() -> None:
    index = PatternIndex.build(())
    assert len(index) == 0
    assert list(index.candidates("")) == []
    assert list(index.candidates("sip:a@b")) == []


def test_takes_an_iterator_once() -> None:
    index = PatternIndex.build(iter([("sip:a",), ("sip:", "@b")]))
    assert len(index) == 2
    assert list(index.candidates("sip:a@b")) == [1]


def test_prefix_and_suffix_do_not_overlap() -> None:
    index = PatternIndex.build([("sip:11", "11")])
    assert list(index.candidates("sip:111")) == []
    assert list(index.candidates("sip:1111")) == [0]


def test_candidates_are_in_the_order_of_the_patterns() -> None:
    index = PatternIndex.build([("", ""), ("sip:1", "@b"), ("sip:", "b"), ("sip:12@b",), ("", "c")])
    assert list(index.candidates("sip:12@b")) == [0, 1, 2, 3]
    assert list(index.candidates("sip:2@b")) == [0, 2]
    assert list(index.candidates("sip:2@c")) == [0, 4]


@pytest.mark.parametrize("same", [("sip:a@b",), ("sip:", "@b"), ("sip:", "@", ".b", "")])
def test_many_duplicates_cost_nothing(same: tuple[str, ...]) -> None:
    index = PatternIndex.build([("x",), *[same] * 10_000, ("", "")])
    assert list(index.candidates("".join(same))) == [1, 10_001]


def test_duplicates_but_for_case_are_kept() -> None:
    users = ["bob", "Bob", "BOB", "boB", "bOb", "BoB", "bOB", "BOb", "bob"]
    patterns = compiled([f"sip:{user}@{{host}}" for user in users])
    index = index_of(patterns)
    for user in users:
        check(patterns, index, f"sip:{user}@example.com", Kind.SIP)


def hosts(size: int) -> list[str]:
    return [f"sip:{{n}}@host{number}.example.com{{discard}}" for number in range(size)]


def test_a_crowd_is_told_apart_by_its_middle_literals() -> None:
    patterns = compiled([*hosts(3000), "sip:{n}{m}", "sip:{n}"])
    index = index_of(patterns)
    for number in (0, 1, 999, 2999):
        found = index.candidates(f"sip:1@HOST{number}.example.com;user=phone")
        assert found[0] == number
        assert len(found) <= 3
        check(patterns, index, f"sip:1@host{number}.example.com", Kind.SIP)
    assert list(index.candidates("sip:1@host3000.example.com")) == [3000, 3001]


def test_a_crowd_is_told_apart_by_its_rarest_literal() -> None:
    texts = [f"sip:{{a}}x{number}y{{b}}@one.very.long.example.com{{c}}" for number in range(3000)]
    index = index_of(compiled(texts))
    assert list(index.candidates("sip:0x77y0@one.very.long.example.com;a")) == [77]


def test_a_crowd_is_told_apart_by_two_literals() -> None:
    texts = [f"sip:{{a}}x{one}y{{b}}@z{two}w{{c}}" for one in range(60) for two in range(60)]
    patterns = compiled(texts)
    index = index_of(patterns)
    assert list(index.candidates("sip:0x7y0@z11w")) == [7 * 60 + 11]
    check(patterns, index, "sip:x7yx8y@z11wz12w", Kind.SIP)


def test_long_middle_literals_that_begin_alike() -> None:
    texts = [f"sip:{{a}}{'1' * 100}{number}@{{b}}" for number in range(CROWD * 2)]
    patterns = compiled(texts)
    index = index_of(patterns)
    check(patterns, index, f"sip:22{'1' * 100}7@b", Kind.SIP)
    check(patterns, index, f"sip:22{'1' * 99}7@b", Kind.SIP)


def test_many_lengths_of_suffix_beside_many_prefixes() -> None:
    rng = random.Random(3)
    texts = [
        f"sip:{rng.randrange(10 ** rng.randint(1, 4))}{{n}}@{'h' * rng.randint(1, 9)}.com"
        for _ in range(2000)
    ]
    patterns = compiled(texts)
    index = index_of(patterns)
    for text in rng.sample(texts, 200):
        check(patterns, index, text.replace("{n}", str(rng.randrange(1000))), Kind.SIP)
        check(patterns, index, text.replace("{n}", "").replace(".com", ".net"), Kind.SIP)


def test_random_plan_of_every_kind() -> None:
    rng = random.Random(4)
    texts = []
    for number in range(3000):
        digits = str(rng.randrange(10**6))
        texts.append(
            (
                f"sip:{digits}@pbx.com",
                f"sip:{digits}@{{discard}}",
                f"sip:{digits[:3]}{{n}}@pbx{number % 50}.com",
                f"sip:{{n}}@host{number}.example.com{{discard}}",
                f"sip:{{n}}@host{number}.example.com",
                f"{{all}}{digits}",
            )[number % 6]
        )
    patterns = compiled([*texts, "sip:{n}@{discard}"])
    index = index_of(patterns)
    for text in rng.sample(texts, 100):
        filled = compile_pattern(text, Kind.SIP).substitute(
            {"n": "12", "discard": ":5060", "all": "sip:"}
        )
        check(patterns, index, filled, Kind.SIP)


def test_texts_of_the_greatest_length() -> None:
    ends = ("", "1", "11", "1@b", "2")
    rules = [f"sip:1{{a}}{end}" for end in ends] + ["sip:{a}1{b}1{c}", "sip:" + "1" * 4092]
    patterns = compiled(rules)
    index = index_of(patterns)
    for text in ("sip:" + "1" * 4092, "sip:" + "1" * 4091 + "2", "sip:2" + "1" * 4091, "1" * 4096):
        check(patterns, index, text, Kind.SIP)


@pytest.mark.parametrize("suffix", [False, True])
def test_thousands_of_lengths(suffix: bool) -> None:
    ones = ["1" * length for length in range(1, 4001)]
    rules = [("sip:", one) if suffix else ("sip:" + one, "") for one in reversed(ones)]
    index = PatternIndex.build(rules)
    text = "sip:" + "1" * 2000
    assert list(index.candidates(text)) == list(range(2000, 4000))
    assert list(index.candidates("sip:2" + "1" * 2000 + "2")) == []


def seconds(index: PatternIndex, text: str) -> float:
    best = float("inf")
    for _ in range(5):
        # The thread's own time: what others do on the machine does not count.
        start = time.thread_time()
        index.candidates(text)
        best = min(best, time.thread_time() - start)
    return best


@pytest.mark.parametrize(
    "rules",
    [
        [("", *"1" * 400, "2")],
        [("", *"1" * count, "") for count in range(1, 60)],
        [("", "1" * count, "") for count in range(1, 60)],
        [("1" * count, "") for count in range(4000)],
        [("", "1" * count) for count in range(4000)],
        [("1" * (count // 60), "1" * (count % 60)) for count in range(3600)],
    ],
)
def test_patterns_of_ones_stay_linear(rules: list[tuple[str, ...]]) -> None:
    index = PatternIndex.build(rules)
    short, long = seconds(index, "1" * 1024), seconds(index, "1" * 4096)
    # Quadratic would be 16 times as long.
    assert long < 10 * short + 0.002


@given(rules=st.lists(rules, max_size=20), text=uris)
def test_pickles(rules: list[str], text: str) -> None:
    index = index_of(compiled(rules))
    for protocol in range(2, 6):
        again = pickle.loads(pickle.dumps(index, protocol))
        assert len(again) == len(index)
        assert again.candidates(text) == index.candidates(text)


def test_pickles_small() -> None:
    index = PatternIndex.build((f"sip:{number}@", "") for number in range(10_000))
    octets = pickle.dumps(index, 5)
    assert len(octets) < 30 * len(index)
    assert list(pickle.loads(octets).candidates("sip:77@pbx.com")) == [77]


def test_does_not_change() -> None:
    index = PatternIndex.build([("sip:", "")])
    with pytest.raises(AttributeError):
        index._size = 2  # type: ignore[misc]
