# SPDX-License-Identifier: GPL-3.0-or-later
"""Texts: between the CRS, the mailboxes on disk and SIP MESSAGE. `service` joins the parts."""
