# SPDX-License-Identifier: GPL-3.0-or-later
"""The one call machine: a table, the manager that runs it, and the two directions of a call."""
