# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's KMS in memory: master keys, what was issued with them, and issuing.

It draws its own master secrets at start, so that keys of one run are worth nothing in another,
unless it is given those of a store (`cig_lab.kms.store`). After a compromise it draws new ones:
the next generation, under which every later key is made.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from cig_lab.kms.ledger import Issue, Ledger
from cig_lab.kms.phrase import new_passphrase
from cig_material import document
from cig_material.material import KeyMaterial, KmsParameters, PeriodKeys
from cig_material.seal import DEFAULT_COST, Cost, passphrase_from, seal
from mikey_sakke.identifiers import tel_identifier
from mikey_sakke.keys import UserKeys
from mikey_sakke.kms import MasterKeys
from mikey_sakke.periods import acceptable_months
from mikey_sakke.secret import Secret

DOMAIN = "cig-lab"
KMS_URI = "kms.cig-lab.example"


def months_for(now: float) -> tuple[str, ...]:
    """Give the months whose keys count at ``now`` (UTC seconds), oldest first."""
    return tuple(sorted(acceptable_months(now)))


@dataclass(frozen=True, slots=True)
class Rendezvous:
    """Where the domain's members meet: CRS as ``host:port``, and the anchor of their trust."""

    crs: tuple[str, ...]
    pin: bytes | None
    ca: str | None


class LabKms:
    """Issues keys of one security domain."""

    def __init__(
        self,
        *,
        domain: str = DOMAIN,
        kms_uri: str = KMS_URI,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
        utc: Callable[[], float] = time.time,
        masters: Sequence[MasterKeys] = (),
        issues: Iterable[Issue] = (),
    ) -> None:
        self.domain = domain
        self.kms_uri = kms_uri
        self.ledger = Ledger(issues)
        self._random = random_bytes
        self._utc = utc
        self._masters = list(masters) or [MasterKeys.generate(random_bytes)]

    @property
    def masters(self) -> tuple[MasterKeys, ...]:
        """The master keys of each generation, the first one first."""
        return tuple(self._masters)

    @property
    def generation(self) -> int:
        """The number of the master keys in use, from 1."""
        return len(self._masters)

    @property
    def kpak(self) -> bytes:
        """The KMS's public authentication key in use, 65 octets (RFC 6507)."""
        return self._masters[-1].kpak

    def kpak_of(self, uri: str, month: str, revision: int) -> bytes | None:
        """Give the KPAK under which keys were issued; None if they never were or are withdrawn."""
        issue = self.ledger.find(uri, month, revision)
        if issue is None or issue.withdrawn_at is not None:
            return None
        return self._masters[issue.generation - 1].kpak

    def issue(
        self, uri: str, months: Iterable[str], *, reissue: bool = False
    ) -> tuple[PeriodKeys, ...]:
        """Issue keys of these months, each in its next revision, and enter them into the ledger.

        Raises `AlreadyIssuedError`, and nothing is issued, if those of a month are in use and
        ``reissue`` is not set; `IdentifierError` for a URI or month of a wrong form.
        """
        wanted = tuple(dict.fromkeys(months))
        self.require_issuable(uri, wanted, reissue=reissue)
        return tuple(self._issue(uri, month) for month in wanted)

    def require_issuable(self, uri: str, months: Iterable[str], *, reissue: bool = False) -> None:
        """Raise what `issue` would raise."""
        wanted = tuple(months)
        for month in wanted:
            tel_identifier(uri, month)
        if not reissue:
            self.ledger.require_free(uri, wanted)

    def material(
        self, uri: str, months: Iterable[str], meeting: Rendezvous, *, reissue: bool = False
    ) -> KeyMaterial:
        """Issue what a gateway gets. Raises as `issue` does, and ValueError for a wrong form."""
        return KeyMaterial(
            uri=uri,
            domain=self.domain,
            crs=meeting.crs,
            anchor_pin=meeting.pin,
            anchor_ca=meeting.ca,
            periods=self.issue(uri, months, reissue=reissue),
        )

    def revoke(self, uri: str, *, month: str | None = None) -> tuple[Issue, ...]:
        """Withdraw a URI's keys of ``month``, or of all months that count now or later."""
        return self.ledger.withdraw(at=self._now(), uri=uri, month=month, since=self._since())

    def renew(self) -> tuple[Issue, ...]:
        """Draw new master keys, the old ones being compromised; all keys are withdrawn.

        Gives what was withdrawn. Nobody of the domain can speak to anybody before both have keys
        of the new generation.
        """
        self._masters.append(MasterKeys.generate(self._random))
        return self.ledger.withdraw(at=self._now())

    # --- for tests and the demo: each call is one more revision ------------------------------

    def user_keys(self, uri: str, months: Iterable[str]) -> Mapping[str, UserKeys]:
        """Issue a user's keys; the map's names are periods, ``YYYY-MM-REVISION``."""
        return {
            keys.period: UserKeys(
                uri,
                keys.month,
                keys.kms.kpak,
                keys.kms.z,
                keys.ssk.reveal(),
                keys.pvt,
                keys.rsk.reveal(),
                kms_uri=keys.kms.uri,
            )
            for keys in self.issue(uri, months, reissue=True)
        }

    def gateway_material(
        self, uri: str, months: Iterable[str], *, crs: str, anchor_pin: bytes
    ) -> KeyMaterial:
        """Issue what a gateway gets: its keys, the CRS as ``host:port``, and the CRS's pin."""
        return self.material(uri, months, Rendezvous((crs,), anchor_pin, None), reissue=True)

    def sealed_material(
        self,
        uri: str,
        months: Iterable[str],
        *,
        crs: str,
        anchor_pin: bytes,
        cost: Cost = DEFAULT_COST,
    ) -> tuple[bytes, str]:
        """Issue the same sealed; gives it and the passphrase that was drawn for it."""
        material = self.gateway_material(uri, months, crs=crs, anchor_pin=anchor_pin)
        phrase = new_passphrase(self._random)
        sealed = seal(
            document.encode(material),
            passphrase_from(phrase),
            random_bytes=self._random,
            cost=cost,
        )
        return sealed, phrase

    def _issue(self, uri: str, month: str) -> PeriodKeys:
        masters = self._masters[-1]
        issue = self.ledger.record(uri, month, generation=self.generation, at=self._now())
        identifier = tel_identifier(uri, month)
        ssk, pvt = masters.issue_ssk(identifier, random_bytes=self._random)
        rsk = masters.issue_rsk(identifier)
        kms = KmsParameters(self.kms_uri, masters.kpak, masters.z_public)
        return PeriodKeys(issue.period, kms, Secret(ssk), pvt, Secret(rsk))

    def _now(self) -> int:
        return int(self._utc())

    def _since(self) -> str:
        return min(acceptable_months(self._utc()))
