# SPDX-License-Identifier: GPL-3.0-or-later
"""Which mailboxes a text from the secure side is for; whom a text from a mailbox is from and to.

1. A text from the secure side goes to every `write` mailbox both of whose maps match: `map_from`
   its source URI and `map_to` its target URI, as tel URIs compare.
2. What comes out stands in a header between `<` and `>` on one line, and the manual lets it be
   whatever the other system likes. A value that would break the line or the brackets is none: the
   mailbox then does not match.
3. Of a message in a `read` mailbox `map_from` must give a tel URI of the gateway's own, with or
   without an extension, and `map_to` one that is not the gateway's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cig_common.config import Configuration, Mailbox, MailboxKind, TranslateMap
from cig_common.config.errors import printable, shortened
from cig_common.config.patterns import canonical_tel
from cig_common.config.translate import Translation, translate
from cig_common.uri import TelUri, UriError

MAX_ADDRESS_OCTETS = 990
"""With `From: <` and `>` around it: 998, which a line may have (RFC 5322 section 2.1.1)."""


class MappingError(ValueError):
    """A message whose addresses give no tel URIs that it could be sent with.

    The text is for an operator: the header, the map, and what came out.
    """


@dataclass(frozen=True, slots=True)
class Target:
    """A write mailbox that a text is for: what its From and To headers hold between `<` and `>`.

    `by_from` and `by_to` tell by which rules.
    """

    mailbox: Mailbox
    from_value: str
    to_value: str
    by_from: Translation
    by_to: Translation


@dataclass(frozen=True, slots=True)
class Addresses:
    """Whom a message from a mailbox is from and to: tel URIs in canonical form."""

    from_uri: str
    to_uri: str


def targets(
    configuration: Configuration,
    from_uri: str,
    to_uri: str,
    tell: Callable[[str], None] | None = None,
) -> tuple[Target, ...]:
    """Return the write mailboxes that a text is for, in the order of the file.

    The URIs are tel URIs as they came. `tell` is given, for an operator, why a mailbox whose maps
    both match is left out all the same: its value cannot stand in a header.
    """
    source, target = canonical_tel(from_uri), canonical_tel(to_uri)
    found = []
    for mailbox in configuration.mailboxes:
        if mailbox.kind is not MailboxKind.WRITE:
            continue
        by_from = translate(mailbox.map_from, source)
        by_to = translate(mailbox.map_to, target) if by_from is not None else None
        if by_from is None or by_to is None:
            continue
        faults = _fault("From", by_from) or _fault("To", by_to)
        if not faults:
            found.append(Target(mailbox, by_from.value, by_to.value, by_from, by_to))
        elif tell is not None:
            tell(f"mailbox {mailbox.path} does not get a text: {faults}")
    return tuple(found)


def read_addresses(mailbox: Mailbox, own: str, from_header: str, to_header: str) -> Addresses:
    """Return the addresses of a message that lies in a `read` mailbox.

    `own` is the gateway's tel URI without extension; the headers are what stands between `<` and
    `>`. Raises MappingError.
    """
    own_number = TelUri.parse(own).number
    source = _tel("From", mailbox.map_from, from_header)
    target = _tel("To", mailbox.map_to, to_header)
    if source.number != own_number:
        raise MappingError(
            f"From must become this gateway's own {own}, and translate_map "
            f"`{mailbox.map_from.name}` makes it {source.encode()}"
        )
    if target.number == own_number:
        raise MappingError(
            "To must become the tel URI of a secure user, and translate_map "
            f"`{mailbox.map_to.name}` makes it this gateway's own {target.encode()}"
        )
    return Addresses(source.encode(), target.encode())


def _tel(header: str, translate_map: TranslateMap, value: str) -> TelUri:
    """Return the tel URI that the map makes of a header's value. Raises MappingError."""
    found = translate(translate_map, value)
    if found is None:
        raise MappingError(
            f"no rule of translate_map `{translate_map.name}` matches {header} {_quoted(value)}"
        )
    try:
        return TelUri.parse(canonical_tel(found.value))
    except UriError as error:
        raise MappingError(
            f"rule {found.number} of translate_map `{translate_map.name}`, "
            f"line {found.rule.position.line}, makes {_quoted(found.value)} of {header} "
            f"{_quoted(value)}, which is no tel URI: {error}"
        ) from None


def _fault(header: str, found: Translation) -> str:
    """Return why a value cannot stand in a header, or nothing where it can."""
    value = found.value
    if not value.isprintable():
        what = "holds a control character"
    elif "<" in value or ">" in value:
        what = "holds `<` or `>`"
    elif len(value.encode()) > MAX_ADDRESS_OCTETS:
        what = f"is longer than {MAX_ADDRESS_OCTETS} octets"
    else:
        return ""
    line = found.rule.position.line
    return (
        f"what rule {found.number} of translate_map `{found.map_name}`, line {line}, "
        f"makes for {header} {what}"
    )


def _quoted(value: str) -> str:
    """Return a value for an operator: on one line, cut to a fit length."""
    return shortened(f"`{printable(value)}`")
