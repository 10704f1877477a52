# SPDX-License-Identifier: GPL-3.0-or-later
"""The last gate before a URI or header field goes on the wire."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cig_server.sif.outgoing import (
    MAX_HEADER,
    MAX_URI,
    OutgoingHeaderError,
    OutgoingUriError,
    OutOfReachError,
    check_reach,
    checked_header,
    checked_uri,
    host_address,
)


@pytest.mark.parametrize(
    "uri",
    [
        "sip:101@pbx.com",
        "sip:pbx.com",
        "sip:101@192.0.2.1:5080;transport=tcp",
        "sip:+46701234567@[2001:db8::1]:5060;transport=udp",
        "sip:%231@pbx.com;user=phone",
        "sip:a;b=c@pbx.com",
    ],
)
def test_what_may_be_called(uri):
    assert checked_uri(uri) == f"<{uri}>"


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "101",
        "tel:+46701234567",
        "http://pbx.com",
        "sip:",
        "sip:a@",
        "sip:a@[:::]",
        "sip:a@[192.0.2.1]",
        "sip:a@2001:db8::1",
        "sip:a@b:0",
        "sip:a@b:70000",
        "sip:a@b;transport=tls",
        "sip:a@b;transport=",
        "sips:a@b",
        "sip:a@b?Route=c",
        "sip:a@b>,<sip:c@d",
        "sip:a@b c",
        "sip:a@b\r\nX: y",
        'sip:"a"@b',
        "sip:å@b",
        "sip:" + "a" * MAX_URI + "@b",
    ],
)
def test_what_may_not(uri):
    with pytest.raises(OutgoingUriError) as caught:
        checked_uri(uri)
    assert caught.value.sip_status == 500


@given(st.text(max_size=80))
def test_nothing_breaks_out_of_the_brackets(text):
    for uri in (text, "sip:" + text, f"sip:{text}@pbx.com", f"sip:a@pbx.com{text}"):
        with contextlib.suppress(OutgoingUriError):
            checked = checked_uri(uri)
            assert checked.isascii() and checked.isprintable()
            assert not set(checked[1:-1]) & set('<>" ?\\')


def test_a_header():
    assert checked_header("Reason", "Q.850;cause=16") == ("Reason", "Q.850;cause=16")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Via", "x"),
        ("route", "x"),
        ("v", "x"),
        ("", "x"),
        ("A B", "x"),
        ("X-A\r\nB", "x"),
        ("X-A", "b\r\nRoute: x"),
        ("X-A", "å"),
        ("X-A", "x" * (MAX_HEADER + 1)),
    ],
)
def test_headers_that_are_refused(name, value):
    with pytest.raises(OutgoingHeaderError):
        checked_header(name, value)


@pytest.mark.parametrize(
    ("uri", "address"),
    [
        ("sip:101@[2001:DB8::1]:5060;transport=tcp", "2001:db8::1"),
        ("sip:192.0.2.1", "192.0.2.1"),
        ("sip:101@pbx.com", None),
        ("sip:101@[x]", None),
        ("sip:101@[192.0.2.1]", None),
        ("tel:+1", None),
        ("sip:" + "a" * 500, None),
    ],
)
def test_the_address_in_a_uri(uri, address):
    found = host_address(uri)
    assert (str(found) if found else None) == address


def test_what_is_out_of_reach():
    check_reach("sip:101@[::1]", frozenset({4, 6}))
    check_reach("sip:101@[::1]", frozenset({6}))
    check_reach("sip:101@pbx.com", frozenset({6}))
    for uri, family in (("sip:101@[::1]:5060", 4), ("sip:101@192.0.2.1", 6)):
        with pytest.raises(OutOfReachError, match="bind in the sip interface") as caught:
            check_reach(uri, frozenset({family}))
        assert caught.value.sip_status == 503
