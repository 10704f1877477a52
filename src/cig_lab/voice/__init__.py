# SPDX-License-Identifier: GPL-3.0-or-later
"""What both phones of the lab do with voice: play, record, send and detect digits over RTP."""
