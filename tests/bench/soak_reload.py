# SPDX-License-Identifier: GPL-3.0-or-later
"""Measures reloads under load: ``make soak-reload ARGS="--reloads 1000 --rate 50"``.

The whole lab runs on loopback: SIPp begins calls, the gateway's two programs carry them to a
secure phone with real crypto, and cig.conf is reloaded without a pause. Ends with 1 if a call was
lost or a daemon's memory grew.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from e2e.soak import Soaked, soak
from e2e.support import gateway

GROWTH = 1.05
"""What counts as flat: the last sample is at most so many times the one before the reloads."""


def main() -> int:
    """Run and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reloads", type=int, default=1000)
    parser.add_argument("--rate", type=int, default=50, help="calls begun a second")
    parser.add_argument("--pause", type=float, default=0.2, help="seconds between two reloads")
    parser.add_argument("--warm-up", type=float, default=60.0, help="seconds of calls alone first")
    parser.add_argument("--seconds", type=float, default=900.0, help="end after this time")
    options = parser.parse_args()
    soaked = asyncio.run(_run(options))
    return report(soaked, options.rate)


async def _run(options: argparse.Namespace) -> Soaked:
    with tempfile.TemporaryDirectory(prefix="cig-soak-") as folder:
        async with gateway() as lab:
            return await soak(
                lab,
                Path(folder),
                reloads=options.reloads,
                rate=options.rate,
                pause=options.pause,
                most_seconds=options.seconds,
                warm_up=options.warm_up,
            )


def report(soaked: Soaked, rate: int) -> int:
    """Print what was measured; gives the exit code."""
    times = sorted(soaked.times_ms)
    print(
        f"{soaked.reloads} reloads in {soaked.seconds:.0f} s under {rate} calls a second: "
        f"median {statistics.median(times):.0f} ms, longest {times[-1]:.0f} ms"
    )
    print(f"{soaked.calls} calls, {soaked.lost} lost; session.log: {dict(soaked.states)}")
    print(f"{'reloads':>8}{'server kB':>12}{'relay kB':>12}")
    for sample in soaked.memory:
        print(f"{sample.reloads:>8}{sample.server_kb:>12}{sample.relay_kb:>12}")
    settled, last = soaked.memory[0], soaked.memory[-1]
    grown = [
        name
        for name, first, end in (
            ("cig-server", settled.server_kb, last.server_kb),
            ("cig-relay", settled.relay_kb, last.relay_kb),
        )
        if end > first * GROWTH
    ]
    for name in grown:
        print(f"{name} grew by more than {GROWTH - 1:.0%}")
    return 1 if soaked.lost or grown else 0


if __name__ == "__main__":
    sys.exit(main())
