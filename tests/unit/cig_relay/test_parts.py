# SPDX-License-Identifier: GPL-3.0-or-later
"""The small parts of the relay's shell: addresses, the view of cig.conf, systemd's socket."""

from __future__ import annotations

import ipaddress
import logging
import socket

import pytest

from cig_common.config import loads
from cig_common.errors import MediaError
from cig_relay import addresses
from cig_relay.addresses import TelAddress, default_address, route_address, sip_address
from cig_relay.config_view import describe, media_settings
from cig_relay.media.engine import PortRange


def test_route_to_a_loopback_address_is_loopback() -> None:
    assert route_address("127.0.0.1", 5223) == "127.0.0.1"
    assert route_address("localhost", 5223) in ("127.0.0.1", "::1")


def test_an_override_is_asked_for_the_route() -> None:
    assert route_address("192.0.2.7", 5223, {"192.0.2.7": "127.0.0.1"}) == "127.0.0.1"


def test_default_address_is_one() -> None:
    ipaddress.ip_address(default_address())


@pytest.mark.parametrize("bind", ["192.0.2.1", "2001:db8::1"])
@pytest.mark.parametrize("peer", ["", "192.0.2.7", "2001:db8::7"])
def test_the_sip_side_uses_the_address_of_bind(bind: str, peer: str) -> None:
    assert sip_address(bind, peer) == bind


@pytest.mark.parametrize(
    ("bind", "peer"),
    [
        ("", ""),
        ("", "192.0.2.7"),
        ("", "::"),
        ("::", "0.0.0.0"),
        ("0.0.0.0", ""),
        ("0.0.0.0", "2001:db8::7"),
    ],
)
def test_all_addresses_and_no_pbx_of_ipv6(bind: str, peer: str) -> None:
    assert sip_address(bind, peer) == default_address()


@pytest.mark.parametrize("bind", ["", "::"])
def test_all_addresses_and_a_pbx_of_ipv6(bind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def route(host: str, port: int, override: object) -> str:
        assert host == "2001:db8::7"
        return "2001:db8::1"

    monkeypatch.setattr(addresses, "route_address", route)
    assert sip_address(bind, "2001:db8::7") == "2001:db8::1"

    def no_route(host: str, port: int, override: object) -> str:
        raise OSError(101, "Network is unreachable")

    monkeypatch.setattr(addresses, "route_address", no_route)
    with pytest.raises(MediaError, match="no route to 2001:db8::7 over IPv6: Network is unreach"):
        sip_address(bind, "2001:db8::7")


def test_a_pbx_on_the_ipv6_loopback() -> None:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        pytest.skip("this host has no IPv6 loopback")
    assert sip_address("", "::1") == "::1"
    assert sip_address("::", "2001:db8::7", {"2001:db8::7": "::1"}) == "::1"


async def test_tel_address_follows_the_route_to_the_first_crs_that_resolves(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    address = TelAddress(None)
    assert address() == default_address()
    await address.refresh(["no-such-host.invalid:5223", "127.0.0.1:5223"], {})
    assert address() == "127.0.0.1"
    assert "no route to the CRS no-such-host.invalid:5223" in caplog.text
    caplog.clear()
    await address.refresh(["no-such-host.invalid:5223"], {})
    assert address() == "127.0.0.1"


async def test_a_fixed_tel_address_stays() -> None:
    address = TelAddress("192.0.2.9")
    await address.refresh(["127.0.0.1:5223"], {})
    assert address() == "192.0.2.9"


def test_view_of_the_configuration() -> None:
    configuration = loads(
        "interfaces { tel { rtp_port_range 1024 2048;"
        " rtp_remote_addr_override 192.0.2.1 192.168.1.15;"
        " rtp_remote_addr_override 192.0.2.1 192.168.1.16; }"
        " sip { bind 192.168.1.1; rtp_port_range 3000 4000; } }"
    )
    settings = media_settings(configuration)
    assert settings.tel_ports == PortRange(1024, 2048)
    assert settings.sip_ports == PortRange(3000, 4000)
    assert settings.tel_override == {"192.0.2.1": "192.168.1.15"}
    assert settings.sip_override == {}
    lines = list(describe(configuration))
    assert "cig.conf: tel rtp_port_range 1024 2048" in lines
    assert "cig.conf: sip bind 192.168.1.1" in lines


def test_the_defaults_of_the_configuration() -> None:
    configuration = loads("")
    assert media_settings(configuration).tel_ports == PortRange(16384, 32767)
    assert "not set" in list(describe(configuration))[-1]
