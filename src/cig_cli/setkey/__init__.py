# SPDX-License-Identifier: GPL-3.0-or-later
"""`cig-cli set-key`: brings sealed key material to cig-relay, step by step or from a script.

cig-cli opens nothing: what it reads is sealed, and so it goes to cig-relay together with the
passphrase. What is shown before the keys are installed is what cig-relay found.
"""
