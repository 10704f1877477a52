# SPDX-License-Identifier: GPL-3.0-or-later
"""The gateway's key material in memory.

Octet lengths are those of RFC 6507 on P-256 (KPAK and PVT 65, SSK 32) and of RFC 6508 with
parameter set 1 of RFC 6509 (Z and RSK 257). A key's equations are checked where it is used, by
`mikey_sakke.keys.UserKeys`; here only sizes and forms are.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from cig_common.control.key_facts import Identity
from cig_material.period import Period
from mikey_sakke.errors import IdentifierError
from mikey_sakke.identifiers import check_tel_uri
from mikey_sakke.keys import UserKeys
from mikey_sakke.secret import Secret

SSK_OCTETS = 32
PVT_OCTETS = KPAK_OCTETS = 65
RSK_OCTETS = Z_OCTETS = 257
PIN_OCTETS = 32
PARAMETER_SET = 1
MAX_PERIODS = 36
MAX_CRS = 16
MAX_TEXT = 256
MAX_CA = 32768

_HOST_PORT = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9.-]{1,253}):([0-9]{1,5})", re.ASCII)


def split_host_port(text: str) -> tuple[str, int]:
    """Split ``host:port`` or ``[v6]:port``; raises ValueError for any other form."""
    match = _HOST_PORT.fullmatch(text)
    if match is None or not 1 <= int(match[2]) <= 65535:
        raise ValueError(f"{text[:80]!r} is not of the form host:port")
    return match[1].strip("[]"), int(match[2])


@dataclass(frozen=True, slots=True)
class KmsParameters:
    """The public parameters of a KMS: KPAK (65 octets), Z (257) and the SAKKE parameter set.

    A KMS that was compromised gets new ones, so each period says under which its keys were made.
    Raises ValueError for a wrong size or form.
    """

    uri: str
    kpak: bytes
    z: bytes
    parameter_set: int = PARAMETER_SET

    def __post_init__(self) -> None:
        _require_text("KMS URI", self.uri)
        _require(type(self.kpak) is bytes and len(self.kpak) == KPAK_OCTETS, "KPAK", KPAK_OCTETS)
        _require(type(self.z) is bytes and len(self.z) == Z_OCTETS, "Z", Z_OCTETS)
        if self.parameter_set != PARAMETER_SET:
            raise ValueError("the SAKKE parameter set is not 1, the only one of RFC 6509")


@dataclass(frozen=True, slots=True)
class PeriodKeys:
    """One period's keys: ``period`` ``YYYY-MM-REVISION``, SSK and PVT (ECCSI), RSK (SAKKE).

    ``kms`` are the parameters under which they were made. Raises ValueError for a wrong size or
    form.
    """

    period: str
    kms: KmsParameters
    ssk: Secret = field(repr=False)
    pvt: bytes
    rsk: Secret = field(repr=False)

    def __post_init__(self) -> None:
        Period.parse(self.period)
        _require(isinstance(self.ssk, Secret) and len(self.ssk) == SSK_OCTETS, "SSK", SSK_OCTETS)
        _require(type(self.pvt) is bytes and len(self.pvt) == PVT_OCTETS, "PVT", PVT_OCTETS)
        _require(isinstance(self.rsk, Secret) and len(self.rsk) == RSK_OCTETS, "RSK", RSK_OCTETS)

    @property
    def month(self) -> str:
        """The month that the keys are made for, ``YYYY-MM``."""
        return Period.parse(self.period).month

    def wipe(self) -> None:
        """Overwrite SSK and RSK (see `mikey_sakke.secret.Secret` for the limits)."""
        self.ssk.wipe()
        self.rsk.wipe()


@dataclass(frozen=True, slots=True)
class KeyMaterial:
    """All that a CMS gives a gateway.

    ``uri`` is its tel URI without extension, ``domain`` the security domain's name, ``crs`` the
    rendezvous servers as ``host:port`` in order of preference. At least one trust anchor for
    their certificate is set: ``anchor_pin`` (SHA-256 of the DER, 32 octets) or ``anchor_ca``
    (PEM). ``periods`` are kept oldest first. Raises ValueError for a wrong size or form.
    """

    uri: str
    domain: str
    crs: tuple[str, ...]
    anchor_pin: bytes | None
    anchor_ca: str | None
    periods: tuple[PeriodKeys, ...]

    def __post_init__(self) -> None:
        try:
            check_tel_uri(self.uri)
        except (IdentifierError, TypeError) as error:
            raise ValueError(str(error)) from None
        _require_text("domain", self.domain)
        if not 1 <= len(self.crs) <= MAX_CRS:
            raise ValueError(f"there must be 1 to {MAX_CRS} CRS addresses")
        for address in self.crs:
            split_host_port(address)
        self._check_anchor()
        if not 1 <= len(self.periods) <= MAX_PERIODS:
            raise ValueError(f"there must be keys of 1 to {MAX_PERIODS} periods")
        ordered = tuple(sorted(self.periods, key=lambda keys: Period.parse(keys.period)))
        if len({Period.parse(keys.period) for keys in ordered}) != len(ordered):
            raise ValueError("a period occurs twice")
        object.__setattr__(self, "periods", ordered)

    def _check_anchor(self) -> None:
        if self.anchor_pin is None and self.anchor_ca is None:
            raise ValueError("there is no trust anchor for the CRS")
        if self.anchor_pin is not None:
            pin = self.anchor_pin
            _require(type(pin) is bytes and len(pin) == PIN_OCTETS, "certificate pin", PIN_OCTETS)
        if self.anchor_ca is not None:
            ca = self.anchor_ca
            fits = type(ca) is str and len(ca) <= MAX_CA and ca.isascii()
            if not fits or "BEGIN CERTIFICATE" not in ca:
                raise ValueError("the CA certificate is not in PEM")

    @property
    def identity(self) -> Identity:
        """The public part, as cig-server gets it."""
        return Identity(
            public_id=self.uri,
            domain=self.domain,
            periods=tuple(keys.period for keys in self.periods),
            crs=self.crs,
            anchor_pin=self.anchor_pin,
            anchor_ca=self.anchor_ca,
        )

    def user_keys(self, keys: PeriodKeys) -> UserKeys:
        """Give one period's keys in the form that computes, their equations checked.

        Takes some tens of milliseconds. Raises `mikey_sakke.MikeySakkeError` for wrong keys.
        """
        return UserKeys(
            self.uri,
            keys.month,
            keys.kms.kpak,
            keys.kms.z,
            keys.ssk.reveal(),
            keys.pvt,
            keys.rsk.reveal(),
            kms_uri=keys.kms.uri,
        )

    def wipe(self) -> None:
        """Overwrite the secrets held here (see `mikey_sakke.secret.Secret` for the limits)."""
        for keys in self.periods:
            keys.wipe()


def _require_text(name: str, value: object) -> None:
    if type(value) is not str or not 1 <= len(value) <= MAX_TEXT or not value.isprintable():
        raise ValueError(f"the {name} is no printable text of 1 to {MAX_TEXT} characters")


def _require(fits: bool, name: str, octets: int) -> None:
    if not fits:
        raise ValueError(f"the {name} is not {octets} octets long")
