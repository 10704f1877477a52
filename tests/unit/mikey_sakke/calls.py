# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages of a call, made, altered, signed anew and taken, for the receiver's tests."""

from dataclasses import replace

from mikey_sakke import (
    eccsi,
    initiator,
    profile,
    receiver,
)
from mikey_sakke.keys import UserKeys
from mikey_sakke.message import IMessage
from mikey_sakke.payloads import (
    Sign,
)
from unit.mikey_sakke.support import (
    CALLEE,
    CALLER,
    NOW,
    deterministic,
    rfc_user,
    user,
    vector,
)

TEL = vector("imessage_tel")
TEL_NOW = 1_297_684_800.0
BINDING = bytes(range(32))
Q = int(eccsi.P256.q)


def built(**changes) -> initiator.Built:
    arguments = {
        "to_uri": CALLEE,
        "ssrc": 0xCAFEBABE,
        "binding": BINDING,
        "now": NOW,
        "random_bytes": deterministic("call"),
    } | changes
    keys = arguments.pop("keys", None) or user(CALLER)
    return initiator.build(keys, **arguments)


def signed(message: IMessage, keys: UserKeys | None = None, *, cut: int = 0) -> bytes:
    """Sign a message anew; `cut` leaves out the last octets from what is signed."""
    prefix = replace(message, sign=Sign(bytes(129))).encode()[:-129]
    return prefix + (keys or user(CALLER)).signer.sign(prefix[: len(prefix) - cut])


def with_payload(message: IMessage, new) -> IMessage:
    """Replace the payload of the same type (for IDRs also the same role), or add it."""

    def same(old) -> bool:
        return type(old) is type(new) and getattr(old, "role", 0) == getattr(new, "role", 0)

    rest = tuple(payload for payload in message.payloads if not same(payload))
    return replace(message, payloads=(*rest, new))


def process(raw, *, now=NOW, keys=None, replay=None, **options):
    """All steps, as one process would take them."""
    keys = keys or user(CALLEE)
    parsed = receiver.precheck(raw, now=now, own_uri=keys.uri, replay=replay, **options)
    verified = receiver.verify(parsed, verifier=keys.verifier)
    if replay is not None:
        receiver.accept(verified, replay=replay, now=now)
    return receiver.open(verified, keys)


MESSAGE = built().message


def process_tel(raw: bytes):
    return process(raw, now=TEL_NOW, keys=rfc_user("bob"), profile=profile.RFC6509)
