# SPDX-License-Identifier: GPL-3.0-or-later
"""How long the operations of mikey_sakke take, and what the prepared forms save.

Run as `PYTHONPATH=src python tests/bench/bench_mikey_sakke.py`. Every operation is timed by
itself, those of one kind in turns, and OpenSSL's ECDSA on P-256 (through `cryptography`) in the
same turns, so that all meet the same load of the machine. Keys are of a laboratory KMS made here.

Targets are in milliseconds, but machines differ, so what decides is a ratio. On the machine for
which the targets were set (two shared cores of an AMD EPYC, Zen 5; OpenSSL 4.0.3), ECDSA took
what `REFERENCE_MS` says. A target divided by that is the limit: so many times as long as ECDSA
may the operation take, signing by ECDSA's signing, all else by its verifying. The column
`x ECDSA` is the ratio measured here, `limit` what it may be. It is the ratio of the shortest
times: other programs on the machine stretch a long operation more often than a short one, and so
would move a ratio of medians. The exit code is 1 where a limit is exceeded.
"""

import argparse
import secrets
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

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

ECDSA_SIGN, ECDSA_VERIFY = "ECDSA P-256 sign", "ECDSA P-256 verify"
REFERENCE_MS = {ECDSA_SIGN: 0.0155, ECDSA_VERIFY: 0.042}
"""Shortest times of OpenSSL where the targets were set."""


@dataclass(frozen=True, slots=True)
class Row:
    """One operation: its name, target in ms (0: none), and what to call, by pair or alone."""

    name: str
    target: float
    run: Callable[[], object]
    plain: str | None = None
    """Name of the row with the plain form of the same operation."""
    reference: str = ECDSA_VERIFY
    """Name of OpenSSL's operation that this one is compared with."""

    @property
    def limit(self) -> float:
        """How many times as long as the reference the operation may take (0: no matter)."""
        return self.target / REFERENCE_MS[self.reference]


def _references() -> list[Row]:
    key, algorithm = ec.generate_private_key(ec.SECP256R1()), ec.ECDSA(SHA256())
    public, signature = key.public_key(), key.sign(MESSAGE, algorithm)
    return [
        Row(ECDSA_SIGN, 0, lambda: key.sign(MESSAGE, algorithm), reference=ECDSA_SIGN),
        Row(ECDSA_VERIFY, 0, lambda: public.verify(signature, MESSAGE, algorithm)),
    ]


def _signature_rows(keys: MasterKeys) -> Iterator[Row]:
    caller = keys.issue(CALLER, MONTH)
    parts = {
        "identifier": caller.identifier,
        "ssk": caller.ssk.reveal(),
        "pvt": caller.pvt,
        "kpak": caller.kpak,
    }
    yield Row("sign", 0.06, lambda: eccsi.sign(MESSAGE, **parts), reference=ECDSA_SIGN)
    yield Row(
        "sign, Signer", 0.06, lambda: caller.signer.sign(MESSAGE), "sign", reference=ECDSA_SIGN
    )

    signature = caller.signer.sign(MESSAGE)
    public = {"identifier": caller.identifier, "kpak": caller.kpak}
    yield Row("verify, peer never seen", 0.7, lambda: eccsi.verify(signature, MESSAGE, **public))
    known = eccsi.Verifier(caller.kpak)
    yield Row(
        "verify, known peer",
        0.1,
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
        2.5,
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
        5,
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
    """Time each row `runs` times, in turns; gives milliseconds by name.

    Each is run untimed just before, so that a long operation does not leave a short one behind
    it with cold caches.
    """
    times: dict[str, list[float]] = {row.name: [] for row in rows}
    for _ in range(runs):
        for row in rows:
            row.run()
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
    print(f"{'operation':34} {'min ms':>8} {'median':>8} {'target':>7} {'x ECDSA':>8} {'limit':>6}")
    missed = 0
    for make in (_signature_rows, _sakke_rows, _message_rows):
        rows = [*_references(), *make(keys)]
        times = measure(rows, runs)
        missed += sum(_show(row, times) for row in rows)
    print(f"{runs} runs each; " + (f"{missed} limits exceeded" if missed else "all limits kept"))
    return 1 if missed else 0


def _show(row: Row, times: dict[str, list[float]]) -> bool:
    """Print the line of an operation; tells whether it exceeds its limit."""
    median = {name: statistics.median(values) for name, values in times.items()}
    ratio = min(times[row.name]) / min(times[row.reference])
    missed = bool(row.limit) and ratio > row.limit
    target = f"{row.target:7.2f}" if row.target else ""
    limit = f"{row.limit:6.1f}" if row.limit else ""
    notes = []
    if row.plain:
        notes.append(f"{median[row.plain] / median[row.name]:.1f} times as fast as plain")
    if missed:
        notes.append("EXCEEDED")
    line = (
        f"{row.name:34} {min(times[row.name]):8.3f} {median[row.name]:8.3f} {target:>7} "
        f"{ratio:8.1f} {limit:>6}   {', '.join(notes)}"
    )
    print(line.rstrip())
    return missed


if __name__ == "__main__":
    sys.exit(main())
