# SPDX-License-Identifier: GPL-3.0-or-later
"""The management port: 127.0.0.1:8083, lines of UTF-8, the command tables of the manual."""
