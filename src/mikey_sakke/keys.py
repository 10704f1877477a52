# SPDX-License-Identifier: GPL-3.0-or-later
"""One user's keys for one key period, checked, with what can be computed beforehand."""

from mikey_sakke import eccsi, sakke
from mikey_sakke.errors import IdentifierError, SecretError
from mikey_sakke.identity import TEL_MONTHLY, IdentityScheme
from mikey_sakke.secret import Guarded, Secret


class UserKeys(Guarded):
    """The keys of a user for a key period, as a KMS issues them.

    Takes the URI and the period in the forms of the identity `scheme` (by default a canonical
    tel URI and a month YYYY-MM; for a `HashedUid` a user's URI and the period's number) and, in
    octets, KPAK (65), Z (257), SSK (32), PVT (65) and RSK (257). `kms_uri` is compared with the
    IDRkmsr of messages where both are there; where it is None it is the scheme's. Creation
    validates everything (some 30 ms) and raises `KeyValidationError` or `IdentifierError`.

    `period` is another name of `month`; `identifier` is what the keys were issued for.

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
        "scheme",
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
        scheme: IdentityScheme = TEL_MONTHLY,
    ) -> None:
        self.scheme = scheme
        self.uri = scheme.check_uri(uri)
        self.month = scheme.check_period(month)
        self.kms_uri = _kms_of(scheme, kms_uri)
        self.identifier = scheme.identifier(uri, month)
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

    @property
    def period(self) -> str:
        """The key period, in the form of the scheme: YYYY-MM, or a number."""
        return self.month

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


def _kms_of(scheme: IdentityScheme, kms_uri: str | None) -> str | None:
    if kms_uri is None:
        return scheme.kms_uri
    if scheme.kms_uri not in (None, kms_uri):
        raise IdentifierError(f"keys of {kms_uri[:64]!r} in a scheme of {scheme.kms_uri!r}")
    return kms_uri


def _wiped() -> SecretError:
    return SecretError("the keys were wiped: load those of the present period")
