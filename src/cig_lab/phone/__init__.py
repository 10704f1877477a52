# SPDX-License-Identifier: GPL-3.0-or-later
"""A secure phone (CCA): UMSG over TLS, MIKEY-SAKKE keys of its own, SRTP through the CRS."""
