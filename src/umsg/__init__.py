# SPDX-License-Identifier: GPL-3.0-or-later
"""UMSG/1, the URI messaging protocol: framing, messages, session and call machines.

The package does no I/O. Its cores take bytes, events and `now` (seconds of a clock that
never steps back) and give bytes, events and the next deadline. `docs/umsg.md` describes
the protocol.
"""
