# SPDX-License-Identifier: GPL-3.0-or-later
"""Every warning: what makes it, where its caret stands, and what must not make it.

In the texts `^` marks the character that the caret stands under.
"""

import re
from ipaddress import ip_address

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cig_common.config import Configuration, Diagnostic, Interface, loads
from cig_common.config.lint_entries import judge, judge_closely
from cig_common.config.lint_tel import may_be_tel
from cig_common.config.notes import MAX_KEPT
from cig_common.config.patterns import Kind, canonical_tel, compile_pattern, subject
from cig_common.config.render import render
from cig_common.uri import TelUri, UriError
from unit.cig_common.config.facts import Facts

BOTH = "interfaces { tel { extension map m; } sip { extension map m; bind ::1; } }"
TO_SIP = "interfaces { tel { extension map m; } sip { bind ::1; } }"
TO_TEL = "interfaces { sip { extension map m; bind ::1; } }"
MAP = 'map m { entry e sip "sip:{x}@h" tel "tel:+8{x}"; }\n'


def marked(text: str) -> tuple[str, list[tuple[int, int]]]:
    """Take the marks out of a text and return their places."""
    places = []
    while (at := text.find("^")) >= 0:
        places.append((text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)))
        text = text[:at] + text[at + 1 :]
    return text, places


def warned(text: str, code: str, host: Facts | None = None) -> list[Diagnostic]:
    return [warning for warning in loads(text, host=host).warnings if warning.code == code]


def interfaces(tel: str = "", sip: str = "", own: str = "") -> str:
    return f"interfaces {{ {own}\ntel {{ {tel} }}\nsip {{ extension map m; {sip} }} }}"


def mailbox(body: str) -> str:
    return f"mailboxes {{ {body} }}"


MAILBOX_MAPS = """\
translate_map in { rule match "tel:+{n}" translation "{n}@x.com"; }
translate_map out { rule match "{n}@x.com" translation "tel:+{n}"; }
translate_map none { }
"""

TOLD = [
    ("W101", MAP + interfaces(sip="bind ::1^ messaging true;"), "`;` is missing", None),
    ("W102", MAP + "interfaces { ^sip { extension map m; } }", "no `bind`", "bind ADDRESS;"),
    ("W102", MAP + "^interfaces { tel { extension map m; } }", "no `bind`", "bind ADDRESS;"),
    ("W103", "map ^m { }", "map `m` is never used", "extension map m;"),
    ("W103", "map\n  // which?\n  ^m { }", "map `m` is never used", "extension map m;"),
    ("W103", "translate_map ^m { }", "translate_map `m` is never used", "map_from"),
    (
        "W104",
        MAP + interfaces("source map m;", "source map ^m; source map m;"),
        "map `m` is the source map of both",
        "slip",
    ),
    ("W105", 'map m { ^entry e sip "tel:+{x}" tel "sip:{x}@h"; }' + BOTH, "`e`", "swapped"),
    ("W105", 'map m { entry e sip "^tel:+{x}" tel "tel:{x}"; }' + BOTH, "no sip: URI", "ordinary"),
    ("W105", 'map m { entry e sip "sip:{x}@h" tel "^+{x}"; }' + BOTH, "no tel: URI", "ordinary"),
    ("W105", 'map m { ^entry e sip "{x}@h" tel "+{x}"; }', "no sip: URI and", "ordinary"),
    (
        "W106",
        'map m { entry e sip "sip:^{a}{x}@h" tel "tel:+{x}"; }' + TO_TEL,
        "`{a}`",
        "remove `{a}`",
    ),
    ("W106", 'map m { entry e sip "sip:^{a}^{b}{c}@h" tel "tel:+1"; }', "`{b}`", "`{b}`"),
    ("W106", 'map m { entry e sip "sip:a@h" tel "tel:+^{a}-{b}"; }', "`{a}`", "`{a}`"),
    ("W106", 'translate_map t { rule match "^{a}{b}" translation "{a}"; }', "`{a}`", "`{a}`"),
    ("W107", 'map m { entry e sip "^sip:{x}@{h}" tel "tel:+{x}"; }' + TO_SIP, "its host", None),
    ("W107", 'map m { entry e sip "^sip:{x}" tel "tel:+{x}"; }' + TO_SIP, "its host", None),
    ("W107", 'map m { entry e sip "^sip:{x}@h:0" tel "tel:+{x}"; }' + TO_SIP, "port", None),
    ("W107", 'map m { entry e sip "^sip:{x}@256.1.1.1" tel "tel:+{x}"; }' + TO_SIP, "host", None),
    ("W107", 'map m { entry e sip "^sip:\u00e4@h" tel "tel:+{x}"; }' + TO_SIP, "escaped", None),
    ("W107", 'map m { entry e sip "sip:{x}@h" tel "^tel:46{x}"; }' + TO_TEL, "tel URI", "`tel:+`"),
    ("W107", 'map m { entry e sip "sip:{x}@h" tel "^tel:+{y}"; }' + TO_TEL, "tel URI", "digits"),
    ("W107", 'map m { entry e sip "sip:1@h" tel "^tel:+1234567890123456"; }' + TO_TEL, "tel", "15"),
    ("W108", "^", "no `interfaces` block", "add"),
    (
        "W109",
        MAP + interfaces("rtp_remote_addr_override ::1 ::2;\n^rtp_remote_addr_override ::1 ::3;"),
        "::1 is overridden a second time",
        "line 3",
    ),
    (
        "W110",
        'map m {\nentry a sip "sip:{x}@h" tel "tel:+1";\n^entry b sip "sip:2@H" tel "tel:+2";\n}'
        + TO_TEL,
        "entry `a` in line 2 takes all that it would match",
        "put it before",
    ),
    (
        "W110",
        'map m { entry a sip "sip:{x}@h" tel "tel:+1";\n^entry b sip "sip:{y}@h" tel "tel:+2"; }'
        + TO_TEL,
        "entry `a` in line 1",
        "remove one of the two",
    ),
    (
        "W110",
        'map first { entry all sip "sip:{x}@{y}" tel "tel:+{x}"; }\n'
        'map m { ^entry a sip "sip:1@h" tel "tel:+1"; ^entry b sip "sip:{x}@{z}" tel "tel:+3"; }\n'
        "interfaces { sip { extension map first; extension map m; bind ::1; } }",
        "entry `all` of map `first` in line 1 takes",
        None,
    ),
    (
        "W111",
        'map m { entry e tel "tel:+8;{extension}" sip "sip:^{extention}@h"; }' + TO_SIP,
        "the tel text has no `{extention}`",
        "did you mean `extension`?",
    ),
    (
        "W111",
        'map m { entry e tel "tel:+8;^{y}" sip "sip:{x}@h"; }' + TO_TEL,
        "the sip text has no `{y}`",
        "name it `{discard}`",
    ),
    (
        "W111",
        'map m { entry e tel "tel:+8;^{y}" sip "sip:^{x}@h^{z}"; }' + BOTH,
        "so here it is always empty",
        None,
    ),
    (
        "W111",
        'map m { entry e tel "tel:+8;^{y}" sip "sip:{x}@h"; }\n'
        "interfaces { tel { source map m; } sip { bind ::1; } }",
        "`{y}`",
        None,
    ),
    (
        "W112",
        MAP + interfaces("", "^rtp_port_range 20000 21999;"),
        "ports 20000 to 21999 on all addresses are also in the tel side's 16384 to 32767",
        "ports of its own",
    ),
    (
        "W112",
        MAP + interfaces("rtp_port_range 20000 20999;", "bind ::;^rtp_port_range 20998 21999;"),
        "ports 20998 to 20999 on all addresses are also in the tel side's 20000 to 20999 (line 3)",
        "ports of its own",
    ),
    (
        "W112",
        MAP + interfaces("^rtp_port_range 20000 20999;", ""),
        "are also in the sip side's 16384 to 32767 (its default)",
        "ports of its own",
    ),
    (
        "W113",
        MAP + interfaces("", "^rtp_port_range 20000 20998;", "max_calls 500;"),
        "these ports are enough for 499 calls, `max_calls` allows 500",
        "write `rtp_port_range 20000 20999;`",
    ),
    (
        "W113",
        MAP + interfaces("^rtp_port_range 65500 65535;", "", "max_calls 500;"),
        "enough for 36 calls",
        "a call takes 1 of them",
    ),
    (
        "W115",
        MAILBOX_MAPS + mailbox('write { path "/a"; map_from translate_map ^none;'
        " map_to translate_map ^out; }"),
        "this mailbox never gets a message",
        None,
    ),
    (
        "W115",
        MAILBOX_MAPS + mailbox('read { path "/a"; map_from translate_map out;'
        " map_to translate_map ^in; }"),
        "no `translation` of translate_map `in` can give a tel: URI",
        'translation "tel:+{number}"',
    ),
    (
        "W115",
        'translate_map t { rule match "<{n}@x>" translation "tel:+{n}"; }'
        + mailbox('read { path "/a"; map_from translate_map ^t; map_to translate_map ^t; }'),
        "never sends a message",
        None,
    ),
    (
        "W116",
        MAILBOX_MAPS + mailbox('read { path "/a"; map_from translate_map out;'
        ' map_to translate_map out; } write { path "^/./a/"; map_from translate_map in;'
        " map_to translate_map in; }"),
        "the `read` mailbox in line 4 has the same folder: what is received there would be sent",
        "give each its own folder",
    ),
    (
        "W116",
        MAILBOX_MAPS + mailbox('read { path "/a"; map_from translate_map out;'
        ' map_to translate_map out; } read { path "^/a"; map_from translate_map out;'
        " map_to translate_map out; }"),
        "only one of the two would send what is put there",
        None,
    ),
]  # fmt: skip
"""Code, text, and what stands in message and hint."""


@pytest.mark.parametrize(("code", "text", "message", "hint"), TOLD)
def test_told(code: str, text: str, message: str, hint: str | None) -> None:
    plain, places = marked(text)
    warnings = warned(plain, code)
    assert [(warning.line, warning.column) for warning in warnings] == places
    for warning in warnings[-1:]:
        assert message in warning.message
        assert (hint or "") in str(warning.hint)


SILENT = [
    ("W102", MAP + interfaces(sip="bind 0.0.0.0;")),
    ("W105", 'map m { entry e sip "SIPS:{x}@h" tel "TEL:+{x}"; }'),
    ("W106", 'map m { entry e sip "sip:{a}-{b}@{c}" tel "tel:+{a};{b}.{c}"; }'),
    # What is asked for a tel URI need not be one that could be called, and the other way round.
    ("W107", 'map m { entry e sip "sip:{x}@{h}" tel "tel:+{x}"; }' + TO_TEL),
    ("W107", 'map m { entry e sip "sip:{x}@h" tel "tel:46{x}"; }' + TO_SIP),
    ("W107", 'map m { entry e sip "sip:{x}@h" tel "tel:{x}"; }' + TO_TEL),
    ("W107", 'map m { entry e sip "sip:{x}@h" tel "tel:+46-(0)8.{x}"; }' + TO_TEL),
    ("W107", 'map m { entry e sip "sip:{x}@h" tel "tel:+{x}w101"; }' + TO_TEL),
    ("W107", 'map m { entry e sip "sip:{x}@[::1]:5062:transport=tls" tel "tel:+{x}"; }' + TO_SIP),
    ("W107", 'map m { entry e sip "sip:pbx.com" tel "tel:+{x}"; }' + TO_SIP),
    ("W109", MAP + interfaces("rtp_remote_addr_override ::1 ::2; rtp_remote_addr_override ::3 ::2;",
     "rtp_remote_addr_override ::1 ::2;")),
    # The narrower one stands first.
    ("W110", 'map m { entry a sip "sip:2@h" tel "tel:+2"; entry b sip "sip:{x}@h" tel "tel:+1"; }'
     + TO_TEL),
    # Covered from the sip side, reached from the tel side.
    ("W110", 'map m { entry a sip "sip:{x}@h" tel "tel:+1"; entry b sip "sip:2@h" tel "tel:+2"; }'
     + BOTH),
    # The user part differs in case, and so it is another user.
    ("W110", 'map m { entry a sip "sip:B{x}@h" tel "tel:+1"; entry b sip "sip:b@h" tel "tel:+2"; }'
     + TO_TEL),
    # A map that one interface names twice.
    ("W110", MAP + "interfaces { sip { extension map m; extension map m; bind ::1; } }"),
    # Nothing asks it.
    ("W110", 'map m { entry a sip "sip:{x}@h" tel "tel:+1"; entry b sip "sip:2@h" tel "tel:+2"; }'),
    # Only matched on that side.
    ("W111", 'map m { entry e tel "tel:+8;{x}" sip "sip:{x}@{h}"; }' + TO_TEL),
    ("W111", 'map m { entry e tel "tel:+8;{x}" sip "sip:{x}@h{discard}"; }' + TO_SIP),
    ("W111", 'map m { entry e tel "tel:+8;{x}" sip "sip:{discard2}{x}@h{Discarded}"; }' + TO_SIP),
    # Dead, and told so by W107; swapped, and told so by W105.
    ("W111", 'map m { entry e tel "tel:+8;{x}" sip "sip:{y}@{h}"; }' + TO_SIP),
    ("W111", 'map m { entry e tel "sip:{x}@{y}" sip "tel:+{x}"; }' + BOTH),
    # The extension maps of the sip side are not read backwards: no call comes from the tel side.
    ("W111", 'map m { entry e tel "tel:+8;{x}" sip "sip:{x}@h{any}"; }' + TO_TEL),
    # The manual's Migration chapter prints such a rule.
    ("W111", 'translate_map t { rule match "tel:+{n}" translation "sip:{n}@{x}"; }'),
    # Both at their default: the manual's own examples have it so.
    ("W112", MAP + interfaces()),
    ("W112", MAP + interfaces("rtp_port_range 20000 20999;", "rtp_port_range 21000 21999;")),
    ("W112", MAP + interfaces("", "bind ::1; rtp_port_range 20000 20999;")),
    ("W113", MAP + interfaces("rtp_port_range 20000 20499;", "rtp_port_range 21000 21999;",
     "max_calls 500;")),
    # Not what the operator asked for.
    ("W113", MAP + interfaces("", "rtp_port_range 21000 21003;")),
    ("W114", MAILBOX_MAPS + mailbox('read { path "/none"; map_from translate_map out;'
     " map_to translate_map out; }")),
    ("W115", MAILBOX_MAPS + mailbox('read { path "/a"; map_from translate_map out;'
     ' map_to translate_map out; } write { path "/b"; map_from translate_map in;'
     " map_to translate_map in; }")),
    ("W115", 'translate_map t { rule match "bad" translation "bad";'
     ' rule match "{any}" translation "{any}"; }'
     + mailbox('read { path "/a"; map_from translate_map t; map_to translate_map t; }'
     ' write { path "/a"; map_from translate_map t; map_to translate_map t; }')),
    ("W116", MAILBOX_MAPS + mailbox('write { path "/a"; map_from translate_map in;'
     ' map_to translate_map in; } write { path "/a"; map_from translate_map in;'
     ' map_to translate_map in; } read { path "/a/b"; map_from translate_map out;'
     " map_to translate_map out; }")),
]  # fmt: skip


@pytest.mark.parametrize(("code", "text"), SILENT)
def test_silent(code: str, text: str) -> None:
    assert warned(text, code) == []


def test_ranges_on_the_very_address_of_the_default_route() -> None:
    text = MAP + interfaces("", "bind 192.0.2.10; rtp_port_range 20000 20999;")
    (warning,) = warned(text, "W112", Facts())
    assert "on 192.0.2.10, which is the tel side's address too" in warning.message
    assert warned(text, "W112", Facts(ip_address("192.0.2.11"))) == []
    assert warned(text, "W112") == []


def test_every_mailbox_is_looked_at_where_its_path_stands() -> None:
    host = Facts()
    host.make_mailbox("/b")
    text, places = marked(
        MAILBOX_MAPS
        + mailbox(
            'read { path "^/a"; map_from translate_map out; map_to translate_map out; }\n'
            'write { path "/b"; map_from translate_map in; map_to translate_map in; }\n'
            'write { map_from translate_map in; map_to translate_map in;\npath "^/c"; }'
        )
    )
    warnings = warned(text, "W114", host)
    assert [(warning.line, warning.column) for warning in warnings] == places


def test_rendered_like_a_compilers() -> None:
    text = (
        'map m {\n    entry e\n        tel "tel:+8;{ext}"\n        sip "sip:{x}@h";\n}\n' + TO_SIP
    )
    (warning,) = warned(text, "W111")
    assert warning.render() == (
        "cig.conf:4:18: warning W111: entry `e`: the tel text has no `{x}`,"
        " so here it is always empty\n"
        '    sip "sip:{x}@h";\n'
        "             ^\n"
        "  if that is meant, name it `{discard}` or remove it"
    )


def test_warnings_stand_in_the_order_of_the_file() -> None:
    text = 'map a { }\nmap m { entry e sip "sip:{x}@h" tel "tel:+{y}"; }\nmap b { }\n' + BOTH
    places = [(warning.line, warning.column) for warning in loads(text).warnings]
    assert len(places) == 4
    assert places == sorted(places)


def test_a_hundred_thousand_warnings_are_counted_not_kept() -> None:
    entries = 'entry e sip "sip:{a}@h" tel "tel:+1;{b}";\n' * (3 * MAX_KEPT)
    assert len(loads(f"map m {{ {entries} }} {TO_TEL}").warnings) == MAX_KEPT


# --- What the rules promise, for texts that nobody thought of ---------------------------------

PIECES = st.sampled_from(
    ["{a}", "{b}", "{discard}", "1", "46", ";", "w", "-", ".", "@", "h.com", "10.0.0.1", "[::1]",
     ":5060", ":0", ";transport=tcp", ":transport=tls", "+", "*", "x", "{a}{b}", "\u00e5"]
)  # fmt: skip
SIP_TEXTS = st.builds(
    lambda head, rest: head + "".join(rest),
    st.sampled_from(["sip:", "sips:", "SIP:", "", "tel:", "sip:{a}@h.com"]),
    st.lists(PIECES, max_size=6),
)
TEL_TEXTS = st.builds(
    lambda head, rest: head + "".join(rest),
    st.sampled_from(["tel:+", "tel:", "TEL:+", "", "sip:", "tel:+46", "tel:+46;{a}"]),
    st.lists(PIECES, max_size=6),
)
DIRECTIONS = st.sets(st.sampled_from(list(Interface))).map(frozenset)
VALUES = st.text(alphabet="0123456789+;tel:sip@h.", max_size=12)


def good(text: str) -> bool:
    """Tell whether a text is a pattern at all."""
    names = re.findall(r"\{([^}]*)\}", text)
    return len(names) == len(set(names))


@given(SIP_TEXTS.filter(good), TEL_TEXTS.filter(good), DIRECTIONS)
@example("sip:a@h.com", "tel:+{discard}", frozenset([Interface.TEL]))
@example("sip:{a}@h.com:", "tel:+{a}", frozenset(Interface))
def test_the_fast_test_passes_nothing_that_the_rules_would_tell(
    sip: str, tel: str, makes: frozenset[Interface]
) -> None:
    assert list(judge(sip, tel, makes)) == list(judge_closely(sip, tel, makes))


@given(SIP_TEXTS.filter(good), TEL_TEXTS.filter(good), st.lists(VALUES, min_size=3, max_size=3))
def test_an_entry_that_is_told_dead_never_gives_a_uri(
    sip: str, tel: str, values: list[str]
) -> None:
    patterns = {
        Interface.SIP: compile_pattern(sip, Kind.SIP),
        Interface.TEL: compile_pattern(tel, Kind.TEL),
    }
    for side, pattern in patterns.items():
        dead = {finding.side for finding in judge(sip, tel, {side}) if finding.code == "W107"}
        caught = dict(zip(patterns[side.other].names, values, strict=False))
        try:
            render(pattern, caught)
        except UriError:
            continue
        assert side not in dead


@given(TEL_TEXTS.filter(good), st.lists(VALUES, min_size=3, max_size=3))
def test_a_pattern_that_gave_a_tel_uri_may_be_one(text: str, values: list[str]) -> None:
    for kind in (Kind.TEL, Kind.TEXT):
        pattern = compile_pattern(text, kind)
        caught = dict(zip(pattern.names, values, strict=False))
        made = pattern.substitute(caught)
        try:
            TelUri.parse(canonical_tel(made) if kind is Kind.TEL else made)
        except UriError:
            continue
        assert may_be_tel(pattern, caught)


@pytest.mark.parametrize(
    ("text", "can"),
    [
        ("{a}", True),
        ("t{a}5", True),
        ("tel:+{a};{b}", True),
        ("tel:+46{a}é", False),
        ("tel:+;{a}", False),
        ("tel:+{a};1;{b}", False),
        ("{a}@pbx.com", False),
        ("tel:{a}", True),
        ("tel:46{a}", False),
        ("tel:+" + "1" * 16, False),
        ("tel:+1;" + "1" * 64, True),
        ("tel:+1;" + "1" * 65, False),
        ("", False),
    ],
)
def test_may_be_tel(text: str, can: bool) -> None:
    pattern = compile_pattern(text, Kind.TEXT)
    assert may_be_tel(pattern, pattern.names) is can


NUMBERS = st.sampled_from(["{a}", "{b}", "1", "2", "12", "h", "H", "@", ".com", ";", "x"])
TEXTS = st.lists(NUMBERS, min_size=1, max_size=5).map("".join).filter(good)
CAUGHT = st.sampled_from(["", "1", "2", "12", "@", "h", "x@h", "H.com", "1;2"])


def chosen(config: Configuration, side: Interface, text: str) -> str | None:
    """Return the name of the entry that a plain search finds."""
    prepared = subject(text, Kind.TEL if side is Interface.TEL else Kind.SIP)
    for entry in config.maps[0].entries:
        if entry.side(side).match(prepared) is not None:
            return entry.name
    return None


@given(
    st.lists(st.tuples(TEXTS, TEXTS), min_size=2, max_size=5),
    st.lists(st.lists(CAUGHT, min_size=2, max_size=2), min_size=3, max_size=3),
)
def test_an_entry_that_is_told_unreachable_is_never_chosen(
    texts: list[tuple[str, str]], caught: list[list[str]]
) -> None:
    entries = "".join(
        f'entry e{index} sip "sip:{sip}" tel "tel:+{tel}";\n'
        for index, (sip, tel) in enumerate(texts)
    )
    config = loads(f"map m {{\n{entries}}}\n{BOTH}")
    told = {f"e{warning.line - 2}" for warning in config.warnings if warning.code == "W110"}
    for side in Interface:
        for entry in config.maps[0].entries:
            pattern = entry.side(side)
            for values in caught:
                uri = pattern.substitute(dict(zip(pattern.names, values, strict=False)))
                assert chosen(config, side, uri) not in told
