# SPDX-License-Identifier: GPL-3.0-or-later
"""The relay's side of the control socket: who may speak, what is asked, what is answered."""
