# SPDX-License-Identifier: GPL-3.0-or-later
"""The content of texts: MIME entities (RFC 2045 to 2049), read and written in pieces."""
