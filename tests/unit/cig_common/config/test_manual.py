# SPDX-License-Identifier: GPL-3.0-or-later
"""Every configuration that the manual prints, with the results and warnings it must give."""

from ipaddress import ip_address
from pathlib import Path

import pytest

from cig_common.config import ConfigError, Interface, MailboxKind, PortRange, load
from cig_common.config.routing import Missing, RouteRejected, route

FILES = Path(__file__).parent / "files"
PROJECT = Path(__file__).resolve().parents[4]


def codes(name: str) -> list[str | None]:
    return [warning.code for warning in load(FILES / name).warnings]


def test_simple_example() -> None:
    config = load(FILES / "manual_simple.conf")
    assert config.warnings == ()
    assert config.sip.bind == ip_address("192.168.1.1")
    assert (config.sip.rtp_port_range.low, config.sip.rtp_port_range.high) == (1024, 2048)
    assert config.tel.rtp_port_range == PortRange(16384, 32767)
    assert (config.sip.messaging, config.sip.port) == (True, 5060)


def test_simple_example_worked_call() -> None:
    config = load(FILES / "manual_simple.conf")
    found = route(config, Interface.SIP, "sip:94670123456@secure.com", "sip:101@pbx.com")
    assert (found.to_uri, found.from_uri) == ("tel:+4670123456", "tel:+8888;101")
    assert found.out_interface is Interface.TEL
    assert (found.to_hit.map_name, found.to_hit.entry_name) == ("mapsip2tel", "sipext2tel")
    assert (found.from_hit.map_name, found.from_hit.position.line) == ("maptel2sip", 2)


def test_simple_example_other_way() -> None:
    config = load(FILES / "manual_simple.conf")
    found = route(config, Interface.TEL, "tel:+8888w1234", "tel:+4670123456")
    assert (found.to_uri, found.from_uri) == ("sip:1234@pbx.com", "sip:4670123456@secure.com")
    assert route(config, Interface.TEL, "tel:+8888;", "tel:+46").to_uri == "sip:pbx.com"


def test_elaborate_example_has_just_two_warnings() -> None:
    warnings = load(FILES / "manual_elaborate.conf").warnings
    assert [(warning.code, warning.line) for warning in warnings] == [("W103", 28), ("W104", 74)]
    assert "`srcsip2tel`" in warnings[0].message
    assert "`srctel2sip`" in warnings[1].message


def test_elaborate_example_finds_no_from_uri() -> None:
    config = load(FILES / "manual_elaborate.conf")
    with pytest.raises(RouteRejected) as rejected:
        route(config, Interface.SIP, "sip:4670123456@secure.com", "sip:101@pbx.com")
    assert rejected.value.missing is Missing.FROM
    assert rejected.value.sip_status == 404
    assert route(config, Interface.TEL, "tel:+8888;9", "tel:+46").from_uri == "sip:46@secure.com"


def test_alternative_deployment() -> None:
    config = load(FILES / "manual_alternative.conf")
    assert [warning.code for warning in config.warnings] == ["W101"]
    assert config.tel.remote_address(ip_address("46.16.235.34")) == ip_address("192.168.1.16")
    other = ip_address("192.0.2.1")
    assert config.tel.remote_address(other) == other
    assert config.sip.bind == ip_address("192.168.1.1")


def test_migration_maps_load_with_swapped_schemes() -> None:
    warnings = load(FILES / "manual_migration_maps.conf").warnings
    swapped = [warning for warning in warnings if warning.code == "W105"]
    assert [warning.line for warning in swapped] == [14, 20]


def test_migration_translate_maps() -> None:
    config = load(FILES / "manual_migration_translate_maps.conf")
    assert codes("manual_migration_translate_maps.conf") == ["W108"]
    read, write = config.mailboxes
    assert (read.kind, read.path) == (MailboxKind.READ, "/path/to/read/mailbox")
    assert (read.map_from.name, read.map_to.name) == ("telsrc", "sipmap")
    assert (write.kind, write.map_to.rules[0].match.text) == (
        MailboxKind.WRITE,
        "tel:+8888;{series}",
    )


def test_migration_surplus_brace_is_an_error_at_that_brace() -> None:
    path = FILES / "manual_migration_translate_maps_surplus_brace.conf"
    with pytest.raises(ConfigError) as refused:
        load(path)
    (problem,) = refused.value.problems
    assert path.read_text().splitlines()[problem.line - 1] == "}"
    assert problem.line == len(path.read_text().splitlines())


def test_mailboxes_load() -> None:
    assert codes("manual_mailboxes.conf") == ["W108"]


def test_installed_configuration_is_right() -> None:
    config = load(PROJECT / "etc" / "cig.conf")
    assert config.warnings == ()
    found = route(config, Interface.SIP, "sip:+4670123456@gw:5060", "sip:101@10.0.0.1")
    assert (found.to_uri, found.from_uri) == ("tel:+4670123456", "tel:+8888;101")
    found = route(config, Interface.TEL, "tel:+8888w101", "tel:+4670123456")
    assert (found.to_uri, found.from_uri) == (
        "sip:101@pbx.example.com",
        "sip:4670123456@secure.example.com",
    )
