# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's rendezvous server (CRS): UMSG over TLS, and the SRTP forwarder with STUN.

It holds no user's key: it knows the KMS's public key only, to check who connects.
"""

from cig_lab.crs.server import CrsServer
from cig_lab.crs.stats import CrsStats

__all__ = ["CrsServer", "CrsStats"]
