# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of mikey_sakke share: vectors, a laboratory KMS, deterministic randomness."""

import hashlib
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from mikey_sakke.keys import UserKeys
from mikey_sakke.kms import MasterKeys

VECTORS = Path(__file__).resolve().parents[2] / "vectors"

CALLER = "tel:+46701234567"
CALLEE = "tel:+8888"
MONTH = "2026-11"
NOW = 1_794_900_000.0
"""2026-11-17 07:20:00 UTC."""


@cache
def vector(name: str) -> Any:
    return json.loads((VECTORS / f"{name}.json").read_text())


def unhex(text: str) -> bytes:
    return bytes.fromhex(text)


def deterministic(seed: str) -> Callable[[int], bytes]:
    """A source of octets that is the same in each run."""
    counter = 0

    def random_bytes(length: int) -> bytes:
        nonlocal counter
        counter += 1
        return hashlib.shake_256(f"{seed} {counter}".encode()).digest(length)

    return random_bytes


def sequence(*values: bytes) -> Callable[[int], bytes]:
    """A source that gives these octet strings, and after them fixed ones."""
    rest = list(values)

    def random_bytes(length: int) -> bytes:
        value = rest.pop(0) if rest else b"\x11" * length
        assert len(value) == length
        return value

    return random_bytes


@cache
def kms() -> MasterKeys:
    return MasterKeys.generate(deterministic("kms"))


@cache
def user(uri: str, month: str = MONTH) -> UserKeys:
    return kms().issue(uri, month, random_bytes=deterministic(uri + month))


@cache
def rfc_master() -> MasterKeys:
    """The master keys of RFC 6507 and RFC 6508, Appendix A."""
    data = vector("imessage_tel")
    return MasterKeys(ksak=unhex(data["KSAK"]), z=unhex(data["z"]).rjust(128, b"\0"))


@cache
def rfc_user(name: str) -> UserKeys:
    """Alice (the initiator) or Bob (the responder) of the tel vector."""
    data = vector("imessage_tel")
    uri = data["initiator_uri" if name == "alice" else "responder_uri"]
    v = unhex(data[name]["v"].rjust(64, "0"))
    return rfc_master().issue(uri, data["month"], random_bytes=sequence(v))
