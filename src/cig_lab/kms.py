# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's KMS: it stands in for the CMS of a real security domain.

It draws its own master secrets at start, so that keys of one run are worth nothing in another,
and keeps them in memory alone.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping

from cig_material.material import KeyMaterial, KmsParameters, PeriodKeys
from mikey_sakke.identifiers import tel_identifier
from mikey_sakke.keys import UserKeys
from mikey_sakke.kms import MasterKeys
from mikey_sakke.periods import acceptable_months
from mikey_sakke.secret import Secret

DOMAIN = "cig-lab"
KMS_URI = "kms.cig-lab.example"
REVISION = 1
"""The revision of every key that the lab issues."""


def months_for(now: float) -> tuple[str, ...]:
    """Give the months whose keys count at ``now`` (UTC seconds), oldest first."""
    return tuple(sorted(acceptable_months(now)))


class LabKms:
    """Issues keys of one security domain."""

    def __init__(
        self,
        *,
        domain: str = DOMAIN,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self.domain = domain
        self._random = random_bytes
        self._masters = MasterKeys.generate(random_bytes)

    @property
    def kpak(self) -> bytes:
        """The KMS's public authentication key, 65 octets (RFC 6507)."""
        return self._masters.kpak

    def user_keys(self, uri: str, months: Iterable[str]) -> Mapping[str, UserKeys]:
        """Issue a user's keys; the map's names are periods, ``YYYY-MM-REVISION``."""
        return {
            f"{month}-{REVISION}": self._masters.issue(
                uri, month, kms_uri=KMS_URI, random_bytes=self._random
            )
            for month in months
        }

    def gateway_material(
        self, uri: str, months: Iterable[str], *, crs: str, anchor_pin: bytes
    ) -> KeyMaterial:
        """Issue what a gateway gets: its keys, the CRS as ``host:port``, and the CRS's pin."""
        return KeyMaterial(
            uri=uri,
            domain=self.domain,
            crs=(crs,),
            anchor_pin=anchor_pin,
            anchor_ca=None,
            periods=tuple(self._period_keys(uri, month) for month in months),
        )

    def _period_keys(self, uri: str, month: str) -> PeriodKeys:
        identifier = tel_identifier(uri, month)
        ssk, pvt = self._masters.issue_ssk(identifier, random_bytes=self._random)
        rsk = self._masters.issue_rsk(identifier)
        kms = KmsParameters(KMS_URI, self._masters.kpak, self._masters.z_public)
        return PeriodKeys(f"{month}-{REVISION}", kms, Secret(ssk), pvt, Secret(rsk))
