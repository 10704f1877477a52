# SPDX-License-Identifier: GPL-3.0-or-later
"""How long random octets take from the relay's own generator, and its seeds.

Run as `PYTHONPATH=src python tests/bench/bench_random.py`. The exit code is 1 where a median misses
its target: 32 octets (as for a j) within 40 microseconds, a reseed within 1 ms, a first seed, with
its start-up test, within 50 ms.
"""

import secrets
import statistics
import sys
import time
from collections.abc import Callable

from cig_relay.randomness.rdrand import has_rdrand
from cig_relay.randomness.source import RESEED_SECONDS, RandomSource, open_source


def median_us(run: Callable[[], object], rounds: int, repeat: int) -> float:
    """Give the median of ``repeat`` measurements of ``rounds`` runs each, in microseconds a run."""
    spans = []
    for _ in range(repeat):
        begin = time.perf_counter()
        for _ in range(rounds):
            run()
        spans.append((time.perf_counter() - begin) / rounds * 1e6)
    return statistics.median(spans)


def main() -> int:
    """Measure, print a table, and tell whether the targets were met."""
    rdrand = bool(has_rdrand())
    source = open_source(rdrand=rdrand)
    print(f"seeds from {source.sources}")
    now = 0.0

    def late() -> float:
        nonlocal now
        now += RESEED_SECONDS
        return now

    reseeding = RandomSource(source._rdrand, clock=late)
    reseeding.require_entropy()
    rows = (
        ("32 octets, kernel alone", 0, median_us(lambda: secrets.token_bytes(32), 1000, 50)),
        ("32 octets", 40, median_us(lambda: source.random_bytes(32), 1000, 50)),
        ("32 octets with a reseed", 1000, median_us(lambda: reseeding.random_bytes(32), 20, 50)),
        ("first seed", 50_000, median_us(lambda: open_source(rdrand=rdrand), 1, 50)),
    )
    for name, target, median in rows:
        print(f"{name:<26}{median:10.1f} us" + (f"   target {target} us" if target else ""))
    return int(any(target and median > target for _, target, median in rows))


if __name__ == "__main__":
    sys.exit(main())
