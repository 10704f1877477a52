# SPDX-License-Identifier: GPL-3.0-or-later
"""The gateway's signalling daemon: UMSG, SIP, routing and the management port."""
