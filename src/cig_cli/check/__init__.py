# SPDX-License-Identifier: GPL-3.0-or-later
"""`cig-cli check`: does this host have what the gateway needs, and if not, what is to be done.

Each check is a small function that gives rows. It looks and changes nothing: ports are bound for a
moment, names are looked up, no packet is sent to a PBX or a CRS. No server is needed, and what
only root may see is left out for others, and said to be.
"""
