# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may come in: the check of an `auth` against the KMS's public key."""

from collections.abc import Callable

from mikey_sakke import MikeySakkeError, eccsi
from mikey_sakke.identifiers import tel_identifier
from mikey_sakke.periods import acceptable_months
from umsg.events import AuthWanted

MONTH_LENGTH = len("YYYY-MM")
MAX_REVISIONS = 100_000
"""(URI, month) pairs whose highest revision is remembered."""

IssuedUnder = Callable[[str, str, int], bytes | None]
"""Takes a URI, a month and a revision; gives the KPAK (65 octets) under which the KMS issued those
keys, or None if it never did or has withdrawn them."""


class Authenticator:
    """Checks signatures: calling it with a request tells what is wrong with that, or None.

    A period must be of a month whose keys count now, and of that month the highest
    revision that a valid signature of this URI has shown so far: older keys may be stolen.
    Where the KMS tells what it has issued, keys that it has withdrawn are refused at once, and
    after a compromise of the KMS each key is checked with the KPAK that it was issued under.
    """

    def __init__(self, kpak: bytes, issued_under: IssuedUnder | None = None) -> None:
        self._issued_under: IssuedUnder = issued_under or (lambda _uri, _month, _revision: kpak)
        self._revisions: dict[tuple[str, str], int] = {}

    def __call__(self, request: AuthWanted, utc: float) -> str | None:
        """Check a request at a UTC time; return what is wrong with it, or None."""
        month = request.period[:MONTH_LENGTH]
        revision = int(request.period[MONTH_LENGTH + 1 :])
        key = (request.uri, month)
        if month not in acceptable_months(utc):
            return f"keys of {month} do not count now"
        if revision < self._revisions.get(key, 0):
            return f"revision {revision} of {month} is superseded"
        kpak = self._issued_under(request.uri, month, revision)
        if kpak is None:
            return f"revision {revision} of {month} is withdrawn, or was never issued"
        try:
            identifier = tel_identifier(request.uri, month)
            eccsi.verify(request.sig, request.text, identifier=identifier, kpak=kpak)
        except MikeySakkeError:
            return "wrong signature"
        if len(self._revisions) >= MAX_REVISIONS:
            self._revisions.pop(next(iter(self._revisions)))
        self._revisions[key] = revision
        return None
