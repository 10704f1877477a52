# SPDX-License-Identifier: GPL-3.0-or-later
"""The octets that are signed, hashed and authenticated, so that a server can alter nothing.

These functions only lay out octets and hash them. Keys stay with whoever holds them.
The frame that a digest covers is the payload, without the four octets of its length.
"""

import hashlib
import hmac
from collections.abc import Sequence

from umsg import cbor
from umsg.errors import FieldError
from umsg.fields import PERIOD

EXTENSION_MAGIC = b"UMSG/1"
"""First octets of the I_MESSAGE's General Extension payload; 32 octets of digest follow."""
ANSWER_INFO = b"UMSG/1 answer"
"""HKDF (RFC 5869) info of the key that `answer_mac` takes."""
TEXT_INFO = b"UMSG/1 text"
"""HKDF (RFC 5869) info of the key that seals a text; its first 16 octets are used."""
_AUTH_PREFIX = b"UMSG/1 auth\0"
_RECEIPT_PREFIX = b"UMSG/1 receipt\0"
_DIGEST_OCTETS = 32


def frame_digest(payload: bytes) -> bytes:
    """Return the SHA-256 (32 octets) of a frame's payload."""
    return hashlib.sha256(payload).digest()


def call_digest(
    *, id: str, from_uri: str, to_uri: str, offer: Sequence[str], dtmf: int | None
) -> bytes:
    """Return the digest (32 octets) that binds a `bang`'s clear fields to its I_MESSAGE.

    SHA-256 of the deterministic CBOR of the map of the five; `dtmf` is null where absent.
    """
    values = {"id": id, "from": from_uri, "to": to_uri, "offer": list(offer), "dtmf": dtmf}
    return hashlib.sha256(cbor.encode(values)).digest()


def answer_mac(
    key: bytes, *, t: str, id: str, codec: str, dtmf: int | None, message_digest: bytes
) -> bytes:
    """Return the `mac` (32 octets) of a `talk` or an early-media `growl`.

    HMAC-SHA256 over the CBOR array of `t`, `id`, `codec`, `dtmf` or null, and the SHA-256
    (32 octets) of the I_MESSAGE up to and with its SIGN header. `key` (32 octets) is
    HKDF-SHA256 of the SSV with the RAND as salt and ANSWER_INFO.
    """
    _check_digest("message_digest", message_digest)
    values = [t, id, codec, dtmf, message_digest]
    return hmac.digest(key, cbor.encode(values), "sha256")


def text_digest(*, mid: str, from_uri: str, to_uri: str) -> bytes:
    """Return the digest (32 octets) that binds a text's I_MESSAGE to the text.

    SHA-256 of the deterministic CBOR of the map of the three: no I_MESSAGE of a text serves for
    another one, or for a call.
    """
    values = {"mid": mid, "from": from_uri, "to": to_uri}
    return hashlib.sha256(cbor.encode(values)).digest()


def text_associated_data(*, mid: str, from_uri: str, to_uri: str) -> bytes:
    """Return the associated data of a text's AES-GCM: each of the three, and a zero octet."""
    return b"".join(value.encode() + b"\0" for value in (mid, from_uri, to_uri))


def receipt_text(*, mid: str, status: str, content_digest: bytes) -> bytes:
    """Return the text that a `receipt` signs.

    `content_digest` is the SHA-256 (32 octets) of the whole sealed content; raises FieldError for
    another length.
    """
    _check_digest("content_digest", content_digest)
    return b"".join((_RECEIPT_PREFIX, mid.encode(), status.encode(), content_digest))


def auth_text(
    *, hello_frame: bytes, challenge_frame: bytes, server_certificate: bytes, period: str
) -> bytes:
    """Return the text that `auth` signs, from both payloads and the certificate in DER."""
    return auth_text_from_digests(
        hello_digest=frame_digest(hello_frame),
        challenge_digest=frame_digest(challenge_frame),
        certificate_digest=frame_digest(server_certificate),
        period=period,
    )


def auth_text_from_digests(
    *, hello_digest: bytes, challenge_digest: bytes, certificate_digest: bytes, period: str
) -> bytes:
    """Return the text that `auth` signs, from SHA-256 digests of 32 octets each.

    `UMSG/1 auth`, a zero octet, the three digests, and the period in ASCII. Raises
    FieldError for a digest of another length or a period of another form.
    """
    _check_digest("hello_digest", hello_digest)
    _check_digest("challenge_digest", challenge_digest)
    _check_digest("certificate_digest", certificate_digest)
    if not PERIOD.check(period):
        raise FieldError("auth", "period", PERIOD.words)
    return b"".join(
        (_AUTH_PREFIX, hello_digest, challenge_digest, certificate_digest, period.encode())
    )


def _check_digest(name: str, digest: bytes) -> None:
    if len(digest) != _DIGEST_OCTETS:
        raise FieldError("binding", name, f"{_DIGEST_OCTETS} octets")
