# SPDX-License-Identifier: GPL-3.0-or-later
"""What cig-relay knows in secret: the keystore, the crypto engines, the replay journal."""
