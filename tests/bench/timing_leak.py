# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether signing and decapsulating take longer for some secrets than for others.

Run as `PYTHONPATH=src python tests/bench/timing_leak.py`; it takes three minutes. It is no
bench with limits and decides nothing: docs/security.md says how its figures are to be read.

The method is that of dudect (Reparaz, Balasch, Verbauwhede, "Dude, is my code constant time?",
2017). An operation is timed with inputs of two classes, one that is always the same and one that is
drawn anew, in random order, so that both meet the same load of the machine. Welch's t tells how far
apart the mean times of the classes are, in units of what chance would do: |t| above 4.5 is held
for a difference that is there, whatever its size. A |t| below that says only that so many samples
did not show one. t is given for all samples, and for the fastest 90 and 50 % of them, since the
slow ones are mostly other programs' doing. What is timed is the processor time of the thread.

Two controls frame the result: equal classes, which must show nothing, and a scalar multiplication
that is known to leak, which must be seen. A processor also learns an input that is always the very
same, so that it is served faster whatever its value; twelve fixed values tell that from a leak.
"""

import argparse
import gc
import math
import random
import secrets
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mikey_sakke import DecapsulationError, eccsi, sakke
from mikey_sakke.identifiers import tel_identifier
from mikey_sakke.kms import MasterKeys

MONTH = "2026-11"
IDENTIFIER = tel_identifier("tel:+8888", MONTH)
TEXT = b"m" * 450
"""As long as the signed part of an I_MESSAGE."""
CROPS = (1.0, 0.9, 0.5)
SUSPICIOUS = 4.5
BATCH = 100
OBJECTS = 12
"""Keys of a class; both classes have as many, so that caches serve them alike."""

Run = Callable[[], object]
Make = Callable[[], Run]


@dataclass(frozen=True, slots=True)
class Target:
    """An operation: what is made before the clock runs, for the fixed and the random class."""

    name: str
    fixed: Make
    drawn: Make


def _scalar() -> bytes:
    return eccsi.draw_scalar(secrets.token_bytes).to_bytes(32, "big")


def _fresh(octets: bytes) -> bytes:
    """Give an equal string at another place in memory, as a drawn one would be."""
    return bytes(bytearray(octets))


def _sign(signer: eccsi.Signer, j: bytes) -> Run:
    values = iter((_fresh(j), _scalar()))
    return lambda: signer.sign(TEXT, random_bytes=lambda _: next(values))


def _signature_targets(keys: MasterKeys) -> list[Target]:
    def signer(ssk: bytes, pvt: bytes) -> eccsi.Signer:
        return eccsi.Signer(identifier=IDENTIFIER, ssk=ssk, pvt=pvt, kpak=keys.kpak)

    first = keys.issue_ssk(IDENTIFIER)
    same = [signer(*first) for _ in range(OBJECTS)]
    several = [signer(*keys.issue_ssk(IDENTIFIER)) for _ in range(OBJECTS)]
    own, choose = same[0], secrets.choice
    twelve = [_scalar() for _ in range(OBJECTS)]

    def short() -> bytes:
        return secrets.token_bytes(24).rjust(32, b"\0")

    def any_j() -> Run:
        return _sign(own, _scalar())

    return [
        Target(
            "sign: SSK",
            lambda: _sign(choose(same), _scalar()),
            lambda: _sign(choose(several), _scalar()),
        ),
        Target("sign: one j, repeated", lambda: _sign(own, twelve[0]), any_j),
        Target("sign: twelve values of j", lambda: _sign(own, choose(twelve)), any_j),
        Target("sign: j of 192 bits", lambda: _sign(own, short()), any_j),
    ]


def _decapsulate(key: sakke.Decapsulator, sed: bytes) -> Run:
    octets = _fresh(sed)

    def run() -> None:
        try:
            key.decapsulate(octets)
        except DecapsulationError:
            return

    return run


def _decapsulation_targets(keys: MasterKeys) -> list[Target]:
    z, kms = keys.z_public, sakke.kms_public_key(keys.z_public)

    def key(identifier: bytes) -> sakke.Decapsulator:
        return sakke.Decapsulator(
            identifier=identifier, rsk=keys.issue_rsk(identifier), kms=kms, prepared=True
        )

    def sed(identifier: bytes = IDENTIFIER) -> bytes:
        return sakke.encapsulate(secrets.token_bytes(16), identifier=identifier, z=z)

    names = [tel_identifier(f"tel:+{1000 + number}", MONTH) for number in range(OBJECTS)]
    same = [(key(IDENTIFIER), sed()) for _ in range(OBJECTS)]
    several = [(key(name), sed(name)) for name in names]
    seds = [sed() for _ in range(1000)]
    choose = secrets.choice
    own = same[0][0]

    def other_mask() -> Run:
        whole = choose(seds)
        return _decapsulate(own, whole[: sakke.POINT_LENGTH] + secrets.token_bytes(16))

    def other_point() -> Run:
        point, mask = choose(seds), choose(seds)
        return _decapsulate(own, point[: sakke.POINT_LENGTH] + mask[sakke.POINT_LENGTH :])

    return [
        Target(
            "decapsulate: RSK",
            lambda: _decapsulate(*choose(same)),
            lambda: _decapsulate(*choose(several)),
        ),
        Target(
            "decapsulate: one message",
            lambda: _decapsulate(own, seds[0]),
            lambda: _decapsulate(own, choose(seds)),
        ),
        Target("decapsulate: why refused", other_mask, other_point),
    ]


def _controls() -> list[Target]:
    sparse = 1 << 255

    def multiply(scalar: int) -> Run:
        return lambda: eccsi.P256.multiply(scalar, eccsi.G)

    def drawn() -> Run:
        return multiply(int.from_bytes(_scalar(), "big"))

    return [
        Target("control: equal classes", drawn, drawn),
        Target("control: known to leak", lambda: multiply(sparse), drawn),
    ]


def measure(target: Target, seconds: float) -> tuple[list[float], list[float]]:
    """Time a target for so many seconds; gives the nanoseconds of the fixed and the drawn class."""
    times: tuple[list[float], list[float]] = ([], [])
    end = time.monotonic() + seconds
    gc.disable()
    try:
        while time.monotonic() < end:
            order = [random.getrandbits(1) for _ in range(BATCH)]
            runs = [(drawn, (target.drawn if drawn else target.fixed)()) for drawn in order]
            for drawn, run in runs:
                start = time.thread_time_ns()
                run()
                times[drawn].append(float(time.thread_time_ns() - start))
            gc.collect(0)
    finally:
        gc.enable()
    return times


def welch_t(left: Sequence[float], right: Sequence[float]) -> float:
    """Give Welch's t of two samples."""
    (mean_left, spread_left), (mean_right, spread_right) = map(_mean_and_spread, (left, right))
    spread = spread_left + spread_right
    return (mean_left - mean_right) / math.sqrt(spread) if spread else 0.0


def _mean_and_spread(values: Sequence[float]) -> tuple[float, float]:
    mean = math.fsum(values) / len(values)
    variance = math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)
    return mean, variance / len(values)


def cropped(left: list[float], right: list[float], share: float) -> tuple[list[float], list[float]]:
    """Leave out what took longer than the fastest `share` of both samples together."""
    together = sorted(left + right)
    limit = together[max(0, math.ceil(share * len(together)) - 1)]
    return [v for v in left if v <= limit], [v for v in right if v <= limit]


def _show(target: Target, seconds: float) -> None:
    fixed, drawn = measure(target, seconds)
    ts = [welch_t(*cropped(fixed, drawn, share)) for share in CROPS]
    left, right = cropped(fixed, drawn, CROPS[-1])
    means = math.fsum(left) / len(left), math.fsum(right) / len(right)
    seen = "seen" if max(map(abs, ts)) > SUSPICIOUS else ""
    line = (
        f"{target.name:28} {len(fixed) + len(drawn):8} {means[1] / 1e3:9.2f} "
        f"{means[0] - means[1]:+9.0f} " + " ".join(f"{t:+8.1f}" for t in ts) + f"  {seen}"
    )
    print(line.rstrip(), flush=True)


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Welch's t of fixed against random secrets")
    parser.add_argument(
        "--seconds", type=float, default=10.0, help="for each way to sign; 17 times that in all"
    )
    seconds = parser.parse_args().seconds
    keys = MasterKeys.generate()
    shares = " ".join(f"{f't {share:.0%}':>8}" for share in CROPS)
    print(f"{'operation: what differs':28} {'samples':>8} {'us (50%)':>9} {'diff ns':>9} {shares}")
    # A decapsulation takes 150 times as long as a signature, and still gets fewer samples so.
    for share, targets in (
        (0.5, _controls()),
        (1.0, _signature_targets(keys)),
        (4.0, _decapsulation_targets(keys)),
    ):
        for target in targets:
            _show(target, share * seconds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
