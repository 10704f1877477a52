# SPDX-License-Identifier: GPL-3.0-or-later
"""The server's side of the control socket to cig-relay."""
