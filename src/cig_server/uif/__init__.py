# SPDX-License-Identifier: GPL-3.0-or-later
"""UIF: the gateway's interface to the secure domain, a UMSG client of the CRS."""
