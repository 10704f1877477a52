# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes the messages with which fuzzing begins: corpus/mikey/, each made by the library.

Run as `PYTHONPATH=src:tests python tests/fuzz/make_mikey_corpus.py`. The same files come out each
time. What fuzzing found lies in the same folder, under other names, and is left alone.
"""

import base64
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from mikey_sakke import mcx, profile, sdp
from mikey_sakke.header import GenericCs, GenericIdMap, MapType, SrtpCs, SrtpIdMap
from mikey_sakke.initiator import BuildOptions
from mikey_sakke.message import IMessage
from mikey_sakke.payloads import (
    GeneralExtension,
    Idr,
    IdRole,
    KeyId,
    Rand,
    SecurityPolicy,
    Timestamp,
)
from mikey_sakke.policy import NAMED_POLICIES
from unit.mikey_sakke.calls import MESSAGE, built, with_payload
from unit.mikey_sakke.mcx_calls import ALICE, BOB, PERIOD, SCHEME, uid_built

FOLDER = Path(__file__).parent / "corpus" / "mikey"
PLAIN = BuildOptions(profile=profile.RFC6509)


def options() -> Iterator[tuple[str, BuildOptions]]:
    """Give what messages can be made to look like."""
    for prf in (0, 1):
        for map_type in MapType:
            yield (
                f"prf{prf}_{map_type.name.lower()}",
                replace(PLAIN, prf_func=prf, map_type=map_type),
            )
    for name, policy in NAMED_POLICIES.items():
        yield f"policy_{name.lower()}", replace(PLAIN, policy=policy)
    yield "policy_none", replace(PLAIN, policy=None)
    yield "map_four_sessions", replace(PLAIN, cs_map=SrtpIdMap((SrtpCs(0, 1),) * 4))
    sessions = tuple(GenericCs(n, 0, True, b"\0", bytes(10), b"spi") for n in (7, 9))
    yield "map_generic_long", replace(PLAIN, cs_map=GenericIdMap(sessions))
    extensions = (
        sdp.sdp_ids(["mikey", "keyp1"]),
        GeneralExtension.of_key_ids(KeyId(1, b"mtk"), KeyId(2, b"")),
        GeneralExtension(7, bytes(71)),
    )
    yield "extensions", replace(PLAIN, extensions=extensions)


def variants() -> Iterator[tuple[str, bytes]]:
    """Give messages that no option makes, good and bad ones."""
    message = IMessage.parse(MESSAGE)
    yield "umsg", MESSAGE
    yield "uid", uid_built().message
    uris = replace(mcx.PRIVATE_CALL, name_uris=True, name_uids=False)
    yield "uid_named_by_uri", uid_built(options=uris).message
    shared = replace(mcx.PRIVATE_CALL, cs_map=mcx.shared_key_map(mcx.CS_ID_GROUP, bytes(8)))
    yield "uid_group", uid_built(options=shared).message
    uid = Idr(IdRole.INITIATOR, SCHEME.identifier(ALICE, PERIOD))
    yield "uid_in_role_1", with_payload(IMessage.parse(uid_built().message), uid).encode()
    for name, payload in (
        ("t_zero", Timestamp(0)),
        ("t_last", Timestamp((1 << 64) - 1)),
        ("rand_long", Rand(bytes(255))),
        ("idr_empty", Idr(IdRole.INITIATOR, b"")),
        ("idr_nul", Idr(IdRole.RESPONDER, b"tel:+8888\0")),
        ("idr_uri", Idr(IdRole.RESPONDER, BOB.encode())),
        ("sp_empty", SecurityPolicy(0, ())),
        ("sp_unknown", SecurityPolicy(0, ((99, b"\1"), (99, b"")), protocol=3)),
    ):
        yield name, with_payload(message, payload).encode()
    for length in (0, 1, 9, 10, 27, 28, 30, 38, 60, 100, 449, 452):
        yield f"cut_{length:03}", MESSAGE[:length]
    yield "after_sign", MESSAGE + b"\0"
    for offset, value in ((0, 2), (1, 0), (2, 7), (3, 9), (8, 255), (9, 3), (29, 2)):
        yield f"octet_{offset}_{value}", MESSAGE[:offset] + bytes((value,)) + MESSAGE[offset + 1 :]


def texts() -> Iterator[tuple[str, bytes]]:
    """Give texts in which a message is."""
    line = sdp.make_line(MESSAGE).encode()
    yield "text_hex", MESSAGE.hex(" ").encode()
    yield "text_base64", base64.encodebytes(MESSAGE)
    yield "text_line", line
    offer = b"v=0\r\na=key-mgmt:keyp1 abc\r\na=key-mgmt:mikey AQ==\r\nm=audio 1 RTP/SAVP 0\r\n"
    yield "text_offer", offer + line + b"\r\n"
    yield "text_twice", offer + line + b"\n" + line


def files() -> Iterator[tuple[str, bytes]]:
    """Give every file by its name."""
    for name, shape in options():
        yield name, built(options=shape, binding=None).message
    yield from variants()
    yield from texts()


def main() -> None:
    """Write the files."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, octets in files():
        (FOLDER / name).write_bytes(octets)


if __name__ == "__main__":
    main()
