# SPDX-License-Identifier: GPL-3.0-or-later
"""One user's keys for one month, checked, with what can be computed beforehand."""

from mikey_sakke import eccsi, sakke
from mikey_sakke.errors import SecretError
from mikey_sakke.identifiers import check_month, check_tel_uri, tel_identifier
from mikey_sakke.secret import Guarded, Secret


class UserKeys(Guarded):
    """The keys of a tel URI for a month, as a KMS issues them.

    Takes the canonical URI, the month (YYYY-MM) and, in octets, KPAK (65), Z (257), SSK (32),
    PVT (65) and RSK (257); `kms_uri` is compared with the IDRkmsr of messages where both are
    there. Creation validates everything (some 30 ms) and raises `KeyValidationError` or
    `IdentifierError`.

    `signer`, `decapsulator`, `kms` and `verifier` are the prepared forms. SSK and RSK are kept as
    `Secret`; the prepared forms hold them as numbers, which `wipe` can only let go.
    """

    __slots__ = (
        "_decapsulator",
        "_signer",
        "identifier",
        "kms",
        "kms_uri",
        "kpak",
        "month",
        "pvt",
        "rsk",
        "ssk",
        "uri",
        "verifier",
        "z",
    )

    def __init__(
        self,
        uri: str,
        month: str,
        kpak: bytes,
        z: bytes,
        ssk: bytes,
        pvt: bytes,
        rsk: bytes,
        *,
        kms_uri: str | None = None,
    ) -> None:
        self.uri = check_tel_uri(uri)
        self.month = check_month(month)
        self.kms_uri = kms_uri
        self.identifier = tel_identifier(uri, month)
        self.kpak = bytes(kpak)
        self.z = bytes(z)
        self.pvt = bytes(pvt)
        self.ssk = Secret(ssk)
        self.rsk = Secret(rsk)
        self._validate_signing_key()
        self._decapsulator: sakke.Decapsulator | None = sakke.install(
            identifier=self.identifier, rsk=rsk, z=self.z
        )
        self.kms = sakke.kms_public_key(self.z)
        self.verifier = eccsi.Verifier(self.kpak)
        self._signer: eccsi.Signer | None = eccsi.Signer(
            identifier=self.identifier, ssk=ssk, pvt=self.pvt, kpak=self.kpak
        )

    def validate(self) -> None:
        """Check all key equations (RFC 6507 §5.1.2, RFC 6508 §6.1.2).

        Raises `KeyValidationError` where one fails, `SecretError` after `wipe`.
        """
        self._validate_signing_key()
        self.decapsulator.validate()

    def _validate_signing_key(self) -> None:
        eccsi.validate(
            identifier=self.identifier, ssk=self.ssk.reveal(), pvt=self.pvt, kpak=self.kpak
        )

    @property
    def signer(self) -> eccsi.Signer:
        """The prepared signing key; raises `SecretError` after `wipe`."""
        if self._signer is None:
            raise _wiped()
        return self._signer

    @property
    def decapsulator(self) -> sakke.Decapsulator:
        """The prepared RSK; raises `SecretError` after `wipe`."""
        if self._decapsulator is None:
            raise _wiped()
        return self._decapsulator

    def wipe(self) -> None:
        """Wipe SSK and RSK and let the prepared forms go; later use raises `SecretError`."""
        self.ssk.wipe()
        self.rsk.wipe()
        self._signer = None
        self._decapsulator = None

    def __repr__(self) -> str:
        return f"UserKeys({self.uri}, {self.month}, redacted)"


def _wiped() -> SecretError:
    return SecretError("the keys were wiped: load those of the present month")
