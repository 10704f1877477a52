# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages of 3GPP's services for the tests: those of the vectors, and our own."""

import base64
from functools import cache

from mikey_sakke import initiator, mcx, receiver
from mikey_sakke.identity import HashedUid
from mikey_sakke.keys import UserKeys
from unit.mikey_sakke.support import NOW, deterministic, kms, unhex, vector

DATA = vector("ts33180")
THEIR_SCHEME = HashedUid(
    DATA["kms"]["uri"], DATA["kms"]["period_seconds"], DATA["kms"]["period_offset"]
)
THEIR_NOW = float(int(DATA["T"][:8], 16) - 2_208_988_800)
THEIR_MESSAGES = {entry["name"]: entry for entry in DATA["messages"]}

SCHEME = HashedUid("kms.example.org", 2_592_000)
PERIOD = SCHEME.period_of(NOW)
ALICE, BOB = "sip:alice@example.org", "sip:bob@example.org"


@cache
def their_user(name: str) -> UserKeys:
    (entry,) = (user for user in DATA["users"] if user["name"] == name)
    parts = (DATA["kms"]["KPAK"], DATA["kms"]["Z"], entry["SSK"], entry["PVT"], entry["RSK"])
    octets = (unhex(part) for part in parts)
    return UserKeys(entry["uri"], entry["period"], *octets, scheme=THEIR_SCHEME)


def their_message(name: str) -> bytes:
    return base64.b64decode(THEIR_MESSAGES[name]["mikey"])


@cache
def uid_user(uri: str, period: str = PERIOD, scheme: HashedUid = SCHEME) -> UserKeys:
    return kms().issue(uri, period, scheme=scheme, random_bytes=deterministic(uri + period))


def uid_built(**changes) -> initiator.Built:
    arguments = {
        "to_uri": BOB,
        "binding": None,
        "now": NOW,
        "csb_id": mcx.key_id(mcx.Purpose.PCK, 0x278DCAB),
        "options": mcx.PRIVATE_CALL,
        "random_bytes": deterministic("mcx"),
    } | changes
    keys = arguments.pop("keys", None) or uid_user(ALICE)
    return initiator.build(keys, **arguments)


def take(raw, keys, *, now=NOW, profile=mcx.PROFILE, **options):
    parsed = receiver.precheck(
        raw, now=now, own_uri=keys.uri, profile=profile, scheme=keys.scheme, **options
    )
    return receiver.open(receiver.verify(parsed, verifier=keys.verifier), keys)


UID_MESSAGE = uid_built().message
