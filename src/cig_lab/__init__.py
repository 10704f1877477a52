# SPDX-License-Identifier: GPL-3.0-or-later
"""Test peers for the gateway: a KMS, a CRS, a secure phone, a SIP phone, and the demo.

Nothing in an installation imports this package. Its peers are written apart from the gateway's own
code wherever both sides speak a protocol, so that a mistake in one is not hidden by the other.
"""
