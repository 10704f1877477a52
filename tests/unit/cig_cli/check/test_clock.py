# SPDX-License-Identifier: GPL-3.0-or-later
import time

import pytest

from cig_cli.check.clock import (
    KernelClock,
    clock_rows,
    date,
    kernel_clock,
    synchronisation,
)


def test_the_kernel_tells_of_its_clock() -> None:
    # At the most 16 s: there the kernel stops counting (NTP_PHASE_LIMIT).
    assert 0 <= kernel_clock().max_error <= 17
    assert [row.name for row in clock_rows(time.time())] == ["clock", "clock kept"]


@pytest.mark.parametrize(
    ("clock", "state", "found"),
    [
        (KernelClock(True, 0.004), "ok", "wrong by 0.004 s at the most"),
        (KernelClock(True, 301.0), "warn", "wrong by 301 s"),
        (KernelClock(False, 0.004), "warn", "nothing keeps"),
    ],
)
def test_synchronisation(clock: KernelClock, state: str, found: str) -> None:
    row = synchronisation(clock)
    assert row.state == state
    assert found in row.found
    assert bool(row.advice) == (state != "ok")


@pytest.mark.parametrize(
    ("utc", "state"),
    [(1.8e9, "ok"), (0.0, "fail"), (1.7e9, "fail"), (1e11, "fail"), (1e30, "fail")],
)
def test_date(utc: float, state: str) -> None:
    assert date(utc).state == state
