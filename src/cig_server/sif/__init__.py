# SPDX-License-Identifier: GPL-3.0-or-later
"""The SIP interface: a trunk towards one or more PBXs, signalling only."""
