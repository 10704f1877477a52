# SPDX-License-Identifier: GPL-3.0-or-later
"""How long the operations of mikey_sakke take, and what the prepared forms save.

Run as `PYTHONPATH=src python tests/bench/bench_mikey_sakke.py`. Every operation is timed by
itself, the plain and prepared forms of one kind in turns, so that both meet the same load of
the machine. The exit code is 1 where a median misses its target. Keys are of a laboratory KMS
made here.
"""

import argparse
import secrets
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from mikey_sakke import eccsi, initiator, receiver, sakke
from mikey_sakke.identifiers import tel_identifier
from mikey_sakke.kms import MasterKeys
from mikey_sakke.replay import ReplayCache

CALLER = "tel:+46701234567"
CALLEE = "tel:+8888"
MONTH = "2026-11"
NOW = 1_794_900_000.0
MESSAGE = b"m" * 450
"""As long as the signed part of an I_MESSAGE."""


@dataclass(frozen=True, slots=True)
class Row:
    """One operation: its name, target in ms (0: none), and what to call, by pair or alone."""

    name: str
    target: float
    run: Callable[[], object]
    plain: str | None = None
    """Name of the row with the plain form of the same operation."""


def _signature_rows(keys: MasterKeys) -> Iterator[Row]:
    caller = keys.issue(CALLER, MONTH)
    parts = {
        "identifier": caller.identifier,
        "ssk": caller.ssk.reveal(),
        "pvt": caller.pvt,
        "kpak": caller.kpak,
    }
    yield Row("sign", 0.1, lambda: eccsi.sign(MESSAGE, **parts))
    yield Row("sign, Signer", 0.1, lambda: caller.signer.sign(MESSAGE), "sign")

    signature = caller.signer.sign(MESSAGE)
    public = {"identifier": caller.identifier, "kpak": caller.kpak}
    yield Row("verify, peer never seen", 0.7, lambda: eccsi.verify(signature, MESSAGE, **public))
    known = eccsi.Verifier(caller.kpak)
    yield Row(
        "verify, known peer",
        0,
        lambda: known.verify(signature, MESSAGE, identifier=caller.identifier),
        "verify, peer never seen",
    )


def _sakke_rows(keys: MasterKeys) -> Iterator[Row]:
    callee = keys.issue(CALLEE, MONTH)
    z, rsk = callee.z, callee.rsk.reveal()
    numbers = iter(range(10**12))

    def new_peer() -> bytes:
        identifier = tel_identifier(f"tel:+46{next(numbers) + 1}", MONTH)
        return sakke.encapsulate(secrets.token_bytes(16), identifier=identifier, z=z)

    yield Row("encapsulate, new peer", 8, new_peer)
    known = sakke.PublicIdentity(callee.kms, callee.identifier, prepared=True)
    yield Row(
        "encapsulate, PublicIdentity",
        0,
        lambda: known.encapsulate(secrets.token_bytes(16)),
        "encapsulate, new peer",
    )
    sed = known.encapsulate(secrets.token_bytes(16))
    yield Row(
        "decapsulate, plain",
        0,
        lambda: sakke.decapsulate(sed, identifier=callee.identifier, rsk=rsk, z=z),
    )
    yield Row(
        "decapsulate, Decapsulator",
        6,
        lambda: callee.decapsulator.decapsulate(sed),
        "decapsulate, plain",
    )


def _message_rows(keys: MasterKeys) -> Iterator[Row]:
    caller, callee = keys.issue(CALLER, MONTH), keys.issue(CALLEE, MONTH)
    maker = initiator.Initiator()

    def build() -> initiator.Built:
        return maker.build(caller, to_uri=CALLEE, ssrc=1, binding=bytes(32), now=NOW)

    message = build().message

    def take() -> None:
        replay = ReplayCache()
        parsed = receiver.precheck(message, now=NOW, own_uri=CALLEE, replay=replay)
        verified = receiver.verify(parsed, verifier=eccsi.Verifier(callee.kpak))
        receiver.accept(verified, replay=replay, now=NOW)
        receiver.open(verified, callee)

    yield Row("I_MESSAGE built", 0, build)
    yield Row("I_MESSAGE taken, peer never seen", 0, take)
    yield Row(
        "I_MESSAGE precheck alone",
        0,
        lambda: receiver.precheck(message, now=NOW, own_uri=CALLEE),
    )


def measure(rows: list[Row], runs: int) -> dict[str, list[float]]:
    """Time each row `runs` times, in turns; gives milliseconds by name."""
    times: dict[str, list[float]] = {row.name: [] for row in rows}
    for row in rows:
        row.run()  # tables that are made on first use
    for _ in range(runs):
        for row in rows:
            start = time.perf_counter()
            row.run()
            times[row.name].append((time.perf_counter() - start) * 1e3)
    return times


def _first_use(keys: MasterKeys) -> None:
    start = time.perf_counter()
    sakke.encapsulate(bytes(16), identifier=b"2026-11\0tel:+1\0", z=keys.z_public)
    first = (time.perf_counter() - start) * 1e3
    start = time.perf_counter()
    keys.issue(CALLER, MONTH)
    issued = (time.perf_counter() - start) * 1e3
    print(
        f"once: first use of a KMS (all tables) {first:.1f} ms, user keys checked {issued:.1f} ms"
    )


def main() -> int:
    """Print the table; gives the exit code."""
    parser = argparse.ArgumentParser(description="Times of the operations of mikey_sakke")
    parser.add_argument("--runs", type=int, default=100, help="how often each is run")
    runs = parser.parse_args().runs
    keys = MasterKeys.generate()
    _first_use(keys)
    groups = [list(make(keys)) for make in (_signature_rows, _sakke_rows, _message_rows)]
    rows = [row for group in groups for row in group]
    times: dict[str, list[float]] = {}
    for group in groups:
        times |= measure(group, runs)
    median = {name: statistics.median(values) for name, values in times.items()}
    missed = 0
    print(f"{'operation':34} {'min ms':>8} {'median':>8} {'target':>8}   prepared against plain")
    for row in rows:
        target = f"{row.target:8.1f}" if row.target else " " * 8
        ratio = f"{median[row.plain] / median[row.name]:.1f} times as fast" if row.plain else ""
        if row.target and median[row.name] > row.target:
            missed += 1
            ratio += "  MISSED"
        line = (
            f"{row.name:34} {min(times[row.name]):8.3f} {median[row.name]:8.3f} {target}   {ratio}"
        )
        print(line.rstrip())
    print(f"{runs} runs each; " + (f"{missed} targets missed" if missed else "all targets met"))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
