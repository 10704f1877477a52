# SPDX-License-Identifier: GPL-3.0-or-later
"""Warnings about single entries: what one entry's two texts say (W105, W106, W107, W111).

A map may have a million entries, nearly all of one plain form in which nothing can be wrong. So
one regular expression passes these, and only the others are judged by the rules, which go by the
texts as written. An `Entry` is made for what is told alone.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from cig_common.config.lint_tel import may_be_tel
from cig_common.config.lookup import slip
from cig_common.config.model import Interface
from cig_common.config.patterns import (
    Kind,
    canonical_tel,
    split_literals,
    split_pattern,
)
from cig_common.config.render import check_target
from cig_common.uri import TelUri, UriError

DISCARD = "discard"
"""A parameter whose name begins so is meant to be empty where the other side lacks it."""

_NAME = r"[A-Za-z][A-Za-z0-9_.-]*+"
_USER = r"[A-Za-z0-9\-_.!~*'()&=+$,;?/]"
_LABEL = r"[A-Za-z0-9]++(?:-++[A-Za-z0-9]++)*+"
_OCTET = r"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_HOST = rf"(?:(?:{_LABEL}\.)*+(?=[A-Za-z]){_LABEL}|(?:{_OCTET}\.){{3}}{_OCTET}(?![0-9.]))"
_TARGET = rf"{_HOST}(?::[1-9][0-9]{{0,3}})?+(?:[;:]transport=(?:udp|tcp|tls))?+"


def _fair(target: str) -> re.Pattern[str]:
    """Compile what nearly every entry looks like, the sip text first, NUL between the two."""
    parameter = rf"\{{{_NAME}\}}"
    return re.compile(
        rf"sips?:(?:{_USER}++|{parameter}(?!\{{))*+@{target}\0"
        rf"tel:\+(?=[0-9{{])[0-9]{{0,15}}+(?:{parameter}(?![-.(){{]))?+"
        rf"(?:;(?:[A-Za-z0-9*#+._-]|{parameter}(?!\{{)){{0,64}}+)?+"
    )


_FAIR_TO_MATCH = _fair(rf"(?:{_TARGET})?(?:\{{{_NAME}\}})?+")
_FAIR_TO_MAKE = _fair(rf"{_TARGET}(?:\{{{DISCARD}[A-Za-z0-9_.-]*+\}})?+")
_PARAMETER = re.compile(r"\{([^}]*)\}")
_ADJACENT = re.compile(r"\}[-.()]*+\{")
_USER_PART = re.compile(rf"sips?:(?:{_USER}|\{{{_NAME}\}})*+@")
_TEL_HINT = "what goes out is `tel:+`, 1 to 15 digits, then perhaps `;` and an extension"


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong with an entry: at `offset` in the text of `side`; None: with all of it."""

    code: str
    side: Interface | None
    offset: int
    message: str
    hint: str | None = None


def judge(sip: str, tel: str, makes: Collection[Interface]) -> Iterator[Finding]:
    """Yield what is wrong with an entry of these texts, of which those of `makes` are produced."""
    if not _is_fair(sip, tel, makes):
        yield from judge_closely(sip, tel, makes)


def judge_closely(sip: str, tel: str, makes: Collection[Interface]) -> Iterator[Finding]:
    """Yield what `judge` yields, by the rules alone: for an entry that is not of the plain form."""
    yield from _adjacent(sip, Interface.SIP)
    yield from _adjacent(tel, Interface.TEL)
    scheme = _wrong_scheme(sip, tel)
    if scheme is not None:
        yield scheme
        return
    if Interface.SIP in makes:
        yield from _made(Interface.SIP, sip, _names(tel), _sip_fault(sip))
    if Interface.TEL in makes:
        names = _names(sip)
        yield from _made(Interface.TEL, tel, names, _tel_fault(tel, names))


def _is_fair(sip: str, tel: str, makes: Collection[Interface]) -> bool:
    """Tell fast that nothing is wrong with an entry. False: it must be looked at closely."""
    fair = _FAIR_TO_MAKE if Interface.SIP in makes else _FAIR_TO_MATCH
    if not fair.fullmatch(f"{sip}\0{tel}"):
        return False
    in_sip, in_tel = _names(sip), _names(tel)
    return in_sip == in_tel or not (
        (Interface.SIP in makes and _unfilled(in_sip, in_tel))
        or (Interface.TEL in makes and not set(in_tel).issubset(in_sip))
    )


def adjacent_names(text: str, kind: Kind) -> Iterator[tuple[int, str, str]]:
    """Yield (offset, name, next name) for each parameter that has another one right behind it.

    Separators between two parameters of a tel number do not count, as everywhere.
    """
    if _ADJACENT.search(text) is None:
        return
    parameters = list(_PARAMETER.finditer(text))
    for index, literal in enumerate(split_literals(text, kind)[1:-1]):
        if not literal:
            left, right = parameters[index], parameters[index + 1]
            yield left.start(), left[1], right[1]


def adjacent_message(left: str, right: str) -> tuple[str, str]:
    """Return the message and the hint for two parameters side by side."""
    message = f"`{{{left}}}` has `{{{right}}}` right behind it and is always empty"
    return message, f"remove `{{{left}}}`, or put between the two what stands there in the address"


def _adjacent(text: str, side: Interface) -> Iterator[Finding]:
    for offset, left, right in adjacent_names(text, side.kind):
        yield Finding("W106", side, offset, *adjacent_message(left, right))


_NO_CALL = "as it stands the entry serves no ordinary call"


def _wrong_scheme(sip: str, tel: str) -> Finding | None:
    is_sip = {side: _is_sip(text) for side, text in (("sip", sip), ("tel", tel))}
    is_tel = {side: _is_tel(text) for side, text in (("sip", sip), ("tel", tel))}
    if is_sip["sip"] and is_tel["tel"]:
        return None
    if is_sip["tel"] and is_tel["sip"]:
        message = "its `sip` text is a tel: URI and its `tel` text a sip: URI"
        hint = f"the two sides look swapped; {_NO_CALL}"
        return Finding("W105", None, 0, message, hint)
    if is_tel["tel"]:
        return Finding("W105", Interface.SIP, 0, "its `sip` text is no sip: URI", _NO_CALL)
    if is_sip["sip"]:
        return Finding("W105", Interface.TEL, 0, "its `tel` text is no tel: URI", _NO_CALL)
    message = "its `sip` text is no sip: URI and its `tel` text no tel: URI"
    return Finding("W105", None, 0, message, _NO_CALL)


def _is_sip(text: str) -> bool:
    return text[:5].lower().startswith(("sip:", "sips:"))


def _is_tel(text: str) -> bool:
    return text[:4].lower() == "tel:"


def _made(
    side: Interface, text: str, filled: Sequence[str], fault: str | None
) -> Iterator[Finding]:
    """Judge the text of a side that is produced.

    `filled` are the parameters of the other side; `fault` is what keeps it from ever being sent.
    """
    if fault is not None:
        hint = _TEL_HINT if side is Interface.TEL else None
        kind = "tel" if side is Interface.TEL else "SIP"
        yield Finding("W107", side, 0, f"it gives no {kind} URI to send: {fault}", hint)
        return
    empty = _unfilled(_names(text), filled)
    for parameter in _PARAMETER.finditer(text):
        name = parameter[1]
        if name not in empty:
            continue
        message = f"the {side.other} text has no `{{{name}}}`, so here it is always empty"
        hint = _hint(name, tuple(filled))
        yield Finding("W111", side, parameter.start(), message, hint)


@lru_cache(maxsize=256)
def _hint(name: str, filled: tuple[str, ...]) -> str:
    """Tell what to do about a parameter that is never filled, given those that are."""
    return slip(name, list(filled)) or f"if that is meant, name it `{{{DISCARD}}}` or remove it"


def _unfilled(names: Sequence[str], filled: Sequence[str]) -> list[str]:
    """Return the names that are always empty and do not say that this is meant."""
    return [name for name in names if name not in filled and not name.lower().startswith(DISCARD)]


def _names(text: str) -> list[str]:
    return _PARAMETER.findall(text)


def _sip_fault(text: str) -> str | None:
    """Return why a SIP text can never give a URI, whatever is dialled; None if it can."""
    user = _USER_PART.match(text)
    if user is None:
        return check_target(split_pattern(text, Kind.SIP))
    return _tail_fault(text[user.end() :])


@lru_cache(maxsize=4096)
def _tail_fault(tail: str) -> str | None:
    """Judge what follows the `@`: many entries share it."""
    return check_target(split_pattern(f"sip:@{tail}", Kind.SIP))


def _tel_fault(text: str, filled: Collection[str]) -> str | None:
    """Return why a tel text can never give a URI, whatever is dialled; None if it can."""
    for value in ("", "0"):
        try:
            TelUri.parse(canonical_tel(_PARAMETER.sub(value, text)))
        except UriError:
            continue
        if not value or set(_names(text)).issubset(filled):
            return None
    if may_be_tel(split_pattern(text, Kind.TEL), filled):
        return None
    return "it can never be a number with its country code"
