# SPDX-License-Identifier: GPL-3.0-or-later
"""The crypto engines: processes that hold the keys and compute with them, and their pool."""
