# SPDX-License-Identifier: GPL-3.0-or-later
"""The tables of docs/umsg.md, made from the tables of the code."""

from umsg.call_table import TABLES, CallInput, CallRole, CallState


def table_of(role: CallRole) -> str:
    """Return the Markdown table of a role, in the order of states and inputs."""
    lines = ["| state | input | next | action |", "| --- | --- | --- | --- |"]
    for state in CallState:
        for input_ in CallInput:
            entry = TABLES[role].get((state, input_))
            if entry is not None:
                lines.append(f"| {state} | {input_.value} | {entry[0]} | {entry[1].value} |")
    return "\n".join(lines)
