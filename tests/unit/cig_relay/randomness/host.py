# SPDX-License-Identifier: GPL-3.0-or-later
"""What this host is: the tests run on a processor without RdRand too, and then do without it."""

from __future__ import annotations

import pytest

from cig_relay.randomness.rdrand import has_rdrand
from cig_relay.randomness.source import NO_RDRAND

HAS_RDRAND = bool(has_rdrand())

OPTIONS = () if HAS_RDRAND else (NO_RDRAND,)
"""What cig-relay and its engines have to be told to start here."""

needs_rdrand = pytest.mark.skipif(not HAS_RDRAND, reason="this processor has no RdRand")
