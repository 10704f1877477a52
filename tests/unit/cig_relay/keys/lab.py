# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys of a small security domain for the tests of the relay, made once a process."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache

from cig_material.material import KeyMaterial, KmsParameters, PeriodKeys
from mikey_sakke.identifiers import tel_identifier
from mikey_sakke.keys import UserKeys
from mikey_sakke.kms import MasterKeys
from mikey_sakke.secret import Secret

GATEWAY = "tel:+8888"
ALICE = "tel:+46701234567"
MALLORY = "tel:+46709999999"
KMS_URI = "kms.example.com"
NOW = datetime(2026, 11, 15, 12, tzinfo=UTC).timestamp()
MONTH = "2026-11"


@cache
def domain() -> MasterKeys:
    """The lab domain's master keys."""
    return MasterKeys.generate()


@cache
def kms() -> KmsParameters:
    """The public parameters of the lab domain's KMS."""
    return KmsParameters(KMS_URI, domain().kpak, domain().z_public)


@cache
def user(uri: str, month: str = MONTH) -> UserKeys:
    """A user's keys for a month."""
    return domain().issue(uri, month, kms_uri=KMS_URI)


@cache
def _issued(period: str) -> tuple[bytes, bytes, bytes]:
    identifier = tel_identifier(GATEWAY, period[:7])
    return (*domain().issue_ssk(identifier), domain().issue_rsk(identifier))


def period_keys(period: str) -> PeriodKeys:
    """The gateway's keys of a period, in fresh holders."""
    ssk, pvt, rsk = _issued(period)
    return PeriodKeys(period=period, kms=kms(), ssk=Secret(ssk), pvt=pvt, rsk=Secret(rsk))


def material(*periods: str, **changes: object) -> KeyMaterial:
    """The gateway's key material for ``periods`` (default: the present one)."""
    values: dict[str, object] = {
        "uri": GATEWAY,
        "domain": "LAB",
        "crs": ("127.0.0.1:5223",),
        "anchor_pin": bytes(range(32)),
        "anchor_ca": None,
        "periods": tuple(period_keys(period) for period in periods or (f"{MONTH}-1",)),
        **changes,
    }
    return KeyMaterial(**values)  # type: ignore[arg-type]
