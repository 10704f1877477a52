# SPDX-License-Identifier: GPL-3.0-or-later
"""What `make docs` writes: the table in docs/configuration.md is up to date, the man page sound."""

import re
from itertools import pairwise

import pytest
from make_docs import (
    GUIDE,
    MAN_SOURCE,
    WARNINGS,
    man_code,
    man_page,
    markdown_table,
    places,
    with_table,
)

from cig_common.config import loads
from cig_common.config.statements import STATEMENTS, Context, Spec

PAGE = man_page(MAN_SOURCE.read_text("utf-8"))
LINES = PAGE.splitlines()
MACROS = {"B", "BI", "BR", "EE", "EX", "I", "IP", "IR", "PD", "PP", "RB", "SH", "SS", "TH", "TP"}
ESCAPE = re.compile(r'\\(?:f[BIR]|\((?:aq|bu|ga|ha|ti)|[-&e"])')
LONGEST_LINE = 80

# The surroundings in which the example of a statement is a whole file.
PLACES = {
    Context.FILE: "%s",
    Context.MAP: "map m { %s }",
    Context.TRANSLATE_MAP: "translate_map t { %s }",
    Context.INTERFACES: "interfaces { %s }",
    Context.TEL: "interfaces { tel { %s } }",
    Context.SIP: "interfaces { sip { %s } }",
    Context.MAILBOXES: "mailboxes { %s }",
    Context.READ: "mailboxes { read { %s } }",
    Context.WRITE: "mailboxes { write { %s } }",
}
MAILBOX = {
    "path": 'path "/m";',
    "map_from": "map_from translate_map users;",
    "map_to": "map_to translate_map users;",
}
SPECS = list(places().items())


def in_full(spec: Spec, context: Context) -> str:
    """Return a configuration with the example of `spec` in `context`."""
    inner = spec.example
    if context in (Context.READ, Context.WRITE):
        others = [text for key, text in MAILBOX.items() if key != spec.keywords[0]]
        inner = "\n".join([inner, *others])
    made = PLACES[context] % inner
    named = [f"map {name} {{ }}" for name in ("maptel2sip", "mapsip2tel", "srctel2sip")]
    named += [f"translate_map {name} {{ }}" for name in ("users", "extensions")]
    return "\n".join([made, *(one for one in named if one.partition("{")[0] not in made)])


def examples() -> list[str]:
    """Return the examples of the man page as they come out on paper."""
    found = re.findall(r"^\.EX\n(.*?)^\.EE$", PAGE, re.MULTILINE | re.DOTALL)
    return [re.sub(r"\\([-&])", lambda seen: seen[1].strip("&"), text) for text in found]


def test_every_statement_of_the_table_has_its_place() -> None:
    together = {(context, spec) for spec, contexts in places().items() for context in contexts}
    assert together == {(one, spec) for one, specs in STATEMENTS.items() for spec in specs}


def test_the_guide_is_what_make_docs_writes() -> None:
    guide = GUIDE.read_text("utf-8")
    assert with_table(guide) == guide, "run `make docs`"
    assert markdown_table() in guide


@pytest.mark.parametrize("spec", [spec for spec, _ in SPECS], ids=lambda spec: spec.keyword)
def test_every_statement_is_told_in_full(spec: Spec) -> None:
    assert spec.text
    assert not spec.text.endswith(".")
    assert spec.example
    assert spec.details.count("`") % 2 == spec.text.count("`") % 2 == 0
    assert "\n".join(map(man_code, spec.example.splitlines())) in PAGE


@pytest.mark.parametrize(
    ("spec", "context"),
    [(spec, context) for spec, contexts in SPECS for context in contexts],
    ids=lambda part: part.keyword if isinstance(part, Spec) else part.value,
)
def test_the_example_of_every_statement_loads(spec: Spec, context: Context) -> None:
    loads(in_full(spec, context))


def test_the_man_page_has_the_sections_that_readers_look_for() -> None:
    sections = re.findall(r"^\.SH (.*)$", PAGE, re.MULTILINE)
    for name in ("NAME", "SYNOPSIS", "DESCRIPTION", "EXAMPLES", "FILES", "SEE ALSO"):
        assert name in sections
    assert not re.search("@[A-Z]+@", PAGE), "a placeholder is left"


def test_every_warning_that_is_explained_is_listed() -> None:
    explained = re.findall(r"^## (W\d+)$", WARNINGS.read_text("utf-8"), re.MULTILINE)
    assert len(explained) > 10
    assert re.findall(r"^\.B (W\d+)\n[^.\n]", PAGE, re.MULTILINE) == explained


def faults(line: str) -> list[str]:
    """Return what is wrong with a line of the man page."""
    comment, macro = line.startswith('.\\"'), line.startswith(".")
    checks = {
        "an empty line is a paragraph of uncertain height: write .PP": not line,
        "not ASCII": not line.isascii(),
        "too long": len(line) > LONGEST_LINE,
        "space at its end": line != line.rstrip(),
        "unknown macro": macro and not comment and line[1:].split()[0] not in MACROS,
        "open quotes": macro and not comment and line.count('"') % 2 == 1,
        "read as a macro": line.startswith("'"),
        "unknown escape": not comment and "\\" in ESCAPE.sub("", line),
    }
    return [what for what, wrong in checks.items() if wrong]


def test_every_line_of_the_man_page_is_sound() -> None:
    assert [(line, found) for line in LINES if (found := faults(line))] == []


def test_fonts_are_put_back_and_examples_closed() -> None:
    assert re.findall(r"^\.(E[XE])$", PAGE, re.MULTILINE) == ["EX", "EE"] * PAGE.count("\n.EX\n")
    fonts = re.findall(r"\\f([BIR])", PAGE)
    assert fonts[-1] == "R"
    assert all(first != second for first, second in pairwise(fonts))


def test_the_whole_configurations_of_the_man_page_load_without_a_warning() -> None:
    whole = [text for text in examples() if text.count("map ") > 2 and "interfaces" in text]
    assert len(whole) == 1
    assert loads(whole[0]).warnings == ()
    *_, pieces = examples()
    (made,) = loads(pieces).maps
    assert [entry.name for entry in made.entries] == ["branch", "all"]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (".x", r"\&.x"),
        ("", r"\&"),
        (r"a\b", r"a\eb"),
        ("a-b'c`~^", r"a\-b\(aqc\(ga\(ti\(ha"),
        ("{ … }", r"{ \&... }"),
    ],
)
def test_examples_come_out_character_by_character(text: str, code: str) -> None:
    assert man_code(text) == code
