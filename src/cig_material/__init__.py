# SPDX-License-Identifier: GPL-3.0-or-later
"""Key material: what a CMS issues to a gateway, as values, as a document, sealed, and as cig.raw.

Whoever imports this package may come to hold keys; cig_server and cig_cli do not.
"""
