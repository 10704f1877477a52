# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's key management system (CMS): it stands in for that of a real security domain.

`LabKms` issues keys and knows what it issued; `cig_lab.kms.store` keeps one in a folder, and
`cig_lab.kms.commands` is ``cig-lab kms``.
"""

from cig_lab.kms.ledger import AlreadyIssuedError, Issue, Ledger, months_from
from cig_lab.kms.masters import DOMAIN, KMS_URI, LabKms, Rendezvous, months_for
from cig_lab.kms.phrase import new_passphrase

__all__ = [
    "DOMAIN",
    "KMS_URI",
    "AlreadyIssuedError",
    "Issue",
    "LabKms",
    "Ledger",
    "Rendezvous",
    "months_for",
    "months_from",
    "new_passphrase",
]
