# SPDX-License-Identifier: GPL-3.0-or-later
"""From a matched entry's captures to the URI that is sent onwards.

What a stranger dialled never shapes a URI: in a SIP URI it can only ever become part of the user
(all else of it, host, port and transport, is the configuration's), and a tel URI has one strict
form which what was dialled must fit.
"""

from __future__ import annotations

from collections.abc import Mapping

from cig_common.config.patterns import Kind, Pattern, canonical_tel
from cig_common.uri import (
    SipUri,
    TelUri,
    UriError,
    escape_user,
    parse_target_tail,
    unescape_dialled,
)


def render(pattern: Pattern, values: Mapping[str, str]) -> str:
    """Return the URI that `pattern` gives with `values`. Raises UriError if it gives none."""
    if pattern.kind is Kind.SIP:
        return _render_sip(pattern, values).encode()
    plain = {name: unescape_dialled(value) for name, value in values.items()}
    made = canonical_tel(pattern.substitute(plain))
    TelUri.parse(made)
    return made


def check_target(pattern: Pattern) -> str | None:
    """Return why a SIP pattern can never give a URI, whatever is dialled; None if it can."""
    try:
        _render_sip(pattern, {})
    except UriError as error:
        return str(error)
    return None


def _render_sip(pattern: Pattern, values: Mapping[str, str]) -> SipUri:
    scheme, colon, first = pattern.literals[0].partition(":")
    if not colon or scheme not in ("sip", "sips"):
        raise UriError("the map's side is not a sip: URI")
    user: list[str] = []
    tail: list[str] = []
    part = user if "@" in pattern.text else tail
    names = ("", *pattern.names)
    for name, literal in zip(names, (first, *pattern.literals[1:]), strict=True):
        value = values.get(name, "")
        if part is user:
            user.append(escape_user(value))
            head, at, rest = literal.partition("@")
            user.append(head)
            if at:
                part = tail
                tail.append(rest)
        elif value:
            raise UriError("what was dialled would stand outside the user part")
        else:
            tail.append(literal)
    host, port, transport = parse_target_tail("".join(tail))
    parameters = "" if transport is None else f";transport={transport}"
    made = SipUri(scheme, "".join(user), host, port, parameters)
    if SipUri.parse(made.encode()) != made:
        raise UriError("the result reads as another URI than the map's")
    return made
