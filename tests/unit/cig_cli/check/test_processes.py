# SPDX-License-Identifier: GPL-3.0-or-later
import os
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cig_cli.check.processes import Process, holders, limit, ports, processes

HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n"
LINE = (
    "  1: {address}:{port:04X} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000 0 0 "
    "{inode} 2\n"
)


def table(root: Path, name: str, *lines: str) -> None:
    path = root / "proc/net" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(HEAD + "".join(lines))


def process(root: Path, pid: int, *words: str, comm: str = "x") -> Path:
    folder = root / "proc" / str(pid)
    (folder / "fd").mkdir(parents=True)
    (folder / "cmdline").write_bytes(b"\0".join(word.encode() for word in (*words, "")))
    (folder / "comm").write_text(f"{comm}\n")
    return folder


def test_ports_of_another_machine(tmp_path: Path) -> None:
    udp = LINE.format(address="0100007F", port=5060, state="07", inode=11)
    connected = LINE.format(address="0100007F", port=146, state="01", inode=12)
    six = LINE.format(address="0" * 32, port=20000, state="07", inode=13)
    table(tmp_path, "udp", udp, connected, "nonsense\n")
    table(tmp_path, "udp6", six)
    assert [(one.number, one.inode) for one in ports(tmp_path, "udp")] == [
        (5060, 11), (146, 12), (20000, 13)
    ]  # fmt: skip
    listening = LINE.format(address="0100007F", port=8083, state="0A", inode=14)
    table(tmp_path, "tcp", listening, connected)
    assert [one.number for one in ports(tmp_path, "tcp")] == [8083]


def test_holders_of_another_machine(tmp_path: Path) -> None:
    folder = process(tmp_path, 7, "/usr/sbin/asterisk", comm="asterisk")
    (folder / "fd/3").symlink_to("socket:[11]")
    (folder / "fd/4").symlink_to("/dev/null")
    (tmp_path / "proc/8").mkdir()
    assert holders(tmp_path) == {11: Process(7, "asterisk")}


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (("/opt/cig/rt/python3.11", "-I", "/opt/cig/bin/cig-relay", "--engines"), "cig-relay"),
        (("python", "-m", "cig_server.app"), "cig-server"),
        (("/opt/cig/bin/cig-relay",), "cig-relay"),
        (("vim", "/opt/cig/bin/cig-relay"), "x"),
        (("python3",), "x"),
        ((), "x"),
    ],
)
def test_daemons_are_known_by_what_was_started(
    tmp_path: Path, words: tuple[str, ...], name: str
) -> None:
    process(tmp_path, 7, *words)
    assert list(processes(tmp_path)) == [Process(7, name)]


def test_this_machine() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        number = taken.getsockname()[1]
        inode = os.fstat(taken.fileno()).st_ino
        assert (number, inode) in [(one.number, one.inode) for one in ports(Path("/"), "udp")]
        assert holders(Path("/"))[inode].pid == os.getpid()
    assert limit(Path("/"), "self", "Max open files") is not None


@given(st.text(max_size=300))
def test_a_limits_file_of_any_text(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    root = tmp_path_factory.mktemp("root")
    (root / "proc/9").mkdir(parents=True)
    (root / "proc/9/limits").write_text(text, "utf-8", "replace")
    assert limit(root, 9, "Max open files") is None


def test_limits(tmp_path: Path) -> None:
    (tmp_path / "proc/9").mkdir(parents=True)
    (tmp_path / "proc/9/limits").write_text(
        "Limit                     Soft Limit           Hard Limit           Units     \n"
        "Max open files            1024                 20000                files     \n"
        "Max locked memory         unlimited            unlimited            bytes     \n"
    )
    assert limit(tmp_path, 9, "Max open files") == 1024
    assert limit(tmp_path, 9, "Max locked memory") == float("inf")
    assert limit(tmp_path, 9, "Max nothing") is None
    assert limit(tmp_path, 10, "Max open files") is None
