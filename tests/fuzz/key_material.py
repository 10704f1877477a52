# SPDX-License-Identifier: GPL-3.0-or-later
"""What must hold for any key material whatever: the function that all the fuzzing goes through."""

import hashlib
import zlib
from contextlib import suppress

from cig_common.carrier import CarrierError, armour, parts
from cig_material import document, raw, seal
from cig_material.errors import MaterialError
from cig_material.material import KeyMaterial
from mikey_sakke.secret import Secret

MAX_TOLD = 600
MAX_LINE = 72
MAX_MEMORY = 1 << 16
"""Octets that scrypt may take here; sealed material that wants more is read up to its head."""
PASSPHRASE = Secret(b"fuzz")


def check(octets: bytes) -> None:
    """Read these octets as each form; raise AssertionError if all is not well.

    Nothing but MaterialError and CarrierError may come out, their texts must be fit to be shown,
    and what is read must be written as it was.
    """
    for read in (read_document, read_raw, read_sealed, read_text, read_part, read_parts):
        try:
            read(octets)
        except (MaterialError, CarrierError) as refused:
            text = str(refused)
            assert text.isprintable()
            assert 0 < len(text) <= MAX_TOLD


def read_document(octets: bytes) -> None:
    """Read a document, and the cig.raw around it."""
    head = raw.MAGIC + bytes([raw.VERSION]) + octets
    try:
        material = document.decode(octets)
    except MaterialError:
        refused(head + hashlib.sha256(head).digest())
        raise
    check_use(material)
    assert document.encode(material) == octets
    assert raw.encode(material) == head + hashlib.sha256(head).digest()


def read_raw(octets: bytes) -> None:
    """Read cig.raw."""
    material = raw.decode(octets)
    check_use(material)
    assert raw.encode(material) == octets


def read_sealed(octets: bytes) -> None:
    """Read sealed octets, as far as they ask for little work."""
    cost = seal.cost_of(octets)
    if cost.memory * cost.p <= MAX_MEMORY:
        read_document(seal.unseal(octets, PASSPHRASE))


def read_text(octets: bytes) -> None:
    """Read armoured text. Mail and paste may have changed it, so it is written in its own form."""
    sealed = armour.decode(octets.decode("utf-8", "replace"))
    text = armour.encode(sealed)
    assert armour.decode(text) == sealed
    assert max(map(len, text.splitlines())) <= MAX_LINE


def read_part(octets: bytes) -> None:
    """Read a part, without its checksum, which no fuzzing would find."""
    whole = octets + zlib.crc32(octets).to_bytes(4)
    part = parts.Part.decode(whole)
    assert part.encode() == whole


def read_parts(octets: bytes) -> None:
    """Put parts together that stand one after the other."""
    assembly = parts.Assembly()
    for piece in octets.split(parts.MAGIC)[1:]:
        before = assembly.missing()
        part = parts.MAGIC + piece
        with suppress(CarrierError):
            number = assembly.add(part + zlib.crc32(part).to_bytes(4))
            assert number not in assembly.missing()
            continue
        assert assembly.missing() == before
    sealed = assembly.result()
    assert parts.set_id(sealed) in octets


def refused(octets: bytes) -> None:
    """Check that cig.raw is refused."""
    try:
        raw.decode(octets)
    except MaterialError:
        return
    raise AssertionError("cig.raw takes a document that is none")


def check_use(material: KeyMaterial) -> None:
    """Check that key material can be used."""
    identity = material.identity
    assert identity.public_id == material.uri
    assert identity.periods == tuple(keys.period for keys in material.periods)
    assert all(keys.period.startswith(f"{keys.month}-") for keys in material.periods)
