# SPDX-License-Identifier: GPL-3.0-or-later
"""SAKKE, identity-based key encapsulation (RFC 6508), Parameter Set 1 (RFC 6509 Appendix A).

Plain functions `encapsulate`, `decapsulate` and `validate`, and beside them the forms that
remember what repeats: `KmsPublicKey` (the tables of Z, nothing secret) and `Decapsulator`
(the pairing lines of one's own RSK, as secret as the RSK).

Sizes in octets: SSV 16, Z and RSK 257 (`04||x||y`), encapsulated data (SED) 273
(`04||Rx||Ry||H`). The identifier is taken as a big-endian number between 2 and q-1.
"""

import hmac
from functools import cache, lru_cache
from hashlib import sha256

from mikey_sakke._gmp import mpz
from mikey_sakke.comb import FixedBase, FixedPower, multiply_sum
from mikey_sakke.curve import Affine, Curve
from mikey_sakke.errors import DecapsulationError, KeyValidationError, ParameterError
from mikey_sakke.pairing import PreparedPairing
from mikey_sakke.secret import Guarded

SSV_LENGTH = 16
COORDINATE_LENGTH = 128
POINT_LENGTH = 1 + 2 * COORDINATE_LENGTH
SED_LENGTH = POINT_LENGTH + SSV_LENGTH

_HASH_LENGTH = 32
_MASK_RANGE = mpz(1 << (8 * SSV_LENGTH))
_REFUSED = "encapsulated data refused: not made for this identity and month, or altered on the way"


def _number(*parts: str) -> mpz:
    return mpz(int("".join(parts).replace(" ", ""), 16))


E1024 = Curve(
    p=_number(
        "997ABB1F 0A563FDA 65C61198 DAD0657A 416C0CE1 9CB48261 BE9AE358 B3E01A2E",
        "F40AAB27 E2FC0F1B 228730D5 31A59CB0 E791B39F F7C88A19 356D27F4 A666A6D0",
        "E26C6487 326B4CD4 512AC5CD 65681CE1 B6AFF4A8 31852A82 A7CF3C52 1C3C09AA",
        "9F94D6AF 56971F1F FCE3E823 89857DB0 80C5DF10 AC7ACE87 666D807A FEA85FEB",
    ),
    b=mpz(0),
    q=_number(
        "265EAEC7 C2958FF6 99718466 36B4195E 905B0338 672D2098 6FA6B8D6 2CF8068B",
        "BD02AAC9 F8BF03C6 C8A1CC35 4C69672C 39E46CE7 FDF22286 4D5B49FD 2999A9B4",
        "389B1921 CC9AD335 144AB173 595A0738 6DABFD2A 0C614AA0 A9F3CF14 870F026A",
        "A7E535AB D5A5C7C7 FF38FA08 E2615F6C 203177C4 2B1EB3A1 D99B601E BFAA17FB",
    ),
    size=COORDINATE_LENGTH,
)
P: Affine = (
    _number(
        "53FC09EE 332C29AD 0A799005 3ED9B52A 2B1A2FD6 0AEC69C6 98B2F204 B6FF7CBF",
        "B5EDB6C0 F6CE2308 AB10DB90 30B09E10 43D5F22C DB9DFA55 718BD9E7 406CE890",
        "9760AF76 5DD5BCCB 337C8654 8B72F2E1 A702C339 7A60DE74 A7C1514D BA66910D",
        "D5CFB4CC 80728D87 EE9163A5 B63F73EC 80EC46C4 967E0979 880DC8AB EAE63895",
    ),
    _number(
        "0A824906 3F6009F1 F9F1F053 3634A135 D3E82016 02990696 3D778D82 1E141178",
        "F5EA69F4 654EC2B9 E7F7F5E5 F0DE55F6 6B598CCF 9A140B2E 416CFF0C A9E032B9",
        "70DAE117 AD547C6C CAD696B5 B7652FE0 AC6F1E80 164AA989 492D979F C5A4D5F2",
        "13515AD7 E9CB99A9 80BDAD5A D5BB4636 ADB9B570 6A67DCDE 75573FD7 1BEF16D7",
    ),
)
G = _number(
    "66FC2A43 2B6EA392 148F1586 7D623068 C6A87BD1 FB94C41E 27FABE65 8E015A87",
    "371E9474 4C96FEDA 449AE956 3F8BC446 CBFDA85D 5D00EF57 7072DA8F 541721BE",
    "EE0FAED1 828EAB90 B99DFB01 38C78433 55DF0460 B4A9FD74 B4F1A32B CAFA1FFA",
    "D682C033 A7942BCC E3720F20 B9B7B040 3C8CAE87 B7A0042A CDE0FAB3 6461EA46",
)
"""g = <P, P> in PF_p."""


def encapsulate(ssv: bytes, *, identifier: bytes, z: bytes) -> bytes:
    """Encapsulate a shared secret value for an identity (RFC 6508 §6.2.1); gives 273 octets.

    Takes the SSV (16 octets), the receiver's identifier and its KMS's public key Z (257). Raises
    `ParameterError` for wrong sizes, an identifier out of range and a Z that is no key.
    """
    return kms_public_key(bytes(z)).encapsulate(ssv, identifier=identifier)


def decapsulate(sed: bytes, *, identifier: bytes, rsk: bytes, z: bytes) -> bytes:
    """Recover the SSV (16 octets) from 273 octets (RFC 6508 §6.2.2).

    Takes one's own identifier and RSK (257 octets) and the KMS's Z (257). Raises
    `DecapsulationError`, for every cause the same, when the data are not for this key.
    """
    try:
        kms = kms_public_key(bytes(z))
        decapsulator = Decapsulator(identifier=identifier, rsk=rsk, kms=kms, prepared=False)
    except ParameterError as error:
        raise DecapsulationError(f"key material refused: {error}") from None
    return decapsulator.decapsulate(sed)


def validate(*, identifier: bytes, rsk: bytes, z: bytes) -> None:
    """Check a received RSK (RFC 6508 §6.1.2); raises `KeyValidationError` if it is bad.

    Checks that RSK and Z (257 octets each) are points of order q and <[b]P + Z, RSK> == g.
    """
    _validated(identifier, rsk, z, prepared=False)


def install(*, identifier: bytes, rsk: bytes, z: bytes) -> "Decapsulator":
    """Check a received RSK as `validate` does (RFC 6508 §6.1.2); give it in its prepared form."""
    return _validated(identifier, rsk, z, prepared=True)


def _validated(identifier: bytes, rsk: bytes, z: bytes, *, prepared: bool) -> "Decapsulator":
    try:
        decapsulator = Decapsulator(
            identifier=identifier, rsk=rsk, kms=kms_public_key(bytes(z)), prepared=prepared
        )
        decapsulator.validate()
    except ParameterError as error:
        raise KeyValidationError(f"SAKKE key material refused: {error}") from None
    return decapsulator


def hash_to_integer_range(octets: bytes, modulus: mpz) -> mpz:
    """Hash octets to a number in 0 to modulus-1 (HashToIntegerRange, RFC 6508 §5.1)."""
    bits = int(modulus - 1).bit_length()
    digest = sha256(octets).digest()
    h = bytes(_HASH_LENGTH)
    parts = []
    for _ in range(-(-bits // (8 * _HASH_LENGTH))):
        h = sha256(h).digest()
        parts.append(sha256(h + digest).digest())
    return mpz(int.from_bytes(b"".join(parts), "big")) % modulus


def identifier_number(identifier: bytes) -> mpz:
    """Give an identifier (1 to 128 octets) as the number b; `ParameterError` unless 2 <= b < q."""
    number = mpz(int.from_bytes(identifier, "big"))
    if not 2 <= number < E1024.q:
        raise ParameterError(
            "an identifier must be a number between 2 and q-1 (at most 128 octets)"
        )
    return number


def decode_subgroup_point(octets: bytes) -> Affine:
    """Read 257 octets as a point of order q; raises `ParameterError` if it is none."""
    point = E1024.decode(octets)
    if E1024.multiply(E1024.q, point) is not None:
        raise ParameterError("a point is not in the subgroup of order q")
    return point


class KmsPublicKey:
    """A KMS's public key Z, checked, with its fixed-base table. Nothing here is secret.

    Raises `ParameterError` unless Z (257 octets) is a point of order q.
    """

    __slots__ = ("octets", "point", "table")

    def __init__(self, z: bytes) -> None:
        self.octets = bytes(z)
        self.point = decode_subgroup_point(self.octets)
        self.table = FixedBase(E1024, self.point)

    def encapsulate(self, ssv: bytes, *, identifier: bytes) -> bytes:
        """Encapsulate an SSV (16 octets) for an identity; gives 273 octets."""
        return PublicIdentity(self, identifier).encapsulate(ssv)


class PublicIdentity:
    """One identity under one KMS: its public point [b]P + Z (RFC 6508 §6.2). Nothing is secret.

    Unprepared it costs nothing to make, and multiplies by the tables of P and Z, so a new peer
    costs no more than a known one. `prepared` makes the point's own table (as dear as eight
    multiplications), which halves each multiplication: for one's own identity, and for
    peers called often. Raises `ParameterError` for an identifier out of range.
    """

    __slots__ = ("_b", "_identifier", "_kms", "_table")

    def __init__(self, kms: KmsPublicKey, identifier: bytes, *, prepared: bool = False) -> None:
        self._kms = kms
        self._identifier = bytes(identifier)
        self._b = identifier_number(identifier)
        self._table = FixedBase(E1024, self.point()) if prepared else None

    def point(self) -> Affine:
        """Give the point [b]P + Z."""
        return self._sum(mpz(1))

    def _sum(self, r: mpz) -> Affine:
        """Give [r]([b]P + Z) as [r·b]P + [r]Z."""
        terms = [(_base_table(), r * self._b % E1024.q), (self._kms.table, r)]
        return _finite(multiply_sum(terms))

    def hash_point(self, ssv: bytes) -> tuple[mpz, bytes]:
        """Give r = HashToIntegerRange(SSV || b, q) and [r]([b]P + Z) in 257 octets.

        This is R where one encapsulates and TEST where one decapsulates (RFC 6508 §6.2).
        """
        r = hash_to_integer_range(ssv + self._identifier, E1024.q)
        if self._table is None:
            return r, E1024.encode(self._sum(r))
        return r, E1024.encode(_finite(multiply_sum([(self._table, r)])))

    def encapsulate(self, ssv: bytes) -> bytes:
        """Encapsulate an SSV (16 octets) for this identity; gives 273 octets."""
        if len(ssv) != SSV_LENGTH:
            raise ParameterError(f"an SSV must have {SSV_LENGTH} octets, got {len(ssv)}")
        r, point = self.hash_point(ssv)
        return point + _xor(ssv, _mask(_generator_powers().power(r)))


class Decapsulator(Guarded):
    """One identity's RSK (257 octets), prepared for decapsulation, and as secret as the RSK.

    `prepared` also prepares the identity's own point; leave it out for a single use. Raises
    `ParameterError` for an RSK that is no point of the curve and an identifier out of range;
    `validate` makes the complete check, to be done once when keys are installed.
    """

    __slots__ = ("_identity", "_pairing", "_point")

    def __init__(
        self, *, identifier: bytes, rsk: bytes, kms: KmsPublicKey, prepared: bool = True
    ) -> None:
        self._point = E1024.decode(rsk)
        self._identity = PublicIdentity(kms, identifier, prepared=prepared)
        self._pairing = PreparedPairing(E1024, self._point)

    def validate(self) -> None:
        """Check order q and <[b]P + Z, RSK> == g (RFC 6508 §6.1.2); raises `KeyValidationError`."""
        if E1024.multiply(E1024.q, self._point) is not None:
            raise KeyValidationError("RSK is not of order q: fetch the keys from the KMS anew")
        if self._pairing.pair(self._identity.point()) != G:
            raise KeyValidationError(
                "RSK, Z and identifier do not belong together: fetch the keys from the KMS anew"
            )

    def decapsulate(self, sed: bytes) -> bytes:
        """Recover the SSV (16 octets) from 273 octets; raises `DecapsulationError`.

        What is refused before the pairing depends on public octets only. After it, the one
        way to succeed is TEST == R, which also proves that R is of order q.
        """
        if len(sed) != SED_LENGTH:
            raise DecapsulationError(_REFUSED)
        try:
            r_point = E1024.decode(sed[:POINT_LENGTH])
        except ParameterError:
            raise DecapsulationError(_REFUSED) from None
        if not r_point[1]:  # a point of order 2 has no value of the pairing
            raise DecapsulationError(_REFUSED)
        ssv = _xor(sed[POINT_LENGTH:], _mask(self._pairing.pair(r_point)))
        _, test = self._identity.hash_point(ssv)
        if not hmac.compare_digest(test, sed[:POINT_LENGTH]):
            raise DecapsulationError(_REFUSED)
        return ssv


def _finite(point: Affine | None) -> Affine:
    if point is None:
        raise ParameterError("an identity's public point is infinity: this KMS key serves nobody")
    return point


def _mask(w: mpz) -> bytes:
    octets = int(w).to_bytes(COORDINATE_LENGTH, "big")
    return int(hash_to_integer_range(octets, _MASK_RANGE)).to_bytes(SSV_LENGTH, "big")


def _xor(left: bytes, right: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(left, right, strict=True))


@cache
def _base_table() -> FixedBase:
    return FixedBase(E1024, P)


@cache
def _generator_powers() -> FixedPower:
    return FixedPower(E1024.p, G)


@lru_cache(maxsize=8)
def kms_public_key(z: bytes) -> KmsPublicKey:
    """Give the prepared form of Z (257 octets); the last eight are remembered.

    Raises `ParameterError` unless Z is a point of order q.
    """
    return KmsPublicKey(z)
