# SPDX-License-Identifier: GPL-3.0-or-later
"""What an operator gets wrong, and where it is told."""

import pytest

from cig_common.config import ConfigError, Diagnostic, loads

MAP = 'map m { entry e sip "sip:{x}@h" tel "tel:+{x}"; }\n'


def problems(text: str) -> list[Diagnostic]:
    with pytest.raises(ConfigError) as refused:
        loads(text)
    return list(refused.value.problems)


def sip(body: str) -> str:
    return f"interfaces {{ sip {{ {body} }} }}"


def entry(body: str) -> str:
    return f"map m {{ {body} }}"


MISTAKES = [
    ("maps a { }", 1, "`maps` is no statement here", "did you mean `map`?"),
    ("map { }", 1, "this `map` has no name", "write map NAME { … }"),
    ("map 9a { }", 5, "`9a` is not a name", None),
    ('map "a" { }', 6, "`a` is not a name", "write it without quotes"),
    ("map a b { }", 7, "`b` is too much before the `{`", None),
    ("map a;", 5, "`map` opens a block", None),
    ("map a { };", 10, "`;` without a statement before it", None),
    ("map a { } }", 11, "this `}` closes no block", None),
    ("map a {", 8, "the file ends inside the block `map a`", "it was opened in line 1; its"),
    ("{ }", 1, "a block without a name before its `{`", None),
    ("map a { } map a { }", 15, "map `a` is defined a second time", "the first is in line 1"),
    ("tel { }", 1, "`tel` is no statement here", "it belongs in `interfaces`"),
    ("interfaces { } interfaces { }", 16, "`interfaces` stands here a second time", None),
    ("interfaces { tel { } tel { } }", 22, "`tel` stands here a second time", None),
    ("interfaces { map a { } }", 14, "`map` is no statement in `interfaces`", "outside all blocks"),
    ("interfaces { map a { }", 14, "`}` is missing before this `map`", "`interfaces`, opened in"),
    ("interfaces { tel { bind ::1; } }", 20, "`bind` is no statement in `tel`", "in `sip`"),
    (entry('entry e sip "s" ;'), 22, "this `entry` has no `tel` side", None),
    (entry('entry sip "s" tel "t";'), 15, "this `entry` has no name", None),
    (entry('entry e sip "s" sip "t";'), 25, "`sip` stands twice", None),
    (entry('entry e sip "s" pbx "t";'), 25, "expected `tel`", None),
    (entry("entry e sip s tel t;"), 21, "`s` is not a text in quotes", "double quotes"),
    (entry("entry e sip 's' tel 't';"), 21, "a text in the wrong quotes", "straight"),
    (entry("entry e sip \u201cs\u201d tel \u201ct\u201d;"), 21, "wrong quotes", "straight"),
    (entry('entry e sip "s tel t;\n'), 22, "this text has no closing quote", None),
    (entry('entry e sip "s" tel "t"'), 32, "`;` is missing after `entry`", "add it here"),
    (entry('entry e sip "s" tel "t" entry f sip "s" tel "t";'), 32, "`;` is missing after", None),
    (entry('entry e sip "{x" tel "t";'), 22, "`{` without its `}`", None),
    (entry('entry e sip "x}" tel "t";'), 23, "`}` without a `{`", None),
    (entry('entry e sip "{x}{x}" tel "t";'), 25, "`x` stands twice on one side", None),
    (entry('entry e sip "{a{b}}" tel "t";'), 22, "`{a{b}` is not a parameter", None),
    (entry('entry e sip "a b" tel "t";'), 23, "a space in a URI", "remove it"),
    (entry('entry e sip "a\u200bb" tel "t";'), 23, "the character U+200B in a", "does not show"),
    (sip("bind pbx.com;"), 25, "`pbx.com` is not an IP address", None),
    (sip("bind 192.168.1.256;"), 25, "`192.168.1.256` is not an IP address", None),
    (sip("bind [::1];"), 25, "`[::1]` is not an IP address", None),
    (sip("bind;"), 20, "`bind` is not complete", None),
    (sip("bind ::1; bind ::2;"), 30, "`bind` stands here a second time", "line 1"),
    (sip("bind ::1 ::2;"), 29, "`::2` is too much here", "write bind ADDRESS;"),
    (sip("port 0;"), 25, "`0` is not a port number", None),
    (sip("port 65536;"), 25, "`65536` is not a port number", None),
    (sip("port five;"), 25, "`five` is not a port number", None),
    (sip("messaging yes;"), 30, "`yes` is not true or false", None),
    (sip("messaging true; messaging true;"), 36, "`messaging` stands here a second", None),
    ("mailboxes { retry_hours 0; }", 25, "`0` is not a number of hours, 1 to 168", None),
    ("mailboxes { retry_hours 169; }", 25, "`169` is not a number of hours, 1 to 168", None),
    ("mailboxes { retry_hours 3d; }", 25, "`3d` is not a number of hours", None),
    ("mailboxes { retry_hours 72, }", 25, "`72,` is not", "write it without the comma"),
    ("mailboxes { retry_hours 2; retry_hours 2; }", 28, "stands here a second time", None),
    ("retry_hours 2;", 1, "`retry_hours` is no statement here", "belongs in `mailboxes`"),
    (sip("rtp_port_range 2000 1000;"), 35, "port 2000 is above port 1000", None),
    (sip("rtp_port_range 1025 2000;"), 35, "begins at the odd port 1025", "write 1026"),
    (sip("rtp_port_range 1024 1024;"), 40, "the range holds one port only", None),
    (sip("rtp_port_range 1024;"), 35, "`rtp_port_range` is not complete", None),
    (sip("rtp_port_range 1024-2048;"), 35, "is not a port number", None),
    (sip("rtp_remote_addr_override 1.1.1.1;"), 45, "is not complete", None),
    (sip("extension m;"), 30, "expected `map` after `extension`", None),
    (sip("extension map nobody;"), 34, "map `nobody` is not defined", None),
    (sip("extention map m;"), 20, "`extention` is no statement in `sip`", "`extension map`?"),
    (sip("sip { }"), 20, "`sip` is no statement in `sip`", "it belongs in `interfaces`"),
    (sip("sip { }")[:-2], 20, "`}` is missing before this `sip`", "`sip`, opened in line 1"),
    ("*/ map a { }", 1, "`*/` closes no comment", None),
    ("map a { } /* open", 11, "this comment is never closed", None),
    ("translate_map a { rule match \"x\"; }", 31, "this `rule` has no `translation` side", None),
    ("mailboxes { read { } }", 13, "`path` is missing in this `read` block", None),
    ("mailboxes { read { path x; } }", 25, "`x` is not a text in quotes", None),
    ("map a { x { y { z", 9, "`x` is no statement in `map`", None),
]  # fmt: skip


@pytest.mark.parametrize(("text", "column", "message", "hint"), MISTAKES)
def test_mistake(text: str, column: int, message: str, hint: str | None) -> None:
    first = problems(text)[0]
    assert (first.line, first.column) == (1, column)
    assert message in first.message
    assert hint is None or hint in (first.hint or "")


def test_the_text_has_place_line_caret_and_hint() -> None:
    text = (
        MAP.replace("map m", "map maptel2sip")
        + "interfaces {\n  tel { extension map maptel2spi; }\n}"
    )
    with pytest.raises(ConfigError) as refused:
        loads(text, "cig.conf")
    assert str(refused.value).splitlines() == [
        "cig.conf:3:23: error: map `maptel2spi` is not defined",
        "    tel { extension map maptel2spi; }",
        "                        ^",
        "  did you mean `maptel2sip`?",
    ]
    assert refused.value.exit_code == 2


def test_a_long_line_is_cut_around_the_caret() -> None:
    shown = problems("\t" + "x" * 500 + " ; \x1b[2J map 9 { }")[0].render()
    assert max(map(len, shown.splitlines())) < 1000
    assert "\x1b" not in shown


def test_all_mistakes_are_told_at_once() -> None:
    found = problems(
        """map a {
          entry e sip "sip:{x}{x}@h" tel "tel:+1";
          entry f sip "sip:@h" tel tel:+1;
        }
        interfaces {
          tel { extension map b; rtp_port_range 9 8; }
          sip { bind 1.2.3; bind 1.2.3.4; messaging 1; foo; }
        };"""
    )
    assert [problem.line for problem in found] == [2, 3, 6, 6, 7, 7, 7, 8]


def test_a_missing_brace_is_blamed_on_the_right_block() -> None:
    found = problems('map a {\n entry e sip "sip:x@h" tel "tel:+1";\nmap b { }\ninterfaces { }\n')
    assert [(problem.line, problem.message) for problem in found] == [
        (3, "`}` is missing before this `map`")
    ]
    assert "`map a`, opened in line 1" in (found[0].hint or "")
    found = problems("interfaces {\n tel {\n sip { }\n}\n")
    assert [problem.line for problem in found] == [3]
    assert "`tel`, opened in line 2" in (found[0].hint or "")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (MAP + sip("extension map m; bind 127.0.0.1\nmessaging true;"), "W101"),
        (MAP + sip("extension map m;"), "W102"),
        (MAP + sip("bind ::1;"), "W103"),
        (MAP + "interfaces { tel { source map m; } sip { source map m; bind ::1; } }", "W104"),
        (MAP.replace("sip:", "tel:") + sip("extension map m; bind ::1;"), "W105"),
        (MAP.replace("{x}", "{y}{x}") + sip("extension map m; bind ::1;"), "W106"),
        (MAP.replace("@h", "@{h}") + sip("source map m; bind ::1;"), "W107"),
        ("", "W108"),
        (sip("bind ::1; " + "rtp_remote_addr_override ::1 ::2;" * 2), "W109"),
    ],
)
def test_warning(text: str, code: str) -> None:
    assert code in {warning.code for warning in loads(text).warnings}


def test_sides_and_blocks_in_any_order() -> None:
    text = sip("extension map m; bind 127.0.0.1;") + MAP.replace(
        'sip "sip:{x}@h" tel "tel:+{x}"', 'tel "tel:+{x}" sip "sip:{x}@h"'
    )
    config = loads(text)
    assert config.warnings == ()
    assert config.maps[0].entries[0].tel.text == "tel:+{x}"


@pytest.mark.parametrize("text", ["{" * 5000, "a {" * 5000 + "}" * 5000, "}" * 5000, ";" * 3000])
def test_deep_or_senseless_files_end_in_an_error(text: str) -> None:
    assert len(str(ConfigError(problems(text)))) < 1_000_000


def test_a_misspelt_statement_is_read_on() -> None:
    found = problems(MAP + sip("extention map n; bind ::1;"))
    assert [problem.message for problem in found] == [
        "`extention` is no statement in `sip`",
        "map `n` is not defined",
    ]
