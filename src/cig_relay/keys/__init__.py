# SPDX-License-Identifier: GPL-3.0-or-later
"""The keys of the gateway: the keystore, which of its periods count, and the replay journal."""
