# SPDX-License-Identifier: GPL-3.0-or-later
"""Where cig-relay's random octets come from."""
