# SPDX-License-Identifier: GPL-3.0-or-later
"""A SIP phone of our own: it shares no line with the SIP library that the gateway uses."""
