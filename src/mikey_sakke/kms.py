# SPDX-License-Identifier: GPL-3.0-or-later
"""The mathematics of a KMS: master keys, and issuing users' keys from them.

For tests and laboratories. Whoever holds the master keys can sign for everybody and open every
message, past and future; a KMS for real use keeps them in hardware and says who got which key.
"""

import secrets
from collections.abc import Callable

from mikey_sakke import eccsi, sakke
from mikey_sakke._gmp import invert, mpz
from mikey_sakke.errors import ParameterError
from mikey_sakke.identity import TEL_MONTHLY, IdentityScheme
from mikey_sakke.keys import UserKeys
from mikey_sakke.secret import Guarded, Secret

_MAX_DRAWS = 256


class MasterKeys(Guarded):
    """A KMS's two master secrets: KSAK (32 octets) for ECCSI and z (128 octets) for SAKKE.

    `kpak` (65 octets) and `z_public` (257) are their public parts. Raises `ParameterError` for a
    secret out of range.
    """

    __slots__ = ("_ksak", "_z", "kpak", "z_public")

    def __init__(self, *, ksak: bytes, z: bytes) -> None:
        ksak_number = int.from_bytes(ksak, "big")
        z_number = int.from_bytes(z, "big")
        if not (1 <= ksak_number < eccsi.P256.q and 2 <= z_number < sakke.E1024.q):
            raise ParameterError("KSAK must lie between 1 and q-1, z between 2 and q-1")
        self._ksak = Secret(ksak)
        self._z = Secret(z)
        self.kpak = eccsi.multiply_base(ksak_number)
        self.z_public = _multiple_of_p(mpz(z_number))

    @classmethod
    def generate(cls, random_bytes: Callable[[int], bytes] = secrets.token_bytes) -> "MasterKeys":
        """Draw new master secrets, KSAK of 32 octets and z of 128, from random octets."""
        ksak = eccsi.draw_scalar(random_bytes).to_bytes(eccsi.SCALAR_LENGTH, "big")
        for _ in range(_MAX_DRAWS):
            # q has 1022 bits, so two thirds of the draws of 1022 bits fall below it.
            octets = random_bytes(sakke.COORDINATE_LENGTH)
            z = bytes((octets[0] & 0x3F,)) + octets[1:]
            if 2 <= int.from_bytes(z, "big") < sakke.E1024.q:
                return cls(ksak=ksak, z=z)
        raise ParameterError("the random source gives no usable octets: it is broken")

    def reveal(self) -> tuple[bytes, bytes]:
        """Give copies of KSAK (32 octets) and z (128), for whoever has to store them."""
        return self._ksak.reveal(), self._z.reveal()

    def issue_ssk(
        self, identifier: bytes, *, random_bytes: Callable[[int], bytes] = secrets.token_bytes
    ) -> tuple[bytes, bytes]:
        """Issue SSK (32 octets) and PVT (65) for an identifier (RFC 6507 §5.1.1).

        Each call draws a new v: two users with one v could compute KSAK.
        """
        ksak = mpz(int.from_bytes(self._ksak.reveal(), "big"))
        for _ in range(_MAX_DRAWS):
            v = eccsi.draw_scalar(random_bytes)
            pvt = eccsi.multiply_base(v)
            hs = int.from_bytes(eccsi.hash_hs(identifier, pvt, self.kpak), "big")
            ssk = int((ksak + hs * v) % eccsi.P256.q)
            if ssk and hs % int(eccsi.P256.q):
                return ssk.to_bytes(eccsi.SCALAR_LENGTH, "big"), pvt
        raise ParameterError("the random source gives no usable octets: it is broken")

    def issue_rsk(self, identifier: bytes) -> bytes:
        """Issue the RSK [(b + z)^-1]P (257 octets) for an identifier (RFC 6508 §6.1.1)."""
        q = sakke.E1024.q
        z = int.from_bytes(self._z.reveal(), "big")
        total = (sakke.identifier_number(identifier) + z) % q
        if not total:
            raise ParameterError("this identifier has no RSK under this z")
        return _multiple_of_p(invert(total, q))

    def issue(
        self,
        uri: str,
        month: str,
        *,
        kms_uri: str | None = None,
        scheme: IdentityScheme = TEL_MONTHLY,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> UserKeys:
        """Issue the complete keys of a user for a key period (RFC 6507 §5.1.1, RFC 6508 §6.1.1).

        URI and period have the forms of the `scheme`: a tel URI and a month, unless it is another.
        """
        identifier = scheme.identifier(uri, month)
        ssk, pvt = self.issue_ssk(identifier, random_bytes=random_bytes)
        rsk = self.issue_rsk(identifier)
        return UserKeys(
            uri,
            month,
            self.kpak,
            self.z_public,
            ssk,
            pvt,
            rsk,
            kms_uri=kms_uri,
            scheme=scheme,
        )


def _multiple_of_p(scalar: mpz) -> bytes:
    point = sakke.E1024.multiply(scalar, sakke.P)
    if point is None:
        raise ParameterError("a multiple of P must not be infinity")
    return sakke.E1024.encode(point)
