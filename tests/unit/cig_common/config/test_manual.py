# SPDX-License-Identifier: GPL-3.0-or-later
"""Every configuration that the manual prints, with the results and warnings it must give.

The files stand as printed, less the debris of page breaks. What the manual prints as an outline,
with `...` or names in `<>`, or as a piece of a file, is completed with as little as makes a file of
it.
"""

import re
from ipaddress import ip_address
from pathlib import Path

import pytest

from cig_common.config import (
    ConfigError,
    Configuration,
    Interface,
    MailboxKind,
    PortRange,
    TranslateMap,
    load,
    loads,
)
from cig_common.config.patterns import Kind, subject
from cig_common.config.routing import Missing, RouteRejected, route
from cig_common.config.translate import translate

FILES = Path(__file__).parent / "files"
EXPECTED = {
    "manual_outline.conf": ["W101"],
    "manual_entry_maptel2sip.conf": [],
    "manual_entry_mapsip2tel.conf": [],
    "manual_simple.conf": [],
    "manual_elaborate.conf": ["W103", "W104"],
    "manual_alternative.conf": [],
    "manual_rule.conf": ["W103", "W108"],
    "manual_mailboxes.conf": ["W108"],
    "manual_migration_maps.conf": ["W103"] * 4 + ["W105"] * 2 + ["W108"],
    "manual_migration_translate_maps.conf": ["W108"],
}
"""The codes that each file's warnings have, whatever machine it is read on."""
REFUSED = "manual_migration_translate_maps_surplus_brace.conf"


def read(name: str) -> Configuration:
    """Load a file without a look at this machine: its folders, its addresses."""
    return loads((FILES / name).read_text("utf-8"), name)


def made_by(rules: TranslateMap, text: str) -> str | None:
    found = translate(rules, text)
    return found and found.value


def test_the_list_is_complete() -> None:
    assert {path.name for path in FILES.glob("manual_*")} == {*EXPECTED, REFUSED}


@pytest.mark.parametrize("name", EXPECTED)
def test_a_file_has_just_these_warnings(name: str) -> None:
    assert sorted(str(warning.code) for warning in read(name).warnings) == EXPECTED[name]


def test_outline() -> None:
    config = read("manual_outline.conf")
    assert config.sip.bind == ip_address("192.168.1.1")
    (warning,) = config.warnings
    source = (FILES / "manual_outline.conf").read_text("utf-8").splitlines()[warning.line - 1]
    assert source == "        bind 192.168.1.1"
    assert config.sip.messaging
    assert [use.map.name for use in config.tel.source_maps] == ["someothermap"]
    assert [str(override.new) for override in config.sip.rtp_remote_addr_overrides] == [
        "198.51.100.3",
        "198.51.100.4",
    ]


@pytest.mark.parametrize(
    ("dialled", "called"),
    # The manual: an empty extension is `sip:@pbx.com`, which is sent as `sip:pbx.com`.
    [("tel:+8888;1234", "sip:1234@pbx.com"), ("tel:+8888;", "sip:pbx.com")],
)
@pytest.mark.parametrize("name", ["maptel2sip", "mapsip2tel"])
def test_single_entries_as_extension_of_the_tel_interface(
    name: str, dialled: str, called: str
) -> None:
    config = read(f"manual_entry_{name}.conf")
    with pytest.raises(RouteRejected) as rejected:
        route(config, Interface.TEL, dialled, "tel:+46701234567")
    # The piece has no map for callers; put one beside it to see what is dialled.
    assert rejected.value.missing is Missing.FROM
    text = (FILES / f"manual_entry_{name}.conf").read_text("utf-8")
    source = 'map from { entry all tel "tel:+{n}" sip "sip:{n}@secure.com"; }\n'
    with_source = source + text.replace("sip {\n", "sip {\nsource map from;\n")
    found = route(loads(with_source), Interface.TEL, dialled, "tel:+46701234567")
    assert (found.to_uri, found.to_hit.entry_name) == (called, name)


@pytest.mark.parametrize(
    "caller",
    ["sip:101@pbx.com", "sip:101@pbx.com:5080", "sip:101@pbx.com;user=phone", "sip:101@pbx.com.au"],
)
def test_the_discard_entry_takes_whatever_follows_the_domain(caller: str) -> None:
    (entry,) = read("manual_entry_mapsip2tel.conf").maps[0].entries
    values = entry.sip.match(subject(caller, Kind.SIP))
    assert values is not None
    assert values["foobar"] == "101"
    assert entry.tel.substitute(values) == "tel:+8888;101"


def test_simple_example() -> None:
    config = read("manual_simple.conf")
    assert config.sip.bind == ip_address("192.168.1.1")
    assert (config.sip.rtp_port_range.low, config.sip.rtp_port_range.high) == (1024, 2048)
    assert config.tel.rtp_port_range == PortRange(16384, 32767)
    assert (config.sip.messaging, config.sip.port) == (True, 5060)


def test_simple_example_worked_call() -> None:
    config = read("manual_simple.conf")
    found = route(config, Interface.SIP, "sip:94670123456@secure.com", "sip:101@pbx.com")
    # The manual prints tel:+464670123456, but its entry takes off the 9 only.
    assert (found.to_uri, found.from_uri) == ("tel:+4670123456", "tel:+8888;101")
    assert found.out_interface is Interface.TEL
    assert (found.to_hit.map_name, found.to_hit.entry_name) == ("mapsip2tel", "sipext2tel")
    assert (found.from_hit.map_name, found.from_hit.position.line) == ("maptel2sip", 2)


def test_simple_example_other_way() -> None:
    config = read("manual_simple.conf")
    found = route(config, Interface.TEL, "tel:+8888w1234", "tel:+4670123456")
    # The caller is shown without the 9, as the manual says.
    assert (found.to_uri, found.from_uri) == ("sip:1234@pbx.com", "sip:4670123456@secure.com")
    assert route(config, Interface.TEL, "tel:+8888;", "tel:+46").to_uri == "sip:pbx.com"


def test_elaborate_example_has_just_two_warnings() -> None:
    for warnings in (
        read("manual_elaborate.conf").warnings,
        load(FILES / "manual_elaborate.conf").warnings,
    ):
        assert [(warning.code, warning.line) for warning in warnings] == [
            ("W103", 28),
            ("W104", 74),
        ]
        assert "`srcsip2tel`" in warnings[0].message
        assert "`srctel2sip`" in warnings[1].message


def test_elaborate_example_finds_no_from_uri() -> None:
    config = read("manual_elaborate.conf")
    with pytest.raises(RouteRejected) as rejected:
        route(config, Interface.SIP, "sip:4670123456@secure.com", "sip:101@pbx.com")
    assert rejected.value.missing is Missing.FROM
    assert rejected.value.sip_status == 404
    assert route(config, Interface.TEL, "tel:+8888;9", "tel:+46").from_uri == "sip:46@secure.com"


def test_elaborate_example_discards_domain_and_options() -> None:
    text = (FILES / "manual_elaborate.conf").read_text("utf-8")
    # As it was meant: with the other source map on the tel interface.
    meant = text.replace("source map srctel2sip;", "source map srcsip2tel;", 1)
    config = loads(meant)
    assert config.warnings == ()
    found = route(
        config,
        Interface.SIP,
        "sip:4670123456@192.168.1.1:5060;user=phone",
        "sip:101@10.0.0.9:5060;transport=tcp",
    )
    assert (found.to_uri, found.from_uri) == ("tel:+4670123456", "tel:+8888;101")


def test_elaborate_example_with_its_page_break_is_told_at_the_second_comment_end() -> None:
    text = (FILES / "manual_elaborate.conf").read_text("utf-8")
    printed = re.sub(r"\n\n\nmap srctel2sip", "\n\n*/\nmap srctel2sip", text)
    line = printed[: printed.index("*/\nmap srctel2sip")].count("\n") + 1
    with pytest.raises(ConfigError) as refused:
        loads(printed)
    problem = refused.value.problems[0]
    assert (problem.line, problem.column, problem.source) == (line, 1, "*/")


def test_alternative_deployment() -> None:
    config = read("manual_alternative.conf")
    for public, private in (("46.16.234.56", "192.168.1.15"), ("46.16.235.34", "192.168.1.16")):
        assert config.tel.remote_address(ip_address(public)) == ip_address(private)
    other = ip_address("192.0.2.1")
    assert config.tel.remote_address(other) == other


def test_rule() -> None:
    (rules,) = read("manual_rule.conf").translate_maps
    assert made_by(rules, "tel:+8888;12345") == "12345@pbx.com"
    assert made_by(rules, "tel:+8889;12345") is None


def test_mailboxes() -> None:
    config = read("manual_mailboxes.conf")
    reader, first, second = config.mailboxes
    assert (reader.kind, reader.path) == (MailboxKind.READ, "/path/to/read/mailbox")
    assert [box.kind for box in (first, second)] == [MailboxKind.WRITE] * 2
    # Outgoing: From becomes a URI of the gateway's own, To one of a secure user.
    assert made_by(reader.map_from, "1234@pbx.com") == "tel:+8888;1234"
    assert made_by(reader.map_from, "operator") == "tel:+8888"
    assert made_by(reader.map_to, "4670123456@secure.com") == "tel:+4670123456"
    # Incoming: the manual's rule.
    assert made_by(first.map_to, "tel:+8888;12345") == "12345@pbx.com"


def test_migration_maps_load_with_swapped_schemes() -> None:
    warnings = read("manual_migration_maps.conf").warnings
    swapped = [warning for warning in warnings if warning.code == "W105"]
    assert [warning.line for warning in swapped] == [14, 20]
    assert all("swapped" in str(warning.hint) for warning in swapped)


def test_migration_translate_maps() -> None:
    reader, writer = read("manual_migration_translate_maps.conf").mailboxes
    assert (reader.kind, reader.path) == (MailboxKind.READ, "/path/to/read/mailbox")
    assert (reader.map_from.name, reader.map_to.name) == ("telsrc", "sipmap")
    assert (writer.kind, writer.path) == (MailboxKind.WRITE, "/path/to/write/mailbox")
    assert (writer.map_from.name, writer.map_to.name) == ("sipsrc", "telmap")
    assert made_by(reader.map_from, "sip:101@pbx.com:5060") == "tel:+8888;101"
    assert made_by(reader.map_to, "sip:4670123456@secure.com") == "tel:+4670123456"
    assert made_by(writer.map_from, "tel:+4670123456") == "sip:4670123456@"
    assert made_by(writer.map_to, "tel:+8888;101") == "sip:101@pbx.com"


def test_migration_maps_and_translate_maps_may_share_their_names() -> None:
    both = "".join(
        (FILES / f"manual_migration_{name}.conf").read_text("utf-8")
        for name in ("maps", "translate_maps")
    )
    config = loads(both)
    names = ["telmap", "telsrc", "sipsrc", "sipmap"]
    assert [made.name for made in config.maps] == names
    assert [made.name for made in config.translate_maps] == names


def test_migration_surplus_brace_is_an_error_at_that_brace() -> None:
    text = (FILES / REFUSED).read_text("utf-8")
    with pytest.raises(ConfigError) as refused:
        load(FILES / REFUSED)
    (problem,) = refused.value.problems
    assert (problem.line, problem.column) == (len(text.splitlines()), 1)
    assert text.splitlines()[-1] == "}"
