# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages and framing on the Unix socket between cig-server and cig-relay."""
