# SPDX-License-Identifier: GPL-3.0-or-later
"""A trace as lines for a person and as facts for a program."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from cig_common.config.errors import printable
from cig_common.config.model import Interface
from cig_common.config.near import NearMiss
from cig_common.config.routing import Cause, Missing
from cig_common.config.trace import Half, LookedIn, NotRoutableError, Trace, given_uri
from cig_common.uri import MAX_LENGTH

_LABEL_WIDTH = 14
_MOST_MAPS = 8
_MOST_TEXT = 200
_TITLES = {Missing.TO: "Dialled", Missing.FROM: "Caller"}
_REFUSALS = {Interface.SIP: "the SIP caller gets 404", Interface.TEL: "the caller gets `not-found`"}


def text_lines(trace: Trace) -> list[str]:
    """Return the trace as an operator reads it, without an end line."""
    rows = [("Comes in on", str(trace.came_in_on)), ("", "")]
    rows += _half_rows(trace, trace.to)
    rows.append(("", ""))
    if trace.caller is None:
        rows.append(("Caller", "not asked for; with `--from URI` the new from-URI is shown too"))
    else:
        rows += _half_rows(trace, trace.caller)
    rows += [("", ""), _verdict(trace)]
    return [f"{label:<{_LABEL_WIDTH}}{printable(text)}".rstrip() for label, text in rows]


def rejection(trace: Trace) -> str:
    """Return what a rejected trace ends with, after `ERROR: `."""
    return f"rejected: no {trace.rejected}"


def facts(trace: Trace) -> dict[str, Any]:
    """Return the trace as what JSON can hold."""
    rejected = trace.rejected
    return {
        # Without a caller it is only known that the call is not rejected for its to-URI.
        "routed": None if rejected is None and trace.caller is None else rejected is None,
        "rejected": None if rejected is None else rejected.value,
        "file": trace.filename,
        "comes_in_on": trace.came_in_on.value,
        "goes_out_on": None if rejected else trace.goes_out_on.value,
        "to": _half_facts(trace.to),
        "from": None if trace.caller is None else _half_facts(trace.caller),
    }


def _half_rows(trace: Trace, half: Half) -> Iterator[tuple[str, str]]:
    yield _TITLES[half.part], _short(half.received)
    if (stranger := _other_interface(trace, half)) is not None:
        yield "", f"(this is a URI of {stranger}, and the call comes in on {trace.came_in_on})"
    yield from _looked_in_rows(trace, half)
    if (found := half.matched) is not None:
        place = f"{trace.filename}:{found.line}"
        yield "Matched", f"entry {found.entry_name} of map {found.map_name}, {place}"
        yield "", f"{found.pattern}  ->  {found.produces}"
        if found.reduced:
            yield "", f"only without port and parameters: {_short(found.text)}"
        width = max((len(name) for name, _ in found.caught), default=0)
        for name, value in found.caught:
            yield "", f"{name:<{width}} = {_short(value) or '(empty)'}"
        if half.uri is None:
            yield "Would give", _short(found.gives)
    new = f"New {half.part}"
    if half.uri is not None:
        yield new, _short(half.uri)
    else:
        yield new, f"none: {_why(trace, half)}"
        yield from _near_rows(half)
    for warning in half.warnings:
        yield "Warning", f"{warning.place}: {warning.code or 'warning'}: {warning.message}"


def _other_interface(trace: Trace, half: Half) -> Interface | None:
    """Return the interface whose URI this is, where it is not the one that the call came in on."""
    try:
        interface, _ = given_uri(half.received)
    except NotRoutableError:
        return None
    return None if interface is trace.came_in_on else interface


def _looked_in_rows(trace: Trace, half: Half) -> Iterator[tuple[str, str]]:
    label = "Looked in"
    for item in half.looked_in[:_MOST_MAPS]:
        yield label, _looked_in(item)
        label = ""
    if len(half.looked_in) > _MOST_MAPS:
        yield "", f"and {len(half.looked_in) - _MOST_MAPS} more maps"
    if half.looked_in and half.looked_in[0].backwards:
        yield "", f"({trace.goes_out_on} has no source map)"


def _looked_in(item: LookedIn) -> str:
    backwards = ", read backwards" if item.backwards else ""
    return f"map {item.map_name}, {item.statement} of {item.interface}{backwards}"


def _why(trace: Trace, half: Half) -> str:
    if half.cause is Cause.NO_MAP:
        if half.part is Missing.TO:
            return f"{trace.came_in_on} has no extension map"
        return f"{trace.goes_out_on} has neither a source map nor an extension map"
    if half.cause is Cause.NO_MATCH:
        if half.total == 1:
            return "the only entry does not match"
        return f"none of {half.total:,} entries matches"
    return half.why


def _near_rows(half: Half) -> Iterator[tuple[str, str]]:
    """Say what the entries lack, in columns."""
    shown = sum(miss.in_use for miss in half.near)
    label = "Nearest" if half.total > shown else "Entries" if shown > 1 else "Entry"
    several = len(half.looked_in) > 1
    names = [_name(miss, several) for miss in half.near]
    lines = [f"line {miss.line}" for miss in half.near]
    wide, long = max(map(len, names), default=0), max(map(len, lines), default=0)
    for line, name, miss in zip(lines, names, half.near, strict=True):
        if not miss.in_use and label != "":
            label = "Elsewhere"
        yield label, f"{line:<{long}}  {name:<{wide}}  {_short(miss.lacks)}"
        label = ""
    if half.compared < half.total:
        yield "", f"(looked for among {half.compared:,} of them)"


def _name(miss: NearMiss, several: bool) -> str:
    return f"{miss.entry_name} of {miss.map_name}" if several else miss.entry_name


def _verdict(trace: Trace) -> tuple[str, str]:
    if (part := trace.rejected) is not None:
        return "Rejected", f"no {part}: {_REFUSALS[trace.came_in_on]}"
    if trace.caller is None:
        return "Goes out on", f"{trace.goes_out_on}, if the caller gets a new from-URI too"
    return "Goes out on", str(trace.goes_out_on)


def _short(text: str) -> str:
    """Cut a text that is too long to read."""
    if len(text) <= _MOST_TEXT:
        return text
    return f"{text[:_MOST_TEXT]}… ({len(text):,} characters)"


def _half_facts(half: Half) -> dict[str, Any]:
    """Return one half as facts; a text that a caller may have made is never longer than a URI."""
    made = asdict(half)
    made["part"] = half.part.value
    made["received"] = half.received[:MAX_LENGTH]
    made["cause"] = None if half.cause is None else half.cause.value
    made["looked_in"] = made["looked_in"][:_MOST_MAPS]
    made["maps_looked_in"] = len(half.looked_in)
    if half.matched is not None:
        made["matched"]["caught"] = dict(half.matched.caught)
    return made
