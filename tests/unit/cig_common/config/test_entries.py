# SPDX-License-Identifier: GPL-3.0-or-later
"""Entries are kept as text: what is decoded of it is what the file says, and where it says it."""

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cig_common.config import ConfigError, Configuration, Entry, loads
from cig_common.config.entries import Entries, EntryRun
from cig_common.config.patterns import PatternError, compile_pattern
from cig_common.config.syntax import Block, parse, statements

HEAD, TAIL = "map m {", "}\n"

DECOY = 'entry decoy sip "sip:1@h" tel "tel:+1";'
gaps = st.lists(
    st.sampled_from(
        [" ", "\t", "\n", "\r\n", "/* c */", f"/*{DECOY}\n**/", f"//{DECOY}\n", "//\n"]
    ),
    max_size=3,
).map("".join)
spaces = gaps.filter(bool)
names = st.from_regex(r"[A-Za-z][A-Za-z0-9_.-]{0,5}", fullmatch=True)
literals = st.text("aA19.-;:/*@[]+%\u00e5", max_size=5)
sides = st.lists(literals, min_size=1, max_size=4).map(
    lambda parts: "".join(
        part + (f"{{p{index}}}" if index < len(parts) - 1 else "")
        for index, part in enumerate(parts)
    )
)


@st.composite
def written_entries(draw: st.DrawFn) -> tuple[str, tuple[str, str, str]]:
    """An entry with gaps where the language has them, and its name, sip side and tel side."""
    name, sip, tel = draw(names), draw(sides), draw(sides)
    pairs = [("sip", sip), ("tel", tel)]
    if draw(st.booleans()):
        pairs.reverse()
    text = draw(gaps) + "entry" + draw(spaces) + name + draw(spaces)
    for word, value in pairs:
        text += word + draw(gaps) + f'"{value}"' + draw(gaps)
    return text + ";", (name, sip, tel)


def place(text: str, offset: int) -> tuple[int, int]:
    before = text[:offset].split("\n")
    return len(before), len(before[-1]) + 1


def load_map(body: str) -> Entries:
    return loads(HEAD + body + TAIL).maps[0].entries


@given(st.lists(written_entries(), max_size=6), gaps)
def test_what_is_decoded_is_what_is_written(
    written: list[tuple[str, tuple[str, str, str]]], end: str
) -> None:
    text = HEAD + "".join(part for part, _ in written) + end
    entries = loads(text + TAIL).maps[0].entries
    assert [(entry.name, entry.sip.text, entry.tel.text) for entry in entries] == [
        facts for _, facts in written
    ]
    assert list(entries.texts()) == [facts[1:] for _, facts in written]
    lines = text.split("\n")
    for entry in entries:
        assert lines[entry.position.line - 1][entry.position.column - 1 :].startswith("entry")
        for pattern in (entry.sip, entry.tel):
            assert lines[pattern.line - 1][pattern.column - 2 :].startswith(f'"{pattern.text}"')
            assert pattern == compile_pattern(
                pattern.text, pattern.kind, pattern.line, pattern.column
            )


@given(st.lists(written_entries(), min_size=1, max_size=4))
def test_a_run_is_short_for_its_statements(
    written: list[tuple[str, tuple[str, str, str]]],
) -> None:
    text = "".join(part for part, _ in written)
    # A block that is no map, read word by word since a word stands before it.
    (block,) = parse(f"x {{ word; {text} }}")
    (plain,) = parse(f"x {{ word; {text.replace('entry', 'entrx')} }}")
    assert isinstance(block, Block)
    assert isinstance(plain, Block)
    made = [
        item for run in block.items[1:] if isinstance(run, EntryRun) for item in statements(run)
    ]
    assert len(made) == len(written)
    for statement, other in zip(made, plain.items[1:], strict=True):
        assert statement.words[1:] == other.words[1:]
        assert statement.words[0].column == other.words[0].column


def test_positions_over_lines_and_comments() -> None:
    (entry,) = load_map(f'\n  /* {DECOY}\n */ entry e // x\n tel\n\t"tel:+1" sip "sip:1@h" ;')
    assert (entry.position.line, entry.position.column) == (3, 5)
    assert (entry.tel.line, entry.tel.column) == (5, 3)
    assert (entry.sip.line, entry.sip.column) == (5, 16)


def many(count: int) -> str:
    return "".join(f'entry e{n} sip "sip:{n}@h" tel "tel:+{n}";\n' for n in range(count))


def test_more_entries_than_one_run_takes() -> None:
    entries = load_map("\n" + many(2500))
    assert len(entries) == 2500
    for index in (0, 999, 1000, 1001, 1999, 2000, 2499):
        entry = entries[index]
        assert (entry.name, entry.position.line) == (f"e{index}", index + 2)
        assert (entry.tel.column, entry.tel.text) == (
            len(f'entry e{index} sip "sip:{index}@h" tel "') + 1,
            f"tel:+{index}",
        )


def test_a_sequence_of_entries() -> None:
    entries = load_map(many(5))
    assert entries[-1].name == "e4"
    assert [entry.name for entry in entries[1:4:2]] == ["e1", "e3"]
    assert entries[2] in entries
    assert next(reversed(entries)) == entries[4]
    with pytest.raises(IndexError):
        entries[5]
    assert repr(entries) == "<5 entries>"
    assert not Entries()


def test_equal_where_the_same_entries_stand_at_the_same_places() -> None:
    one, same = load_map(many(5)), load_map(many(5))
    assert one == same
    assert hash(one) == hash(same)
    assert one == load_map(many(5).replace("\n", "/**/\n"))
    assert one != load_map(" " + many(5))
    assert one != load_map(many(6))
    assert one != tuple(one)
    assert loads(HEAD + many(3) + TAIL) == loads(HEAD + many(3) + TAIL)


def test_a_malformed_entry_is_told_and_nothing_else() -> None:
    lines = (many(3) + 'entry x sip "sip:1@h";\n' + many(3) + "entry y\n" + many(2)).splitlines()
    with pytest.raises(ConfigError) as refused:
        loads("map m {\n" + "\n".join(lines) + "\n}")
    assert [problem.line for problem in refused.value.problems] == [5, 10]


def test_every_bad_pattern_is_told_at_its_place() -> None:
    text = many(1200) + 'entry x sip "sip:{a}{a}@h" tel "tel:{";\n' + many(2)
    with pytest.raises(ConfigError) as refused:
        loads("map m {\n" + text + 'entry y tel "}" sip "sip:1 @h";}')
    found = [(problem.line, problem.column) for problem in refused.value.problems]
    assert found == [(1202, 21), (1202, 37), (1205, 14), (1205, 27)]


def test_an_entry_with_a_bad_pattern_is_left_out() -> None:
    told: list[PatternError] = []
    run = EntryRun('entry x sip "{" tel "t";' + DECOY, 1, 1)
    entries = Entries.read([run, run], lambda _, error: told.append(error))
    assert [entry.name for entry in entries] == ["decoy", "decoy"]
    assert len(told) == 2


@pytest.mark.parametrize(
    "text",
    [
        DECOY,
        f"interfaces {{ {DECOY} }}",
        f"interfaces {{ tel {{ {DECOY} }} }}",
        f"translate_map t {{ {DECOY} }}",
        f"mailboxes {{ read {{ {DECOY} }} }}",
    ],
)
def test_a_run_in_a_wrong_block(text: str) -> None:
    with pytest.raises(ConfigError) as refused:
        loads(text)
    assert any("`entry` is no statement" in each.message for each in refused.value.problems)


def test_a_pickled_configuration_is_the_same_and_small() -> None:
    text = HEAD + many(2000) + TAIL + "interfaces { tel { extension map m; } }"
    config = loads(text)
    packed = pickle.dumps(config, pickle.HIGHEST_PROTOCOL)
    assert len(packed) < 4 * len(text)
    again = pickle.loads(packed)
    assert isinstance(again, Configuration)
    assert again == config
    found = again.chains.to_tel.first("tel:+1234")
    assert found is not None
    use, entry, values = found
    assert use == again.tel.extension_maps[0]
    assert (entry, values) == (config.maps[0].entries[1234], {})
    assert isinstance(entry, Entry)
