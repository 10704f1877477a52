# SPDX-License-Identifier: GPL-3.0-or-later
"""What the gateway's programs share: configuration, URIs, clocks, logs, control messages."""
