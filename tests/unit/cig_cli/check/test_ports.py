# SPDX-License-Identifier: GPL-3.0-or-later
"""Ports that are really taken."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from cig_cli.check.ports import Taken, port_rows
from cig_cli.check.processes import Port, Process
from cig_cli.check.row import Row
from cig_common.config import Configuration, loads

NOBODY = Taken([], [], {}, served=False)
UDP, TCP = socket.SOCK_DGRAM, socket.SOCK_STREAM


@contextmanager
def taken_port(kind: int) -> Iterator[int]:
    with socket.socket(socket.AF_INET, kind) as holder:
        holder.bind(("127.0.0.1", 0))
        if kind == TCP:
            holder.listen()
        yield holder.getsockname()[1]


def free_port(kind: int) -> int:
    with taken_port(kind) as number:
        return number


def config(port: int, bind: str = "bind 127.0.0.1;", more: str = "") -> Configuration:
    return loads(f"interfaces {{ sip {{ {bind} port {port}; {more} }} }}")


def test_free_ports() -> None:
    found = list(port_rows(config(free_port(UDP)), free_port(TCP), NOBODY))
    assert [row.state for row in found] == ["ok"] * 5


@pytest.mark.parametrize("bind", ["bind 127.0.0.1;", ""])
def test_a_port_that_another_program_has(bind: str) -> None:
    with taken_port(UDP) as number:
        taken = Taken.look(Path("/"), served=False)
        row = next(iter(port_rows(config(number, bind), free_port(TCP), taken)))
    assert row.state == "fail"
    assert f"in use by process {os.getpid()} (" in row.found


def test_a_taken_management_port() -> None:
    with taken_port(TCP) as number:
        row = list(port_rows(config(free_port(UDP)), number, NOBODY))[2]
        assert row.state == "fail"
        assert f"sudo ss -lnp 'sport = :{number}'" in row.advice
        served = Taken([], [], {}, served=True)
        row = list(port_rows(config(free_port(UDP)), number, served))[2]
        assert (row.state, row.found) == ("ok", "in use by the running cig-server")


@pytest.mark.parametrize(("name", "state"), [("cig-server", "ok"), ("asterisk", "fail")])
def test_the_gateway_runs_and_who_has_its_port_is_seen(name: str, state: str) -> None:
    with taken_port(UDP) as number:
        taken = Taken([Port(number, 5)], [], {5: Process(7, name)}, served=True)
        row = next(iter(port_rows(config(number), free_port(TCP), taken)))
    assert row.state == state


def test_an_address_that_this_host_has_not() -> None:
    row = next(iter(port_rows(config(5060, "bind 192.0.2.7;"), free_port(TCP), NOBODY)))
    assert row.state == "fail"
    assert "this host has no address 192.0.2.7" in row.found


def test_rtp_ports() -> None:
    few = config(free_port(UDP), more="rtp_port_range 20000 20009;")
    few = replace(few, max_calls=5)
    others = [Port(number, 100 + number) for number in (20001, 20002, 19999, 20010)]
    calls = {20101: Process(1, "cig-relay")}

    def row(taken: Taken) -> Row:
        found = {one.name: one for one in port_rows(few, free_port(TCP), taken)}
        return found["RTP ports sip"]

    assert row(NOBODY).found == "20000 to 20009: 0 taken by others, room for 5 calls"
    assert row(NOBODY).state == "ok"
    assert row(Taken(others, [], {}, False)).state == "warn"
    assert row(Taken(others, [], calls | {20102: Process(1, "cig-relay")}, False)).state == "ok"
    full = [Port(number, number) for number in range(20000, 20009)]
    assert row(Taken(full, [], {}, False)).state == "fail"
