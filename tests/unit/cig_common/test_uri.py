# SPDX-License-Identifier: GPL-3.0-or-later
"""SIP and tel URIs: what parses, what does not, and what escaping leaves."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cig_common.uri import (
    SipUri,
    TelUri,
    UriError,
    addr_spec,
    escape_user,
    parse_target_tail,
    unescape_dialled,
    without_headers,
    without_port_and_parameters,
)


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("sip:101@pbx.com", SipUri("sip", "101", "pbx.com")),
        ("SIP:pbx.com", SipUri("sip", "", "pbx.com")),
        ("sip:a;day=t@h:5070;user=phone", SipUri("sip", "a;day=t", "h", 5070, ";user=phone")),
        ("sip:a:pw@192.0.2.4", SipUri("sip", "a:pw", "192.0.2.4")),
        ("sips:a@[2001:db8::1]:5061;transport=tls",
         SipUri("sips", "a", "[2001:db8::1]", 5061, ";transport=tls")),
        ("sip:1%40x@h?to=alice%40b", SipUri("sip", "1%40x", "h")),
    ],
)  # fmt: skip
def test_sip_uri(text: str, parsed: SipUri) -> None:
    assert SipUri.parse(text) == parsed
    assert SipUri.parse(parsed.encode()) == parsed


@pytest.mark.parametrize(
    "text",
    ["", "tel:+1", "sip:", "sip:a@", "sip:a@b@c", "sip:a b@c", "sip:a@-x", "sip:a@1.2.3.400",
     "sip:a@h:0", "sip:a@h:65536", "sip:a@h:", "sip:a@[::1", "sip:a@h;", "sip:a%4@h",
     "sip:a@h\r\nVia: x", "sip:" + "1" * 5000 + "@h"],
)  # fmt: skip
def test_no_sip_uri(text: str) -> None:
    with pytest.raises(UriError):
        SipUri.parse(text)


@given(st.text(max_size=60).map(lambda text: "sip:" + text))
def test_sip_uri_takes_any_text(text: str) -> None:
    try:
        parsed = SipUri.parse(text)
    except UriError:
        return
    assert SipUri.parse(parsed.encode()) == parsed


@pytest.mark.parametrize(
    ("text", "good"),
    [("tel:+1", True), ("tel:+123456789012345;" + "#" * 64, True), ("tel:+8888;", True),
     ("tel:1", False), ("tel:+", False), ("tel:+1234567890123456", False),
     ("tel:+1;" + "1" * 65, False), ("tel:+1;a;b", False), ("tel:+1;a=b", False),
     ("tel:+\u0661", False), ("tel:+1\n", False)],
)  # fmt: skip
def test_tel_uri(text: str, good: bool) -> None:
    if good:
        assert TelUri.parse(text).encode() == text
    else:
        with pytest.raises(UriError):
            TelUri.parse(text)


@pytest.mark.parametrize(
    ("text", "parts"),
    [("h", ("h", None, None)), ("h:5070", ("h", 5070, None)),
     ("h:transport=tcp", ("h", None, "tcp")), ("h:5070:transport=TCP", ("h", 5070, "tcp")),
     ("[::1]:5070;transport=tls", ("[::1]", 5070, "tls"))],
)  # fmt: skip
def test_target_tail(text: str, parts: tuple[str, int | None, str | None]) -> None:
    assert parse_target_tail(text) == parts


@pytest.mark.parametrize("text", ["", ":5060", "h;lr", "h;transport=sctp", "h:99999", "a@b"])
def test_no_target_tail(text: str) -> None:
    with pytest.raises(UriError):
        parse_target_tail(text)


@pytest.mark.parametrize(
    ("header", "uri"),
    [("<sip:a@b;x=1>;tag=2", "sip:a@b;x=1"), ('"<sip:evil@x>" <sip:a@b>', "sip:a@b"),
     (r'"a\"<b" <sip:a@b>', "sip:a@b"), ("Bob <sip:a@b>", "sip:a@b"),
     ("sip:a;b@c;tag=1", "sip:a;b@c"), ("sip:c;tag=1", "sip:c"), ("tel:+1;ext", "tel:+1;ext")],
)  # fmt: skip
def test_addr_spec(header: str, uri: str) -> None:
    assert addr_spec(header) == uri


def test_cutting() -> None:
    assert without_headers("sip:a?b@h?to=x") == "sip:a?b@h"
    assert without_port_and_parameters("sip:a;b:c@h:5060;user=phone") == "sip:a;b:c@h"
    assert without_port_and_parameters("sip:a@[::1]:5060") == "sip:a@[::1]"
    assert without_port_and_parameters("sip:h:5060") == "sip:h"
    assert without_port_and_parameters("sip:a@h") == "sip:a@h"


@given(st.text(max_size=40))
def test_escaped_text_is_always_a_user(text: str) -> None:
    escaped = escape_user(text.encode("utf-8", "replace").decode())
    made = SipUri.parse(f"sip:x{escaped}@pbx.com")
    assert (made.user, made.host, made.port) == (f"x{escaped}", "pbx.com", None)


def test_dial_characters_are_unescaped_and_no_others() -> None:
    assert unescape_dialled("1%23%2a%3B%00%2") == "1#*%3B%00%2"
