# SPDX-License-Identifier: GPL-3.0-or-later
"""The relay daemon: it owns every key, every media socket and the crypto engines."""
