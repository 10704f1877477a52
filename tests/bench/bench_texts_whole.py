# SPDX-License-Identifier: GPL-3.0-or-later
"""Texts through the whole gateway: how many a second, and what a long one costs a call's set-up.

Run as `PYTHONPATH=src python tests/bench/bench_texts_whole.py` or by `make bench-texts`. Real
programs, a CRS and phones on the loopback. A text costs an engine a SAKKE decapsulation (in) or an
encapsulation (out), which is what limits the rate; the phones' own cryptography runs beside it on
the same processors. The exit code is 1 where a call's set-up takes 20 ms longer, in the median,
while a text of 10 MiB is in transit.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import sys
import time
from pathlib import Path

from cig_lab import ports
from cig_lab.environment import HOST, PBX_USER, Environment, Plan

TEXTS = 300
LONG_OCTETS = 7 << 20
"""An attachment of so many octets is 10 MiB of base64."""
MOST_DELAY_MS = 20.0
_ROUNDS = 6


async def texts_in(lab: Environment, texts: int) -> float:
    """Send texts from the phone to the mailbox; gives the seconds until all are receipted."""
    sealed = [await lab.phone.send_text(f"+8888w{PBX_USER}", f"{n}") for n in range(texts)]
    begin = time.perf_counter()
    for sent in sealed:
        await sent.receipt
    return time.perf_counter() - begin


async def texts_out(lab: Environment, texts: int) -> float:
    """Send messages from the mailbox to the phone; gives the seconds until all are there."""
    box = lab.mail / "from-pbx"
    for number in range(texts):
        path = box / "tmp" / f"{number:06}"
        path.write_text(f"From: <sip:{PBX_USER}@pbx>\nTo: <sip:46701234567@x>\n\n{number}\n")
    begin = time.perf_counter()
    for number in range(texts):
        (box / "tmp" / f"{number:06}").rename(box / "new" / f"{number:06}")
    for _ in range(texts):
        await lab.phone.next_text()
    return time.perf_counter() - begin


async def set_up(lab: Environment) -> float:
    """Make a call; gives the milliseconds from dialling to the answer."""
    call = await lab.phone.dial(f"+8888w{PBX_USER}")
    incoming = await lab.sip_phone.incoming()
    await incoming.accept()
    await call.up
    call.hangup()
    await call.ended
    return (call.setup_seconds or 0.0) * 1000


async def set_ups_meanwhile(lab: Environment) -> tuple[list[float], list[float]]:
    """Give the set-up times of calls alone, and of those while a long text goes to the mailbox."""
    alone, meanwhile = [], []
    for _ in range(_ROUNDS):
        alone += [await set_up(lab) for _ in range(3)]
        sent = await lab.phone.send_text(
            f"+8888w{PBX_USER}", "long",
            attachments=[("x.bin", "application/octet-stream", os.urandom(LONG_OCTETS))],
        )  # fmt: skip
        await sent.stored  # until then it is the lab's own phone and CRS that are busy
        while not sent.receipt.done():
            milliseconds = await set_up(lab)
            if not sent.receipt.done():
                meanwhile.append(milliseconds)
    return alone, meanwhile


async def run(texts: int) -> int:
    """Measure all and print it; gives the exit code."""
    plan = Plan(mgmt_port=ports.free_port(HOST, ("tcp",)))
    async with Environment(plan) as lab:
        for name, way in (("in", texts_in), ("out", texts_out)):
            seconds = await way(lab, texts)
            print(f"{name:<4}{texts / seconds:>7.0f} texts a second through the whole gateway")
        alone, meanwhile = await set_ups_meanwhile(lab)
    for name, times in (("alone", alone), ("meanwhile", meanwhile)):
        print(
            f"set-up {name:<10} median {statistics.median(times):6.1f} ms, "
            f"most {max(times):6.1f} ms, of {len(times)} calls"
        )
    delay = statistics.median(meanwhile) - statistics.median(alone)
    print(f"a text of 10 MiB in transit delays a call's set-up by {delay:.1f} ms")
    return int(delay > MOST_DELAY_MS)


def main() -> int:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__ and __doc__.partition("\n")[0])
    parser.add_argument("--texts", type=int, default=TEXTS)
    os.chdir(Path(__file__).parents[2])
    return asyncio.run(run(parser.parse_args().texts))


if __name__ == "__main__":
    sys.exit(main())
