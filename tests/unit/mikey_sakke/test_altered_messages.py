# SPDX-License-Identifier: GPL-3.0-or-later
"""Every truncation and every single flipped bit of a valid message is refused by the receiver.

No other error than the library's own may come out: pytest.raises lets all others through.
"""

from collections.abc import Callable

import pytest

from mikey_sakke import MikeySakkeError
from unit.mikey_sakke.calls import MESSAGE, process
from unit.mikey_sakke.mcx_calls import BOB as UID_BOB
from unit.mikey_sakke.mcx_calls import (
    THEIR_NOW,
    UID_MESSAGE,
    take,
    their_message,
    their_user,
    uid_user,
)

Receiver = Callable[[bytes], object]

CASES: dict[str, tuple[bytes, Receiver]] = {
    "umsg": (MESSAGE, process),
    "3gpp": (UID_MESSAGE, lambda raw: take(raw, uid_user(UID_BOB))),
    "3gpp-of-another": (
        their_message("GMK"),
        lambda raw: take(raw, their_user("alice"), now=THEIR_NOW),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_every_truncation_is_refused(name):
    raw, receive = CASES[name]
    for length in range(len(raw)):
        with pytest.raises(MikeySakkeError):
            receive(raw[:length])
    with pytest.raises(MikeySakkeError):
        receive(raw + b"\0")


@pytest.mark.parametrize("name", CASES)
def test_every_flipped_bit_is_refused(name):
    raw, receive = CASES[name]
    receive(raw)
    for bit in range(8 * len(raw)):
        flipped = bytearray(raw)
        flipped[bit // 8] ^= 0x80 >> bit % 8
        with pytest.raises(MikeySakkeError):
            receive(bytes(flipped))
