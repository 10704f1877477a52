# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps of setting the project up, one module each; tools/setup.py takes them in order.

Nothing but Python's standard library is used, because these steps run before anything else is
installed.
"""
