# SPDX-License-Identifier: GPL-3.0-or-later
"""cig-cli: the operator's command line, direct and interactive."""
