# SPDX-License-Identifier: GPL-3.0-or-later
"""The trace of a route: the manual's worked call, each reason of rejection, and any text at all."""

import json
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cig_common.config import Configuration, Interface, load, loads
from cig_common.config.near import lacks
from cig_common.config.patterns import Kind, compile_pattern, subject
from cig_common.config.routing import Cause, Missing, RouteRejected, route
from cig_common.config.trace import Half, NotRoutableError, Trace, given_uri, trace
from cig_common.config.trace_text import facts, rejection, text_lines

FILES = Path(__file__).parent / "files"
SIMPLE = load(FILES / "manual_simple.conf")

WIDE = loads(
    """
    map numbers {
      entry short sip "sip:1{n}@gw" tel "tel:+{n}";
      entry alice sip "sip:Alice@gw" tel "tel:+46";
      entry port sip "sip:{n}@pbx.com:5061" tel "tel:+47{n}";
      entry middle sip "sip:{a}-{b}@mid" tel "tel:+{a}{b}";
    }
    map outward {
      entry out tel "tel:+99;{x}" sip "sip:{x}";
      entry plain tel "tel:+8888" sip "sip:desk@gw";
    }
    map spare { entry s sip "sip:spare@gw" tel "tel:+1"; }
    map who { entry w tel "tel:+4{n}" sip "sip:{n}@gw"; }
    interfaces {
      tel { extension map outward; source map who; }
      sip { extension map numbers; bind 127.0.0.1; }
    }""",
    "wide.conf",
)


def to(dialled: str, config: Configuration = WIDE) -> Half:
    return trace(config, dialled).to


def needs(dialled: str) -> dict[str, str]:
    return {miss.entry_name: miss.lacks for miss in to(dialled).near}


def test_the_manuals_worked_call() -> None:
    found = trace(SIMPLE, "sip:94670123456@secure.com", "sip:101@pbx.com")
    assert (found.rejected, found.came_in_on, found.goes_out_on) == (None, "sip", "tel")
    assert found.to.uri == "tel:+4670123456"
    assert found.caller is not None
    assert found.caller.uri == "tel:+8888;101"
    name = SIMPLE.filename
    assert text_lines(found) == [
        "Comes in on   sip",
        "",
        "Dialled       sip:94670123456@secure.com",
        "Looked in     map mapsip2tel, extension map of sip",
        f"Matched       entry sipext2tel of map mapsip2tel, {name}:8",
        "              sip:9{SIPEXT}@secure.com  ->  tel:+{SIPEXT}",
        "              SIPEXT = 4670123456",
        "New to-URI    tel:+4670123456",
        "",
        "Caller        sip:101@pbx.com",
        "Looked in     map maptel2sip, extension map of tel, read backwards",
        "              (tel has no source map)",
        f"Matched       entry telext2sip of map maptel2sip, {name}:2",
        "              sip:{TELEXT}@pbx.com  ->  tel:+8888;{TELEXT}",
        "              TELEXT = 101",
        "New from-URI  tel:+8888;101",
        "",
        "Goes out on   tel",
    ]


def test_half_a_question_gets_half_an_answer() -> None:
    found = trace(SIMPLE, "tel:+8888w1234")
    assert found.caller is None
    assert found.to.uri == "sip:1234@pbx.com"
    lines = text_lines(found)
    assert "Caller        not asked for; with `--from URI` the new from-URI is shown too" in lines
    assert lines[-1] == "Goes out on   sip, if the caller gets a new from-URI too"
    assert facts(found)["routed"] is None


def test_a_source_map_is_told_as_such() -> None:
    found = trace(SIMPLE, "tel:+8888;1", "tel:+46")
    assert "Looked in     map srctel2sip, source map of sip" in text_lines(found)


def test_matched_without_port_and_parameters() -> None:
    found = trace(SIMPLE, "sip:9467@SECURE.com:5060;user=phone")
    assert found.to.matched is not None
    assert found.to.matched.reduced
    line = "              only without port and parameters: sip:9467@SECURE.com"
    assert line in text_lines(found)


def test_empty_captures_are_seen() -> None:
    assert "              TELEXT = (empty)" in text_lines(trace(SIMPLE, "tel:+8888;"))


@pytest.mark.parametrize(
    ("dialled", "entry", "words"),
    [
        ("sip:12@gx", "short", "needs `@gw` at the end"),
        ("sip:22@gw", "short", "needs `sip:1` at the beginning"),
        ("sip:22@gx", "short", "needs `sip:1` at the beginning and `@gw` at the end"),
        ("sip:alice@gw", "alice", "differs in upper and lower case only"),
        ("sip:bob@gw", "alice", "matches `sip:Alice@gw` only"),
        ("sips:12@gw", "short", "would match with `sip:` in place of `sips:`"),
        ("sip:+12@gw", "short", "would match without the `+`"),
        ("sip:%2B12@gw", "short", "needs `sip:1` at the beginning"),
        ("sip:7@pbx.com", "port", "would match a URI with `:5061`"),
        ("sip:7@pbx.com:5062", "port", "would match a URI with `:5061`"),
        ("sip:46@mid", "middle", "needs `-` after {a}"),
        ("sip:1@mid", "middle", "needs `-` after {a}"),
        ("sip:1gw", "short", "needs `@gw` at the end"),
        ("tel:+99", "out", "would match with a `;` after the number"),
        ("tel:99;1", "out", "would match with a `+` before the number"),
        ("tel:0099;1", "out", "would match with `+` in place of `00`"),
        ("tel:+8888;7", "plain", "would match without `;7`"),
    ],
)
def test_what_an_entry_lacks(dialled: str, entry: str, words: str) -> None:
    assert to(dialled).cause is Cause.NO_MATCH
    assert needs(dialled)[entry] == words


@pytest.mark.parametrize(
    ("pattern", "uri", "words"),
    [
        ("sip:1{a}1@h", "sip:1@h", "needs `1@h` after `sip:1`"),
        ("sip:{a}x{b}@h", "sip:1@h", "needs `x` after {a}"),
        ("sip:%2B{a}@h", "sip:+1@h", "needs `sip:%2B` at the beginning"),
        ("sip:#{a}@h", "sip:%231@h", "would match without `%` escapes"),
    ],
)
def test_what_a_pattern_lacks(pattern: str, uri: str, words: str) -> None:
    assert lacks(compile_pattern(pattern, Kind.SIP), uri) == words


def test_entries_of_maps_that_are_not_looked_in() -> None:
    unused, who, outward = (miss for miss in to("sip:spare@gw").near if not miss.in_use)
    assert (unused.map_name, unused.entry_name, unused.line) == ("spare", "s", 12)
    assert unused.lacks == "would match, but `spare` is not in use"
    assert who.lacks == "would match, but `who` is source map of tel only"
    assert outward.lacks == "would match, but `outward` is extension map of tel only"


@pytest.mark.parametrize(
    ("config", "dialled", "caller", "missing", "cause", "said"),
    [
        (loads(""), "sip:1@h", "sip:1@h", Missing.TO, Cause.NO_MAP, "sip has no extension map"),
        (WIDE, "sip:1 2@gw", None, Missing.TO, Cause.CHARACTER, "a space or control character"),
        (WIDE, "sip:1\x1b@gw", None, Missing.TO, Cause.CHARACTER, "a space or control character"),
        (WIDE, "sip:1\udc80@gw", None, Missing.TO, Cause.CHARACTER, "control character"),
        (WIDE, "sip:1" + "2" * 5000, None, Missing.TO, Cause.TOO_LONG, "longer than 4096"),
        (WIDE, "sip:1a@gw", None, Missing.TO, Cause.NO_URI, "Would give    tel:+a"),
        (WIDE, "sip:1a@gw", None, Missing.TO, Cause.NO_URI, "none: not `tel:+` with 1 to 15"),
        (WIDE, "tel:+99;h", None, Missing.TO, Cause.NO_URI, "would stand outside the user part"),
        (WIDE, "sip:9@gw", None, Missing.TO, Cause.NO_MATCH, "none of 4 entries matches"),
        (SIMPLE, "sip:9@gw", None, Missing.TO, Cause.NO_MATCH, "the only entry does not match"),
        (SIMPLE, "tel:+8888;1", "tel:46", Missing.FROM, Cause.NO_MATCH, "with a `+` before"),
        (SIMPLE, "sip:91@secure.com", "tel:+1", Missing.FROM, Cause.NO_MATCH, "a URI of tel, and"),
    ],
)  # fmt: skip
def test_why_not(
    config: Configuration, dialled: str, caller: str | None, missing: Missing, cause: Cause,
    said: str,
) -> None:  # fmt: skip
    found = trace(config, dialled, caller)
    half = found.to if missing is Missing.TO else found.caller
    assert half is not None
    assert (found.rejected, half.uri, half.cause) == (missing, None, cause)
    text = "\n".join(text_lines(found))
    assert said in text
    assert all(line.isprintable() for line in text_lines(found))
    assert rejection(found) == f"rejected: no {missing}"
    assert max(map(len, text_lines(found))) < 260


def test_no_map_for_the_caller() -> None:
    config = loads("map m { entry e sip \"sip:{x}@h\" tel \"tel:+{x}\"; }"
                   " interfaces { sip { extension map m; bind ::1; } }")  # fmt: skip
    found = trace(config, "sip:46@h", "sip:1@h")
    assert "New from-URI  none: tel has neither a source map nor an extension map" in text_lines(
        found
    )


def test_both_halves_are_told_where_both_are_missing() -> None:
    found = trace(WIDE, "sip:9@gw", "tel:+5")
    assert found.caller is not None
    assert (found.to.cause, found.caller.cause) == (Cause.NO_MATCH, Cause.NO_MATCH)
    assert found.rejected is Missing.TO


def test_warnings_on_the_way_are_shown() -> None:
    elaborate = load(FILES / "manual_elaborate.conf")
    found = trace(elaborate, "sip:4670@secure.com", "sip:101@pbx.com")
    assert found.rejected is Missing.FROM
    assert found.caller is not None
    unused = "would match, but `srcsip2tel` is not in use"
    assert unused in [miss.lacks for miss in found.caller.near]
    assert [warning.code for warning in found.caller.warnings] == ["W104"]
    found = trace(elaborate, "tel:+8888;1", "tel:+46")
    assert found.caller is not None
    assert [warning.code for warning in found.caller.warnings] == ["W104"]
    assert any(line.startswith("Warning       ") and "W104" in line for line in text_lines(found))


def test_many_maps_are_counted() -> None:
    maps = "".join(f'map m{n} {{ entry e sip "sip:{n}@h" tel "tel:+{n}"; }}\n' for n in range(20))
    uses = "".join(f"extension map m{n};" for n in range(20))
    config = loads(f"{maps} interfaces {{ sip {{ {uses} bind ::1; }} }}")
    lines = text_lines(trace(config, "sip:99@h"))
    assert "              and 12 more maps" in lines
    assert "New to-URI    none: none of 20 entries matches" in lines
    assert "Nearest       line 10  e of m9   matches `sip:9@h` only" in lines
    assert len(lines) < 30


def test_a_long_map_is_searched_in_bounded_time() -> None:
    rows = "".join(
        f'entry e{n} sip "sip:{n}@pbx.com" tel "tel:+8888;{n}";\n' for n in range(50_000)
    )
    config = loads(f"map m {{ {rows} }} interfaces {{ sip {{ extension map m; bind ::1; }} }}")
    start = time.process_time()
    found = trace(config, "sip:49999x@pbx.com", "sip:1@h", most=1000)
    assert time.process_time() - start < 0.5
    assert (found.to.compared, found.to.total) == (100, 50_000)
    assert len(found.to.near) == 5
    assert "              (looked for among 100 of them)" in text_lines(found)
    # What is one change away is found wherever it stands.
    assert trace(config, "sips:49999@pbx.com", most=1000).to.near[0].entry_name == "e49999"
    assert trace(config, "sip:49999@pbx.org", most=1000).to.near[0].entry_name == "e49999"
    assert trace(config, "tel:+8889;49999", most=1000).to.cause is Cause.NO_MAP
    whole = trace(config, "sip:49999x@pbx.com", most=100_000)
    assert whole.to.near[0].entry_name == "e49999"


@pytest.mark.parametrize(
    ("text", "interface", "uri"),
    [
        ("SIP:1@h", Interface.SIP, "SIP:1@h"), ("sips:h", Interface.SIP, "sips:h"),
        (" tel:+1 ", Interface.TEL, "tel:+1"), ("<sip:1@h;lr>", Interface.SIP, "sip:1@h;lr"),
        ('"B <b>" <sip:1@h>;tag=3', Interface.SIP, "sip:1@h"),
        ("tel:+1;<sip:1@h>", Interface.TEL, "tel:+1;<sip:1@h>"),
    ],
)  # fmt: skip
def test_the_interface_that_a_uri_comes_in_on(text: str, interface: Interface, uri: str) -> None:
    assert given_uri(text) == (interface, uri)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"), (" ", "is empty"), ("http://x", "no call has the scheme `http:`"),
        ("101@pbx.com", "did you mean `sip:101@pbx.com`"), ("+46", "did you mean `tel:+46`"),
        ("sip", "has no scheme"), ("1@h:5060", "did you mean `sip:1@h:5060`"),
        ("x" * 5000, "has no scheme"),
    ],
)  # fmt: skip
def test_no_uri_of_a_call(text: str, said: str) -> None:
    with pytest.raises(NotRoutableError) as refused:
        trace(SIMPLE, text)
    assert said in str(refused.value)
    assert len(str(refused.value)) < 300


def test_facts_have_one_shape() -> None:
    routed = facts(trace(SIMPLE, "sip:91@secure.com", "sip:101@pbx.com"))
    rejected = facts(trace(WIDE, "sip:\ud800" + "9" * 9999, "sip:9@gw"))
    assert (routed["routed"], rejected["routed"], rejected["rejected"]) == (True, False, "to-URI")
    assert routed.keys() == rejected.keys()
    assert routed["to"].keys() == routed["from"].keys() == rejected["to"].keys()
    assert routed["to"]["uri"] == "tel:+1"
    assert routed["from"]["matched"] | {"pattern": "", "produces": ""} == {
        "map_name": "maptel2sip",
        "entry_name": "telext2sip",
        "line": 2,
        "pattern": "",
        "produces": "",
        "text": "sip:101@pbx.com",
        "reduced": False,
        "caught": {"TELEXT": "101"},
        "gives": "tel:+8888;101",
    }
    assert routed["from"]["looked_in"][0]["backwards"] is True
    assert rejected["to"]["cause"] == "too-long"
    assert len(json.dumps(rejected)) < 20_000


PIECES = st.sampled_from(
    ["sip:", "tel:", "+", "9", "1", "46", "8888", ";", "w", "@", "gw", "pbx.com", "secure.com",
     ":5061", "Alice", "alice", "%23", "<", ">", " ", "-", "\x00", "\u00e5", "?a=b"]
)  # fmt: skip
TEXTS = st.one_of(st.text(max_size=30), st.lists(PIECES, max_size=8).map("".join))


@given(st.sampled_from(["sip:", "SIPS:", "tel:"]), TEXTS, TEXTS, st.sampled_from([SIMPLE, WIDE]))
def test_a_trace_never_fails_and_says_what_routing_does(
    scheme: str, dialled: str, caller: str, config: Configuration
) -> None:
    found = trace(config, scheme + dialled, caller)
    _holds_together(found)
    try:
        made = route(config, found.came_in_on, found.to.received, caller)
    except RouteRejected as rejected:
        half = found.to if rejected.missing is Missing.TO else found.caller
        assert half is not None
        assert (found.rejected, half.cause) == (rejected.missing, rejected.cause)
        return
    assert found.rejected is None
    assert found.caller is not None
    assert (found.to.uri, found.caller.uri) == (made.to_uri, made.from_uri)
    for half, hit in ((found.to, made.to_hit), (found.caller, made.from_hit)):
        assert half.matched is not None
        shown = half.matched
        assert (shown.map_name, shown.entry_name) == (hit.map_name, hit.entry_name)
        assert (shown.line, shown.caught) == (hit.position.line, hit.values)
        assert shown.reduced == hit.reduced


def _holds_together(found: Trace) -> None:
    assert all(line.isprintable() for line in text_lines(found))
    assert json.loads(json.dumps(facts(found)))["file"] == found.filename
    for half in (found.to, found.caller):
        assert half is not None
        assert (half.uri is None) == (half.cause is not None)
        for miss in half.near:
            assert miss.lacks


@given(TEXTS)
def test_any_text_is_a_uri_of_an_interface_or_refused(text: str) -> None:
    try:
        interface, uri = given_uri(text)
    except NotRoutableError as refused:
        assert str(refused)
        return
    assert uri[:5].lower().startswith(("sip:", "sips:", "tel:"))
    assert trace(SIMPLE, text).came_in_on is interface


@given(st.lists(st.sampled_from(["{a}", "{b}", "1", "x", "@", "h", ":5", ";"]), max_size=5), TEXTS)
def test_every_entry_that_does_not_match_lacks_something(pieces: list[str], text: str) -> None:
    if len(set(pieces)) < len(pieces):
        return
    pattern = compile_pattern("sip:" + "".join(pieces), Kind.SIP)
    if pattern.match(subject(text, Kind.SIP)) is None:
        words = lacks(pattern, text)
        assert words != "needs more text"
