# SPDX-License-Identifier: GPL-3.0-or-later
"""What a large cig.conf costs: to load it, to keep it, and to look a URI up in it.

Run as `PYTHONPATH=src python tests/bench/bench_cig_conf.py`; `--quick` leaves the million entries
out. Every file is loaded (parsed, compiled, indexed, linted) in a process of its own, which tells
its peak memory. In the same process its look-ups take turns with those of the same plan with 10
entries, so that both meet the same load of the machine; times are medians of single look-ups of
random URIs by `routing.to_hit`, ratios are of such medians. `re` is a plain scan: every entry's
regular expression in its order until one matches, here for URIs from the middle of the file; of a
large file the first entries are scanned and the time is scaled up (marked `~`).

The exit code is 1 where a file misses what is promised: a million entries in 40 s and 2 GB, a
look-up in 20 us and in twice the time that it takes with 10 entries. Loading is one thread, and
is held to its promise by its CPU time, which a busy machine stretches less.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import random
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from cig_common.config import Configuration, Interface, load, loads
from cig_common.config.index import PatternIndex
from cig_common.config.routing import RouteRejected, to_hit

SIZES = (10, 1_000, 100_000, 1_000_000)
LOOKUPS = 400
SCANNED_AT_MOST = 5_000
LOAD_SECONDS, PEAK_MB, LOOKUP_US, RATIO = 40.0, 2048.0, 20.0, 2.0

Sides = tuple[str, str, str]
"""Of an entry: its sip side, its tel side, and a URI that reaches it."""


def _exact(number: int) -> Sides:
    uri = f"sip:+4670{number:07d}@pbx.example.com"
    return uri, f"tel:+4670{number:07d}", uri


def _number(number: int) -> Sides:
    user = f"sip:070{number:07d}@"
    return user + "{discard}", f"tel:+4670{number:07d}", user + "secure.example.com;user=phone"


def _host(number: int) -> Sides:
    host = f"@host{number}.example.com"
    return f"sip:{{n}}{host}{{discard}}", f"tel:+{{n}};{number}", f"sip:4670123{host}:5070"


def _range(number: int) -> Sides:
    # Its own length stands before a number, so that no range is the beginning of another.
    digits = f"08{len(str(number))}{number}"
    uri = f"sip:{digits}55@pbx.example.com"
    return f"sip:{digits}{{n}}@pbx.example.com", f"tel:+46{digits[1:]}{{n}}", uri


def _mixed(number: int) -> Sides:
    return (_exact, _number, _host, _range)[number % 4](number)


CATCH_ALL: Sides = ("sip:{n}@{discard}", "tel:+46{n}", "sip:555@nowhere.example.net")

PLANS: dict[str, tuple[str, Callable[[int], Sides], tuple[Sides, ...]]] = {
    "exact": ("exact URIs", _exact, ()),
    "number": ("a number, any host", _number, ()),
    "host": ("any number, a host each", _host, ()),
    "mixed": (
        "these and number ranges, a catch-all last (`miss` reaches it)",
        _mixed,
        (CATCH_ALL,),
    ),
}
NO_ENTRY = "sip:99{}@elsewhere.example.org"


def _entries(plan: str, size: int) -> Iterator[Sides]:
    _, make, last = PLANS[plan]
    yield from map(make, range(size - len(last)))
    yield from last


def _write(path: Path, plan: str, size: int) -> None:
    """Write a whole configuration with one map of `size` entries, used on both interfaces."""
    with path.open("w") as file:
        file.write("map plan {\n")
        for number, (sip, tel, _) in enumerate(_entries(plan, size)):
            file.write(f'    entry e{number} sip "{sip}" tel "{tel}";\n')
        file.write("}\ninterfaces {\n    tel { extension map plan; }\n")
        file.write("    sip { bind 127.0.0.1; extension map plan; }\n}\n")


def _uris(plan: str, size: int) -> dict[str, list[str]]:
    """Return URIs for entries at the start, in the middle, at the end, and for none."""
    rng = random.Random(size)
    _, make, last = PLANS[plan]
    made = size - len(last)
    tenth = max(made // 10, 1)
    uris = {
        where: [make(rng.randrange(low, low + tenth))[2] for _ in range(LOOKUPS)]
        for where, low in (("start", 0), ("middle", (made - tenth) // 2), ("end", made - tenth))
    }
    uris["miss"] = [NO_ENTRY.format(rng.randrange(10**6)) for _ in range(LOOKUPS)]
    return uris


def _look_up(config: Configuration, uri: str) -> float:
    """Return what one look-up takes, us."""
    start = time.perf_counter()
    with contextlib.suppress(RouteRejected):
        to_hit(config, Interface.SIP, uri)
    return (time.perf_counter() - start) * 1e6


def _scan(plan: str, size: int) -> float:
    """Return what a plain scan with `re` to the middle of the file takes, us."""
    scanned = min(size, SCANNED_AT_MOST)
    entries = [sides for sides, _ in zip(_entries(plan, size), range(scanned), strict=False)]
    compiled = [re.compile(_expression(sip)) for sip, _, _ in entries]
    uri = entries[scanned // 2][2]
    times = []
    for _ in range(21):
        start = time.perf_counter()
        found = next(one for one in compiled if one.fullmatch(uri))
        times.append((time.perf_counter() - start) * 1e6)
        assert found is compiled[scanned // 2]
    return statistics.median(times) * size / scanned


def _expression(pattern: str) -> str:
    return "(.*?)".join(re.escape(part) for part in re.split(r"\{[^}]*\}", pattern))


@dataclass
class Figures:
    """What was measured of one file."""

    file_mb: float
    load_seconds: float
    load_cpu_seconds: float
    peak_mb: float
    lookups: dict[str, float]
    ratios: dict[str, float]
    scan_us: float


def _peak_mb() -> float:
    # Not getrusage: its peak counts what the parent had before this program was started.
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def _measure(there: Connection, plan: str, size: int, path: Path, small_path: Path) -> None:
    """Measure one file. Runs in a process of its own and sends the figures."""
    start, cpu_start = time.perf_counter(), time.process_time()
    config = load(path)
    load_seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu_start
    peak_mb = _peak_mb()
    small = load(small_path)
    lookups, ratios = {}, {}
    of_small = _uris(plan, SIZES[0])
    for where, uris in _uris(plan, size).items():
        times: list[tuple[float, float]] = []
        for uri, small_uri in zip(uris, of_small[where], strict=True):
            times.append((_look_up(config, uri), _look_up(small, small_uri)))
        lookups[where], base = (statistics.median(column) for column in zip(*times, strict=True))
        ratios[where] = lookups[where] / base
    file_mb = path.stat().st_size / 1e6
    scan = _scan(plan, size)
    there.send(Figures(file_mb, load_seconds, cpu_seconds, peak_mb, lookups, ratios, scan))


def _figures(plan: str, size: int, folder: Path) -> Figures:
    path, small_path = folder / f"{plan}.conf", folder / f"{plan}-small.conf"
    _write(path, plan, size)
    _write(small_path, plan, SIZES[0])
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_measure, args=(there, plan, size, path, small_path))
    process.start()
    there.close()
    try:
        figures: Figures = here.recv()
    finally:
        process.join()
        path.unlink()
    return figures


def files(plans: Iterable[str], sizes: Sequence[int]) -> bool:
    """Print the table of the files; return whether all of them keep what is promised."""
    kept = True
    print("look-ups in us, of entries at the start, in the middle, at the end, and of none")
    with tempfile.TemporaryDirectory() as folder:
        for plan in plans:
            print(f"{plan}: {PLANS[plan][0]}")
            print(
                f"  {'entries':>9} {'file MB':>8} {'load s':>7} {'CPU s':>6} {'peak MB':>8}"
                f" {'start':>6} {'middle':>6} {'end':>6} {'miss':>6} {'to 10':>6}"
                f" {'re':>12} {'re to us':>9}"
            )
            for size in sizes:
                got = _figures(plan, size, Path(folder))
                kept = _print_row(size, got) and kept
    return kept


def _print_row(size: int, got: Figures) -> bool:
    ratio = max(got.ratios.values())
    about = "~" if size > SCANNED_AT_MOST else ""
    columns = " ".join(f"{got.lookups[where]:6.2f}" for where in ("start", "middle", "end", "miss"))
    missed = [
        word
        for word, value, limit in (
            ("load", got.load_cpu_seconds, LOAD_SECONDS),
            ("memory", got.peak_mb, PEAK_MB),
            ("look-up", max(got.lookups.values()), LOOKUP_US),
            ("ratio", ratio, RATIO),
        )
        if value > limit
    ]
    scan = f"{about}{got.scan_us:,.1f}"
    against = f"x{got.scan_us / got.lookups['middle']:,.1f}"
    print(
        f"  {size:>9,} {got.file_mb:8.2f} {got.load_seconds:7.2f}"
        f" {got.load_cpu_seconds:6.2f} {got.peak_mb:8.0f} {columns}"
        f" {f'x{ratio:.2f}':>6} {scan:>12} {against:>9}"
        + ("  MISSED: " + ", ".join(missed) if missed else ""),
        flush=True,
    )
    return not missed


def _smallest(run: Callable[[], object]) -> float:
    """Return the shortest of some runs, us."""
    times = []
    for _ in range(7):
        start = time.perf_counter()
        run()
        times.append((time.perf_counter() - start) * 1e6)
    return min(times)


def hostile() -> None:
    """Print what the worst rules cost against texts of nothing but ones, us."""
    ones = "".join(f"{{p{number}}}1" for number in range(500))
    config = loads(
        f'map plan {{ entry e sip "sip:{ones}{{x}}2{{y}}" tel "tel:+1"; }}\n'
        "interfaces { tel { extension map plan; } sip { bind 127.0.0.1; extension map plan; } }"
    )
    indexes: dict[str, list[tuple[str, ...]]] = {
        "4,000 lengths of prefix": [("sip:" + "1" * n, "2") for n in range(4000)],
        "4,000 lengths of suffix": [("sip:", "2" + "1" * n) for n in range(4000)],
        "a crowd of {a}1…1{b}, 64 lengths": [("sip:", "1" * n, "") for n in range(1, 65)],
    }
    runs: dict[str, Callable[[str], object]] = {
        "{a}1{b}1…{y}2{z}, 502 parameters": lambda text: _look_up(config, text)
    }
    for name, literals in indexes.items():
        runs[name] = PatternIndex.build(literals).candidates
    print("rules of ones against texts of ones, us, and how 4 KB compares with 1 KB (linear: x4)")
    for name, run in runs.items():
        times = [
            _smallest(lambda run=run, size=size: run("sip:" + "1" * (size - 4)))  # type: ignore[misc]
            for size in (1024, 2048, 4096)
        ]
        columns = " ".join(
            f"{size}: {us:9.1f}" for size, us in zip(("1 KB", "2 KB", "4 KB"), times, strict=True)
        )
        print(f"  {name:<34} {columns}  x{times[2] / times[0]:.2f}")


def main() -> int:
    """Run the benchmarks."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="leave the million entries out")
    parser.add_argument("--size", type=int, action="append", help="files of so many entries only")
    parser.add_argument("--plan", choices=PLANS, action="append", help="these dial plans only")
    options = parser.parse_args()
    hostile()
    sizes = options.size or (SIZES[:-1] if options.quick else SIZES)
    return 0 if files(options.plan or PLANS, sizes) else 1


if __name__ == "__main__":
    sys.exit(main())
