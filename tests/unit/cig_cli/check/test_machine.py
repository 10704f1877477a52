# SPDX-License-Identifier: GPL-3.0-or-later
"""The machine's rows, shown machines other than this one."""

import os
from pathlib import Path

import pytest

from cig_cli.check import machine
from cig_cli.check.row import State

GOOD = "processor\t: 0\nflags\t\t: fpu rdrand sse2\nprocessor\t: 1\nflags\t\t: fpu rdrand sse2\n"


def states(root: Path) -> dict[str, State]:
    return {row.name: row.state for row in machine.machine_rows(root)}


def fill(root: Path, cpuinfo: str = GOOD, kib: int = 4_000_000, release: str = "5.10.0") -> None:
    for name, text in (
        ("proc/cpuinfo", cpuinfo),
        ("proc/meminfo", f"MemTotal:       {kib} kB\nMemFree: 1 kB\n"),
        ("proc/sys/kernel/osrelease", f"{release}\n"),
        ("proc/self/status", "Name:\tx\nSeccomp:\t0\n"),
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    (root / "run/systemd/system").mkdir(parents=True, exist_ok=True)


def test_a_good_machine(tmp_path: Path) -> None:
    fill(tmp_path)
    found = states(tmp_path)
    del found["architecture"]  # that is this machine's
    assert set(found.values()) == {State.OK}


def test_a_machine_that_shows_nothing(tmp_path: Path) -> None:
    found = states(tmp_path)
    assert {found[name] for name in ("RdRand", "cores", "memory", "kernel", "seccomp")} == {"skip"}
    assert found["systemd"] == "warn"


@pytest.mark.parametrize(
    ("cpuinfo", "advice"),
    [
        ("processor : 0\nflags : fpu sse2\n", "use a processor that has it"),
        ("processor : 0\nflags : fpu hypervisor\n", "host-passthrough"),
        (GOOD + "processor : 2\nflags : fpu\n", "use a processor that has it"),
        ("processor : 0\nflags : fpu rdrandom\n", "use a processor that has it"),
        ("processor : 0\nFeatures : fp asimd\n", "use a processor that has it"),
    ],
)
def test_no_rdrand(cpuinfo: str, advice: str) -> None:
    row = machine.rdrand(cpuinfo)
    assert row.state == "fail"
    assert advice in row.advice


@pytest.mark.parametrize(
    ("change", "name", "state"),
    [
        ({"kib": 2_000_000}, "memory", "warn"),
        ({"cpuinfo": "processor : 0\nflags : rdrand\n"}, "cores", "warn"),
        ({"release": "3.9.11"}, "kernel", "fail"),
        ({"release": "3.10.0-862.el7.x86_64"}, "kernel", "ok"),
        ({"release": "strange"}, "kernel", "skip"),
    ],
)
def test_what_is_too_little(
    tmp_path: Path, change: dict[str, object], name: str, state: str
) -> None:
    fill(tmp_path, **change)  # type: ignore[arg-type]
    assert states(tmp_path)[name] == state


def test_architecture_and_seccomp() -> None:
    assert machine.architecture("x86_64").state == "ok"
    assert machine.architecture("aarch64").state == "fail"
    assert machine.seccomp("Name:\tx\n").state == "warn"


def test_the_pool_of_random_numbers() -> None:
    def empty(count: int, flags: int) -> bytes:
        assert flags == os.GRND_NONBLOCK
        raise BlockingIOError

    def missing(count: int, flags: int) -> bytes:
        raise OSError(38, "Function not implemented")

    assert machine.random_pool(os.getrandom).state == "ok"
    assert "not initialised" in machine.random_pool(empty).found
    assert "no getrandom" in machine.random_pool(missing).found
