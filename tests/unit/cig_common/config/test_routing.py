# SPDX-License-Identifier: GPL-3.0-or-later
"""Routing beyond the manual's examples: order, the second pass, and what strangers try."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cig_common.config import Configuration, Interface, loads
from cig_common.config.routing import Missing, RouteRejected, from_hit, route, to_hit
from cig_common.uri import SipUri, TelUri


def gateway(
    tel_sip: str, sip_tel: str = 'entry r sip "sip:{n}@gw" tel "tel:+{n}";'
) -> Configuration:
    return loads(
        f"""
        map t2s {{ {tel_sip} }}
        map s2t {{ {sip_tel} }}
        map any {{ entry a sip "sip:{{n}}@{{h}}" tel "tel:+8888;{{n}}"; }}
        map who {{ entry w tel "tel:+{{n}}" sip "sip:{{n}}@gw"; }}
        interfaces {{
          tel {{ extension map t2s; source map any; }}
          sip {{ extension map s2t; source map who; bind 127.0.0.1; }}
        }}"""
    )


PLAIN = gateway('entry e tel "tel:+8888;{x}" sip "sip:{x}@pbx.com";')


def to_sip(config: Configuration, dialled: str) -> str:
    return route(config, Interface.TEL, dialled, "tel:+46").to_uri


def to_tel(config: Configuration, dialled: str) -> str:
    return route(config, Interface.SIP, dialled, "sip:101@pbx.com").to_uri


@given(st.text(max_size=60))
def test_what_is_dialled_never_leaves_the_user_part(dialled: str) -> None:
    try:
        made = to_sip(PLAIN, "tel:+8888;" + dialled)
    except RouteRejected as rejected:
        assert rejected.missing is Missing.TO
        return
    parsed = SipUri.parse(made)
    assert (parsed.host, parsed.port, parsed.parameters) == ("pbx.com", None, "")


@given(st.text(max_size=30))
def test_a_tel_uri_that_goes_out_has_the_strict_form(dialled: str) -> None:
    try:
        made = to_tel(PLAIN, f"sip:{dialled}@gw")
    except RouteRejected:
        return
    assert TelUri.parse(made).encode() == made


@pytest.mark.parametrize(
    ("dialled", "uri"),
    [
        ("tel:+8888;1@evil.com;x=", "sip:1%40evil.com;x=@pbx.com"),
        ("tel:+8888;1@evil.com:5060", "sip:1%40evil.com%3A5060@pbx.com"),
        ("tel:+8888;1%40evil.com", "sip:1%2540evil.com@pbx.com"),
        ("tel:+8888;a<b>", "sip:a%3Cb%3E@pbx.com"),
        ("tel:+8888;\u00e5", "sip:%C3%A5@pbx.com"),
        ("tel:+8888;*21#", "sip:*21%23@pbx.com"),
        ("tel:+88-88;1", "sip:1@pbx.com"),
    ],
)
def test_injection_becomes_a_user(dialled: str, uri: str) -> None:
    assert to_sip(PLAIN, dialled) == uri


@pytest.mark.parametrize(
    "dialled",
    ["tel:+8888;1\r\nVia: x", "tel:+8888;\0", "tel:+8888;a b", "tel:+8888;\ud800", "",
     "tel:+8888;" + "1" * 5000, "tel:+99;<tel:+8888;1>", "sip:1@pbx.com", "tel:+99"],
)  # fmt: skip
def test_refused_at_the_door(dialled: str) -> None:
    with pytest.raises(RouteRejected) as rejected:
        to_sip(PLAIN, dialled)
    assert rejected.value.missing is Missing.TO
    # The text for logs and for the Reason header holds nothing of what the caller sent.
    assert str(rejected.value).isprintable()


@pytest.mark.parametrize(
    ("tel", "sip", "dialled"),
    [
        ("tel:+8888;{u}.{h}", "sip:{u}@{h}", "tel:+8888;1.evil"),
        ("tel:+8888;{u}.{h}", "sip:{u}@pbx.com{h}", "tel:+8888;1..evil.com"),
        ("tel:+8888;{u}.{h}", "sip:{u}@pbx.com:{h}", "tel:+8888;1.7000"),
        ("tel:+8888;{h}", "sip:{h}", "tel:+8888;evil.com"),
        ("tel:+8888;{h}", "sip:pbx.com{h}", "tel:+8888;@evil.com"),
        ("tel:+8888;{h}", "sip:a{h}:b@pbx.com;lr", "tel:+8888;1"),
    ],
)
def test_only_the_configuration_names_the_host(tel: str, sip: str, dialled: str) -> None:
    config = gateway(f'entry e tel "{tel}" sip "{sip}";')
    with pytest.raises(RouteRejected, match="entry `e` of map `t2s` matched, but"):
        to_sip(config, dialled)


def test_a_name_that_only_the_output_has_is_empty() -> None:
    config = gateway('entry e tel "tel:+8888;{u}" sip "sip:{u}@pbx.com{discard}";')
    assert to_sip(config, "tel:+8888;7") == "sip:7@pbx.com"


@pytest.mark.parametrize(
    ("tail", "uri"),
    [("pbx.com:5070", "sip:7@pbx.com:5070"), ("pbx.com:transport=tcp",
     "sip:7@pbx.com;transport=tcp"), ("[::1]:5070;transport=TLS",
     "sip:7@[::1]:5070;transport=tls"), ("PBX.com", "sip:7@PBX.com")],
)  # fmt: skip
def test_port_and_transport(tail: str, uri: str) -> None:
    config = gateway(f'entry e tel "tel:+8888;{{u}}" sip "sip:{{u}}@{tail}";')
    assert to_sip(config, "tel:+8888;7") == uri


@pytest.mark.parametrize(
    ("dialled", "uri"),
    [("sip:4670@gw", "tel:+4670"), ("SIP:4670@GW:5060;user=phone", "tel:+4670"),
     ("sip:4670@gw?subject=x", "tel:+4670"), ("<sip:4670@gw;lr>", "tel:+4670"),
     ("sip:46-70@gw", "tel:+4670"), ("sip:4670w1@gw", "tel:+4670;1"),
     ("sip:4670;1@gw", "tel:+4670;1"), ("sip:4670;1%23@gw", "tel:+4670;1#")],
)  # fmt: skip
def test_sip_to_tel(dialled: str, uri: str) -> None:
    assert to_tel(PLAIN, dialled) == uri


@pytest.mark.parametrize(
    "dialled", ["sip:@gw", "sip:+46@gw", "sip:alice@gw", "sip:46%3B1@gw", "sip:" + "1" * 16 + "@gw"]
)
def test_no_tel_uri_comes_out(dialled: str) -> None:
    with pytest.raises(RouteRejected, match="matched, but"):
        to_tel(PLAIN, dialled)


def test_first_pass_comes_before_the_second_over_all_maps() -> None:
    config = gateway(
        'entry e tel "tel:+8888;{u}" sip "sip:{u}@pbx.com";',
        'entry short sip "sip:1@gw" tel "tel:+1"; entry port sip "sip:1@gw:7000" tel "tel:+2";',
    )
    assert to_tel(config, "sip:1@gw:7000") == "tel:+2"
    assert to_tel(config, "sip:1@gw:7001") == "tel:+1"
    found = route(config, Interface.SIP, "sip:1@gw:7001", "sip:101@pbx.com")
    assert found.to_hit.reduced
    assert not found.from_hit.reduced


def test_maps_in_the_order_of_the_interface() -> None:
    config = loads(
        """
        map b { entry x tel "tel:+{n}" sip "sip:b@h"; }
        map a { entry x tel "tel:+{n}" sip "sip:a@h"; }
        interfaces { tel { extension map a; extension map b; } sip { source map b; bind ::1; } }
        """
    )
    found = route(config, Interface.TEL, "tel:+1", "tel:+2")
    assert (found.to_uri, found.from_uri) == ("sip:a@h", "sip:b@h")
    assert found.to_hit.values == (("n", "1"),)


def test_source_maps_that_do_not_match_are_not_replaced_by_extension_maps() -> None:
    config = loads(
        """
        map ext { entry e tel "tel:+8888;{x}" sip "sip:{x}@pbx.com"; }
        map src { entry s sip "sip:{x}@other" tel "tel:+8888;{x}"; }
        map s2t { entry s sip "sip:{n}@gw" tel "tel:+{n}"; }
        interfaces { tel { extension map ext; source map src; } sip { extension map s2t; } }
        """
    )
    with pytest.raises(RouteRejected) as rejected:
        route(config, Interface.SIP, "sip:46@gw", "sip:101@pbx.com")
    assert rejected.value.missing is Missing.FROM


def test_an_interface_without_maps() -> None:
    with pytest.raises(RouteRejected, match="no to-URI: the interface has no map"):
        route(loads(""), Interface.SIP, "sip:1@h", "sip:2@h")


def test_half_a_route() -> None:
    found = route(PLAIN, Interface.SIP, "sip:46@gw", "sip:101@pbx.com")
    assert to_hit(PLAIN, Interface.SIP, "sip:46@gw") == found.to_hit
    assert from_hit(PLAIN, Interface.SIP, "sip:101@pbx.com") == found.from_hit
    with pytest.raises(RouteRejected) as rejected:
        to_hit(PLAIN, Interface.SIP, "sip:46@elsewhere")
    assert rejected.value.missing is Missing.TO
    with pytest.raises(RouteRejected) as rejected:
        from_hit(PLAIN, Interface.TEL, "tel:46")
    assert rejected.value.missing is Missing.FROM


@pytest.mark.parametrize(
    ("sip", "tel", "interface", "dialled"),
    [
        # A pattern of the other scheme matches what came in, but gives nothing that may be sent.
        ("sip:{x}@gw", "sip:{x}@gw", Interface.SIP, "sip:46@gw"),
        ("tel:+{x}", "tel:+{x}", Interface.TEL, "tel:+46"),
        ("{x}", "{x}", Interface.SIP, "sip:46@gw"),
        ("{x}", "{x}", Interface.TEL, "tel:+46"),
        ("{x}@gw", "tel:+{x}", Interface.SIP, "sip:46@gw"),
        # A URI of the other scheme is no match for a pattern with the side's own.
        ("sip:{x}", "tel:+{x}", Interface.SIP, "tel:+46"),
        ("sip:{x}", "tel:+{x}", Interface.SIP, "sips:46"),
        ("sip:{x}@gw", "tel:{x}", Interface.TEL, "sip:46@gw"),
    ],
)
def test_only_a_map_turns_one_scheme_into_the_other(
    sip: str, tel: str, interface: Interface, dialled: str
) -> None:
    config = loads(
        f"""map m {{ entry e sip "{sip}" tel "{tel}"; }}
        interfaces {{ tel {{ extension map m; }} sip {{ extension map m; bind ::1; }} }}"""
    )
    with pytest.raises(RouteRejected):
        to_hit(config, interface, dialled)


def test_a_map_may_turn_any_scheme_into_the_other() -> None:
    config = gateway(
        'entry e tel "sip:{x}@gw" sip "sips:{x}@pbx.com";',
        'entry e sip "tel:+{x}" tel "tel:+46{x}";',
    )
    assert to_sip(config, "sip:7@gw") == "sips:7@pbx.com"
    assert to_hit(config, Interface.SIP, "tel:+7").uri == "tel:+467"


V6 = gateway(
    'entry e tel "tel:+8888;{n}" sip "sip:{n}@[2001:db8::1]:5070;transport=tcp";',
    'entry a sip "sip:{n}@[2001:DB8::2]" tel "tel:+1{n}";'
    'entry b sip "sip:{n}@[2001:db8::2]:5070" tel "tel:+2{n}";'
    'entry c sip "sip:[2001:db8::3]" tel "tel:+3";'
    'entry d sip "sip:{n}@[2001:db8::4]:5070;transport=tcp" tel "tel:+4{n}";',
)


@pytest.mark.parametrize(
    ("dialled", "uri", "reduced"),
    [
        ("sip:6@[2001:db8::2]", "tel:+16", False),
        ("sip:6@[2001:dB8::2]:5060", "tel:+16", True),
        ("sip:6@[2001:db8::2];transport=udp", "tel:+16", True),
        ("<sip:6@[2001:db8::2]:5060;lr>;tag=1", "tel:+16", True),
        ("sip:6@[2001:db8::2]:5070", "tel:+26", False),
        ("sip:6@[2001:db8::2]:5070?Subject=x", "tel:+26", False),
        ("sip:[2001:DB8::3]", "tel:+3", False),
        ("sip:[2001:db8::3]:5070;lr", "tel:+3", True),
        ("sip:6@[2001:db8::4]:5070;transport=tcp", "tel:+46", False),
    ],
)
def test_an_ipv6_host_that_came_in(dialled: str, uri: str, reduced: bool) -> None:
    hit = to_hit(V6, Interface.SIP, dialled)
    assert (hit.uri, hit.reduced) == (uri, reduced)


@pytest.mark.parametrize(
    "dialled", ["sip:6@[2001:db8::5]", "sip:6@[2001:db8::2", "sip:6@2001:db8::2"]
)
def test_another_ipv6_host(dialled: str) -> None:
    with pytest.raises(RouteRejected):
        to_hit(V6, Interface.SIP, dialled)


@pytest.mark.parametrize(
    ("tail", "uri"),
    [
        ("[2001:db8::1]", "sip:7@[2001:db8::1]"),
        ("[2001:db8::1]:5070", "sip:7@[2001:db8::1]:5070"),
        ("[2001:db8::1]:transport=tls", "sip:7@[2001:db8::1];transport=tls"),
        ("[2001:db8::1]:5070;transport=tcp", "sip:7@[2001:db8::1]:5070;transport=tcp"),
        ("[::ffff:192.0.2.1]", "sip:7@[::ffff:192.0.2.1]"),
        ("[2001:db8::1]{discard}", "sip:7@[2001:db8::1]"),
        ("2001:db8::1", None),
        ("[2001:db8::1", None),
        ("[2001:db8::g]", None),
        ("[192.0.2.1]", None),
        ("[fe80::1%eth0]", None),
        ("[2001:db8::1]5070", None),
    ],
)
def test_an_ipv6_host_to_call(tail: str, uri: str | None) -> None:
    config = gateway(f'entry e tel "tel:+8888;{{u}}" sip "sip:{{u}}@{tail}";')
    if uri is not None:
        assert to_sip(config, "tel:+8888;7") == uri
        return
    assert "W107" in {warning.code for warning in config.warnings}
    with pytest.raises(RouteRejected, match="matched, but"):
        to_sip(config, "tel:+8888;7")


def test_bind_to_an_ipv6_address() -> None:
    config = loads("interfaces { sip { bind 2001:db8::1; port 5070; } }")
    assert config.sip.bind == ip_address("2001:db8::1")
    assert config.sip.port == 5070


@pytest.mark.parametrize(
    ("text", "calls", "line"),
    [("", 1000, None), ("max_calls 1;", 1, 2), ("max_calls 1400;", 1400, 2)],
)
def test_max_calls(text: str, calls: int, line: int | None) -> None:
    config = loads(f"interfaces {{\n{text}\n sip {{ bind ::1; }} }}")
    assert config.max_calls == calls
    place = config.max_calls_position
    assert (place and place.line) == line
