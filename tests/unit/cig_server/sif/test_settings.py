# SPDX-License-Identifier: GPL-3.0-or-later
"""On which addresses SIP is open, and how they are written; and the inbox that wakes the stack."""

import errno
import ipaddress
import socket
import threading

import pytest

from cig_server.sif import settings as settings_module
from cig_server.sif.inbox import Inbox
from cig_server.sif.settings import (
    ALL,
    SipSettings,
    cannot_listen,
    host_has_ipv6,
    in_uri,
    named_as,
    reachable_at,
    with_port,
)

V4 = ipaddress.ip_address("192.0.2.1")
V6 = ipaddress.ip_address("2001:db8::1")


@pytest.mark.parametrize(
    ("bind", "families", "where"),
    [
        ("192.0.2.1", {4}, "192.0.2.1:5060"),
        ("0.0.0.0", {4}, "0.0.0.0:5060"),
        ("2001:db8::1", {6}, "[2001:db8::1]:5060"),
        ("::1", {6}, "[::1]:5060"),
    ],
)
def test_one_family(bind, families, where):
    settings = SipSettings(bind)
    assert settings.families == families
    assert settings.where() == where
    assert [str(address) for address in settings.listening()] == [bind]


def test_all_addresses_of_both_families(monkeypatch):
    settings = SipSettings(ALL, 5070)
    assert settings.families == {4, 6}
    monkeypatch.setattr(settings_module, "host_has_ipv6", lambda: True)
    assert settings.where() == "0.0.0.0:5070 and [::]:5070"
    monkeypatch.setattr(settings_module, "host_has_ipv6", lambda: False)
    assert settings.where() == "0.0.0.0:5070"


class _NoSocket:
    """A kernel without IPv6, or one that has no socket left."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __call__(self, *_: object) -> socket.socket:
        raise OSError(self.number, "no socket")


def test_a_kernel_without_ipv6(monkeypatch):
    monkeypatch.setattr(settings_module.socket, "socket", _NoSocket(errno.EAFNOSUPPORT))
    assert not host_has_ipv6()
    monkeypatch.setattr(settings_module.socket, "socket", _NoSocket(errno.EMFILE))
    with pytest.raises(OSError, match="no socket"):
        host_has_ipv6()


def test_how_addresses_are_written():
    assert (in_uri(V4), in_uri(V6)) == ("192.0.2.1", "[2001:db8::1]")
    assert (with_port(V4, 1), with_port(V6, 1)) == ("192.0.2.1:1", "[2001:db8::1]:1")
    assert "on [2001:db8::1]:5060: taken;" in str(cannot_listen(V6, 5060, "taken"))


def test_where_a_host_reaches_itself():
    assert reachable_at(V6) is V6
    assert str(reachable_at(ipaddress.ip_address("::"))) == "::1"
    assert str(reachable_at(ipaddress.ip_address("0.0.0.0"))) == "127.0.0.1"


def test_by_what_address_others_know_it(monkeypatch):
    assert named_as(V4) is V4
    assert named_as(V6) is V6
    everywhere = ipaddress.ip_address("0.0.0.0")
    found = named_as(everywhere)
    assert found.version == 4
    assert not found.is_unspecified
    monkeypatch.setattr(settings_module.socket, "socket", _NoSocket(errno.ENETUNREACH))
    assert str(named_as(everywhere)) == "127.0.0.1"
    assert str(named_as(ipaddress.ip_address("::"))) == "::1"


@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")])
def test_the_inbox_wakes_once_and_loses_nothing(family, host):
    try:
        poll = socket.socket(family, socket.SOCK_DGRAM)
        poll.bind((host, 0))
    except OSError:
        pytest.skip("this host has no IPv6")
    with poll:
        poll.settimeout(5)
        inbox: Inbox[int] = Inbox(ipaddress.ip_address(host), poll.getsockname()[1])
        for turn in range(2):
            writer = threading.Thread(target=lambda: [inbox.put(number) for number in range(5)])
            writer.start()
            writer.join()
            assert poll.recv(100) == b"\r\n\r\n", turn
            assert list(inbox.take()) == [0, 1, 2, 3, 4]
        poll.setblocking(False)
        with pytest.raises(BlockingIOError):
            poll.recv(100)
        inbox.close()
        assert not inbox.put(5)
        assert list(inbox.take()) == [5]
