# SPDX-License-Identifier: GPL-3.0-or-later
"""HMAC_DRBG with SHA-256: NIST SP 800-90A Rev. 1, section 10.1.2. A core: it is given its entropy.

The security strength is 256 bits. Names and steps are those of the standard; where it speaks of a
handle to the state, that is an object here. There is no uninstantiate: drop the object.
"""

from __future__ import annotations

import hmac

from mikey_sakke.secret import Guarded

OUTPUT_OCTETS = 32
"""Octets of one HMAC, and of the key and the value V that are the state."""
MIN_ENTROPY = 32
"""Octets that an entropy input has at least: as many as the security strength has bits."""
MIN_NONCE = 16
"""Octets that a nonce has at least: half the security strength (section 8.6.7)."""
MAX_REQUEST = 1 << 16
"""Octets that one request may ask for (table 2: 2^19 bits)."""
MAX_INTERVAL = 1 << 48
"""Requests that may be served between two reseeds (table 2)."""


class HmacDrbg(Guarded):
    """One instantiation. ``reseed_interval`` is how many requests a seed serves.

    ``entropy`` has to be fresh and unpredictable, ``nonce`` never used before;
    ``personalization`` tells this instantiation from all others and needs not be secret.
    """

    __slots__ = ("_interval", "_key", "_served", "_v")

    def __init__(
        self,
        entropy: bytes,
        nonce: bytes,
        personalization: bytes = b"",
        *,
        reseed_interval: int = MAX_INTERVAL,
    ) -> None:
        _check_entropy(entropy)
        if len(nonce) < MIN_NONCE:
            raise ValueError(f"a nonce of {len(nonce)} octets is too short: {MIN_NONCE} are needed")
        if not 1 <= reseed_interval <= MAX_INTERVAL:
            raise ValueError(f"a reseed interval is 1 to {MAX_INTERVAL}, not {reseed_interval}")
        self._interval = reseed_interval
        self._key = bytes(OUTPUT_OCTETS)
        self._v = b"\x01" * OUTPUT_OCTETS
        self._update(entropy + nonce + personalization)
        self._served = 0

    @property
    def reseed_due(self) -> bool:
        """Whether the seed has served all the requests that it may."""
        return self._served >= self._interval

    def reseed(self, entropy: bytes, additional: bytes = b"") -> None:
        """Mix fresh entropy into the state (section 10.1.2.4)."""
        _check_entropy(entropy)
        self._update(entropy + additional)
        self._served = 0

    def generate(self, count: int, additional: bytes = b"", *, entropy: bytes = b"") -> bytes:
        """Give ``count`` octets (section 10.1.2.5); raises ValueError while `reseed_due`.

        ``entropy`` asks for prediction resistance: it is mixed in first, and what is given cannot
        be foretold even by one who knew the whole state before (section 9.3.1, step 7).
        """
        if not 0 <= count <= MAX_REQUEST:
            raise ValueError(f"a request is for 0 to {MAX_REQUEST} octets, not {count}")
        if entropy:
            self.reseed(entropy, additional)
            additional = b""
        if self.reseed_due:
            raise ValueError("the seed has served its requests: reseed first")
        if additional:
            self._update(additional)
        blocks = []
        for _ in range(-(-count // OUTPUT_OCTETS)):
            self._v = hmac.digest(self._key, self._v, "sha256")
            blocks.append(self._v)
        self._update(additional)
        self._served += 1
        return b"".join(blocks)[:count]

    def _update(self, data: bytes) -> None:
        """Make a new key and V out of the old ones and ``data`` (section 10.1.2.2)."""
        for separator in (b"\x00", b"\x01") if data else (b"\x00",):
            self._key = hmac.digest(self._key, self._v + separator + data, "sha256")
            self._v = hmac.digest(self._key, self._v, "sha256")


def _check_entropy(entropy: bytes) -> None:
    if len(entropy) < MIN_ENTROPY:
        raise ValueError(
            f"an entropy input of {len(entropy)} octets is too short: {MIN_ENTROPY} are needed"
        )
