# SPDX-License-Identifier: GPL-3.0-or-later
"""ECCSI, certificateless signatures for identities (RFC 6507), on P-256 with SHA-256.

Plain functions `sign`, `verify` and `validate`, and beside them the forms that remember what
repeats: `Signer` for one's own key, `Verifier` for the peers of one KMS.

Sizes in octets: KPAK and PVT 65 (`04||x||y`), SSK 32, signature 129 (`r||s||PVT`).

OpenSSL does the two operations that matter for time: [j]G, in constant time, and the
verification equation, which is ECDSA's with public key Y = [HS]PVT + KPAK, the digest HE and
the signature (r, s⁻¹ mod q).
"""

import hmac
import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from mikey_sakke._gmp import invert, mpz
from mikey_sakke.curve import Affine, Curve
from mikey_sakke.errors import KeyValidationError, ParameterError, VerificationError
from mikey_sakke.secret import Guarded

POINT_LENGTH = 65
SCALAR_LENGTH = 32
SIGNATURE_LENGTH = 2 * SCALAR_LENGTH + POINT_LENGTH

P256 = Curve(
    p=mpz(0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF),
    b=mpz(0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B),
    q=mpz(0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551),
    size=32,
)
_Q = int(P256.q)
_P = int(P256.p)
G: Affine = (
    mpz(0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296),
    mpz(0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5),
)
G_OCTETS = P256.encode(G)

_OPENSSL_CURVE = ec.SECP256R1()
_PREHASHED = ec.ECDSA(Prehashed(SHA256()))
_MAX_DRAWS = 32
"""A sound random source needs one draw nearly always (2⁻³² misses); more means a broken one."""

RandomBytes = Callable[[int], bytes]


def sign(
    message: bytes,
    *,
    identifier: bytes,
    ssk: bytes,
    pvt: bytes,
    kpak: bytes,
    random_bytes: RandomBytes = secrets.token_bytes,
) -> bytes:
    """Sign a message (RFC 6507 §5.2.1) and give the signature of 129 octets.

    Takes the signer's identifier, its keys SSK (32 octets) and PVT (65), and the KMS's KPAK
    (65). `random_bytes(n)` must give n fresh unpredictable octets. Raises `ParameterError` for
    keys of wrong size or range; whether they belong together is for `validate` to tell.
    """
    signer = Signer(identifier=identifier, ssk=ssk, pvt=pvt, kpak=kpak)
    return signer.sign(message, random_bytes=random_bytes)


def verify(signature: bytes, message: bytes, *, identifier: bytes, kpak: bytes) -> None:
    """Check a signature of 129 octets (RFC 6507 §5.2.2); raises `VerificationError` if invalid.

    Every cause, a malformed signature or KPAK among them, raises this one error.
    """
    peer = _peer_key(_pvt_of(signature), identifier=identifier, kpak=kpak)
    peer.check(signature, message)


def validate(*, identifier: bytes, ssk: bytes, pvt: bytes, kpak: bytes) -> None:
    """Check a received signing key (RFC 6507 §5.1.2); raises `KeyValidationError` if bad.

    Checks the range of SSK, that PVT and KPAK are on the curve and [SSK]G == [HS]PVT + KPAK.
    """
    try:
        scalar = _scalar(ssk)
        expected = _public_point(identifier, pvt, kpak)
    except ParameterError as error:
        raise KeyValidationError(f"ECCSI key material refused: {error}") from None
    if expected is None or not hmac.compare_digest(multiply_base(scalar), P256.encode(expected)):
        raise KeyValidationError(
            "SSK, PVT, KPAK and identifier do not belong together: fetch the keys from the KMS anew"
        )


def hash_hs(identifier: bytes, pvt: bytes, kpak: bytes) -> bytes:
    """Give HS = SHA-256(G || KPAK || ID || PVT), 32 octets (RFC 6507 §5.1.1)."""
    return sha256(b"".join((G_OCTETS, kpak, identifier, pvt))).digest()


def hash_he(hs: bytes, r: bytes, message: bytes) -> bytes:
    """Give HE = SHA-256(HS || r || M), 32 octets (RFC 6507 §5.2.1)."""
    return sha256(b"".join((hs, r, message))).digest()


def multiply_base(scalar: int) -> bytes:
    """Give [scalar]G in 65 octets for 1 <= scalar < q, computed by OpenSSL in constant time."""
    key = ec.derive_private_key(scalar, _OPENSSL_CURVE).public_key()
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def draw_scalar(random_bytes: RandomBytes) -> int:
    """Draw a uniform scalar in 1 to q-1 from 32 random octets, again where it falls outside."""
    for _ in range(_MAX_DRAWS):
        scalar = int.from_bytes(random_bytes(SCALAR_LENGTH), "big")
        if 0 < scalar < _Q:
            return scalar
    raise ParameterError("the random source gives no usable octets: it is broken, stop signing")


class Signer(Guarded):
    """One identity's signing key with HS computed once (RFC 6507 §5.2.1).

    Arguments as for `sign`. Holds the secret SSK as a number, which Python cannot wipe.
    """

    __slots__ = ("_hs", "_pvt", "_ssk")

    def __init__(self, *, identifier: bytes, ssk: bytes, pvt: bytes, kpak: bytes) -> None:
        self._ssk = mpz(_scalar(ssk))
        if len(pvt) != POINT_LENGTH or len(kpak) != POINT_LENGTH:
            raise ParameterError(f"PVT and KPAK must have {POINT_LENGTH} octets each")
        self._pvt = bytes(pvt)
        self._hs = hash_hs(identifier, pvt, kpak)

    def sign(self, message: bytes, *, random_bytes: RandomBytes = secrets.token_bytes) -> bytes:
        """Sign a message and give the signature of 129 octets.

        The secrets enter only multiplied by a fresh blinding factor b, because GMP's
        arithmetic is not constant in time: s = (HE + r·SSK)⁻¹·j = (b·HE + r·(b·SSK))⁻¹·(b·j).
        """
        q = P256.q
        for _ in range(_MAX_DRAWS):
            j = draw_scalar(random_bytes)
            r_octets = multiply_base(j)[1 : 1 + SCALAR_LENGTH]
            r = int.from_bytes(r_octets, "big")
            he = int.from_bytes(hash_he(self._hs, r_octets, message), "big")
            blinding = mpz(draw_scalar(random_bytes))
            denominator = (blinding * he + r * (blinding * self._ssk % q)) % q
            if r == 0 or not denominator:
                continue  # RFC 6507 §5.2.1 step 4: take another j
            s = int(invert(denominator, q) * (blinding * j % q) % q)
            return b"".join((r_octets, s.to_bytes(SCALAR_LENGTH, "big"), self._pvt))
        raise ParameterError("the random source gives no usable octets: it is broken, stop signing")


@dataclass(frozen=True, slots=True)
class PeerKey:
    """What verifying one peer needs: HS (32 octets) and Y = [HS]PVT + KPAK. Nothing secret."""

    hs: bytes
    y: Affine
    openssl_key: ec.EllipticCurvePublicKey

    def check(self, signature: bytes, message: bytes) -> None:
        """Check a signature of 129 octets whose PVT is this peer's (RFC 6507 §5.2.2).

        Raises `VerificationError` if it is invalid.
        """
        r_octets = signature[:SCALAR_LENGTH]
        r = int.from_bytes(r_octets, "big")
        s = int.from_bytes(signature[SCALAR_LENGTH : 2 * SCALAR_LENGTH], "big")
        # The RFC does not spell this test out; without it r = s = 0 is a valid signature of
        # every message by everybody (CVE-2026-5466).
        if not (1 <= r < _P and 1 <= s < _Q):
            raise VerificationError("signature refused: r or s is out of range")
        he = hash_he(self.hs, r_octets, message)
        if _P - _Q <= r < _Q:
            valid = self._check_by_openssl(he, r, s)
        else:
            # ECDSA compares Jx mod q, ECCSI compares Jx mod p: for these r (chance 2⁻³¹) the
            # two differ.
            valid = equation_holds(int.from_bytes(he, "big"), r, s, self.y)
        if not valid:
            raise VerificationError("signature refused: it is not of this message and signer")

    def _check_by_openssl(self, he: bytes, r: int, s: int) -> bool:
        inverse = int(invert(mpz(s), P256.q))
        try:
            self.openssl_key.verify(encode_dss_signature(r, inverse), he, _PREHASHED)
        except InvalidSignature:
            return False
        return True


def equation_holds(he: int, r: int, s: int, y: Affine) -> bool:
    """Say whether J = [s]([HE]G + [r]Y) is a point with x coordinate r (RFC 6507 §5.2.2).

    Takes r in 1 to p-1 and s in 1 to q-1; computed without OpenSSL.
    """
    inner = P256.add(P256.multiply(he, G), P256.multiply(r, y))
    if inner is None:
        return False
    j = P256.multiply(s, inner)
    return j is not None and j[0] == r


class Verifier:
    """Verifies signatures under one KPAK (65 octets); remembers the peers it has come to know.

    A peer's Y depends on its identifier (which holds the month) and PVT only. Y is kept once
    a signature under it verified, so that strangers cannot push known peers out; beyond
    `capacity` the longest-unused peer is forgotten.
    """

    __slots__ = ("_capacity", "_kpak", "_peers")

    def __init__(self, kpak: bytes, *, capacity: int = 4096) -> None:
        self._kpak = bytes(kpak)
        self._capacity = capacity
        self._peers: OrderedDict[tuple[bytes, bytes], PeerKey] = OrderedDict()

    def verify(self, signature: bytes, message: bytes, *, identifier: bytes) -> None:
        """Check a signature of 129 octets; raises `VerificationError` if invalid."""
        pvt = _pvt_of(signature)
        known = self._peers.get((identifier, pvt))
        peer = known or _peer_key(pvt, identifier=identifier, kpak=self._kpak)
        peer.check(signature, message)
        self._peers[identifier, pvt] = peer
        self._peers.move_to_end((identifier, pvt))
        if len(self._peers) > self._capacity:
            self._peers.popitem(last=False)

    def __len__(self) -> int:
        return len(self._peers)


def _pvt_of(signature: bytes) -> bytes:
    if len(signature) != SIGNATURE_LENGTH:
        raise VerificationError(
            f"signature refused: {len(signature)} octets instead of {SIGNATURE_LENGTH}"
        )
    return bytes(signature[2 * SCALAR_LENGTH :])


def _peer_key(pvt: bytes, *, identifier: bytes, kpak: bytes) -> PeerKey:
    try:
        y = _public_point(identifier, pvt, kpak)
    except ParameterError as error:
        raise VerificationError(f"signature refused: PVT or KPAK: {error}") from None
    if y is None:
        raise VerificationError("signature refused: the signer's public point is infinity")
    openssl_key = ec.EllipticCurvePublicKey.from_encoded_point(_OPENSSL_CURVE, P256.encode(y))
    return PeerKey(hash_hs(identifier, pvt, kpak), y, openssl_key)


def _public_point(identifier: bytes, pvt: bytes, kpak: bytes) -> Affine | None:
    """Give Y = [HS]PVT + KPAK; raises `ParameterError` where a point is none of the curve."""
    pvt_point = P256.decode(pvt)
    kpak_point = P256.decode(kpak)
    hs = int.from_bytes(hash_hs(identifier, pvt, kpak), "big")
    return P256.add(P256.multiply(hs, pvt_point), kpak_point)


def _scalar(octets: bytes) -> int:
    if len(octets) != SCALAR_LENGTH:
        raise ParameterError(f"SSK must have {SCALAR_LENGTH} octets, got {len(octets)}")
    scalar = int.from_bytes(octets, "big")
    if not 0 < scalar < _Q:
        raise ParameterError("SSK must lie between 1 and q-1")
    return scalar
