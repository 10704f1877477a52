# SPDX-License-Identifier: GPL-3.0-or-later
"""The media plane: SRTP towards the CRS, RTP towards the PBX, and the bridge between them."""
