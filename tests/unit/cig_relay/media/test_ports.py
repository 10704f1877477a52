# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cig_common.errors import MediaError
from cig_relay.media.engine import PortRange
from cig_relay.media.ports import PortPool
from cig_relay.media.sockets import reserve


@given(st.integers(1, 200), st.integers(0, 40), st.sampled_from([1, 2]), st.integers(0, 500))
def test_what_is_handed_out_lies_in_the_range(low, size, step, start):
    high = low + size
    pool = PortPool(PortRange(low, high), step, start)
    ports = [pool.take() for _ in range(len(pool))]
    assert pool.take() is None
    expected = [p for p in range(low, high + 1) if step == 1 or (p % 2 == 0 and p < high)]
    assert sorted(ports) == expected


def test_the_longest_rested_port_comes_first():
    pool = PortPool(PortRange(100, 107), 2)
    assert [pool.take() for _ in range(3)] == [100, 102, 104]
    pool.release(102)
    pool.release(100)
    assert [pool.take() for _ in range(3)] == [106, 102, 100]
    assert len(pool) == 0


def _free_even_port() -> int:
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind(("127.0.0.1", 0))
            port = sock.getsockname()[1]
        if port % 2 == 0 and port < 65000:
            return port


def test_a_port_that_a_stranger_holds_is_tried_again_later():
    first = _free_even_port()
    pool = PortPool(PortRange(first, first + 3), 2)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.bind(("127.0.0.1", first + 1))
        port, pair = reserve(pool, "127.0.0.1", 2, "sip")
        assert port == first + 2
        assert [sock.getsockname()[1] for sock in pair] == [first + 2, first + 3]
        with pytest.raises(MediaError):
            reserve(pool, "127.0.0.1", 2, "sip")
    again, more = reserve(pool, "127.0.0.1", 2, "sip")
    assert again == first
    for sock in pair + more:
        sock.close()


@pytest.mark.parametrize("addr", ["192.0.2.77", "pbx.example"])
def test_an_address_that_is_not_ours_is_told(addr):
    pool = PortPool(PortRange(40000, 40010), 1)
    with pytest.raises(MediaError, match="tel: "):
        reserve(pool, addr, 1, "tel")
    assert len(pool) == 11
