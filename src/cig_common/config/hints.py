# SPDX-License-Identifier: GPL-3.0-or-later
"""Says what is wrong with a word, and what to write instead."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from ipaddress import ip_address
from itertools import pairwise

from cig_common.config.model import MAX_CALLS, MAX_RETRY_HOURS, IpAddress
from cig_common.config.patterns import NAME
from cig_common.config.statements import Arg
from cig_common.config.syntax import Word

NO_CLOSING_QUOTE = ("this text has no closing quote", "a text ends on the line it begins on")
NAME_RULE = "a name is a letter, then letters, digits, `_`, `-` or `.`"
FOREIGN_SIGNS = frozenset(("=", ":", ":=", "=>", "->", "-", ",", "|", "\N{FULLWIDTH SEMICOLON}"))
"""Signs that other configuration languages have between words, and this one has not."""

_WRONG_QUOTES = "'`\u2018\u2019\u201c\u201d\u201e\u00ab\u00bb"
_FOUR_NUMBERS = re.compile(r"(\d{1,9})\.(\d{1,9})\.(\d{1,9})\.(\d{1,9})", re.ASCII)
_HOST_NAME = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*\.?", re.ASCII)
_TRUTHS = {"true": ("yes", "on", "1", "y", "enable", "enabled"), "false": ("no", "off", "0", "n")}


def broken(words: Sequence[Word]) -> tuple[Word, str, str] | None:
    """Return the word of a statement that makes all its others meaningless, what, and a hint."""
    for index, word in enumerate(words):
        if word.open_string:
            before = [other for other in words[: index + 1] if other.line == word.line]
            return glued(before) or word, *NO_CLOSING_QUOTE
        if word.open_comment:
            return word, "this comment is never closed", "add `*/` where it ends"
        if not word.quoted and word.text[0] in _WRONG_QUOTES:
            return word, "a text in the wrong quotes", 'use straight double quotes: "'
    return None


def glued(words: Sequence[Word]) -> Word | None:
    """Return the text that a word stands right behind, or None.

    A closing quote in front of a word is another text's opening quote: the text's own is missing.
    """
    for word, after in pairwise(words):
        end = (word.line, word.column + len(word.text) + 1)
        begins = (after.line, after.column - after.quoted)
        if word.quoted and end == begins and after.text[:1].isalnum():
            return word
    return None


def misfit(kind: Arg, word: Word) -> str | None:
    """Return None where `word` is of the kind; otherwise a hint, which may be empty."""
    if word.quoted != (kind is Arg.STRING):
        if word.quoted:
            return "write it without quotes"
        wrong = word.text[:1] in _WRONG_QUOTES
        return (
            'use straight double quotes: "' if wrong else f'put it in double quotes: "{word.text}"'
        )
    match kind:
        case Arg.NAME | Arg.MAP | Arg.TRANSLATE_MAP:
            return None if NAME.fullmatch(word.text) else odd(word) or NAME_RULE
        case Arg.ADDRESS:
            return None if address(word) is not None else odd(word) or _address_hint(word.text)
        case Arg.PORT:
            return None if port(word) is not None else odd(word) or _port_hint(word.text)
        case Arg.CALLS:
            return None if calls(word) is not None else odd(word) or ""
        case Arg.HOURS:
            return None if hours(word) is not None else odd(word) or ""
        case Arg.BOOL:
            return None if word.text in _TRUTHS else odd(word) or _bool_hint(word.text)
        case Arg.STRING:
            return None


def address(word: Word) -> IpAddress | None:
    """Return the IP address that a word is, or None."""
    try:
        return ip_address(word.text)
    except ValueError:
        return None


def port(word: Word) -> int | None:
    """Return the port number that a word is, or None."""
    return _number(word.text, 65535)


def calls(word: Word) -> int | None:
    """Return the number of calls that a word is, or None."""
    return _number(word.text, MAX_CALLS)


def hours(word: Word) -> int | None:
    """Return the number of hours that a word is, or None."""
    return _number(word.text, MAX_RETRY_HOURS)


def joined(parts: Sequence[str]) -> str:
    """Return `a, b and c`."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _number(text: str, most: int) -> int | None:
    """Return the number from 1 to `most` that a text is, or None."""
    if not (text.isascii() and text.isdigit() and len(text) <= 5):
        return None
    number = int(text)
    return number if 0 < number <= most else None


def odd(word: Word) -> str | None:
    """Return a hint about a character that looks right and is not, or that does not show."""
    for char in word.text[:100]:
        if char.isascii():
            continue
        if not char.isprintable():
            return f"remove the character U+{ord(char):04X} in it, which does not show"
        plain = unicodedata.normalize("NFKC", char)
        if plain.isascii():
            return f"`{char}` in it is U+{ord(char):04X}; write a plain `{plain}`"
    if word.text.endswith(",") and len(word.text) > 1:
        return "write it without the comma"
    return None


def _address_hint(text: str) -> str:
    bare = text.strip("[]")
    host, slash, _ = text.partition("/")
    if slash and _is_address(host):
        return f"an address without a prefix length: write {host}"
    if bare != text and _is_address(bare):
        return f"write it without the brackets: {bare}"
    host, _, number = text.rpartition(":")
    if ":" not in host.split("]")[-1] and number.isdigit() and _is_address(host.strip("[]")):
        return (
            f"an address without a port: write {host.strip('[]')} and, in `sip`, `port {number};`"
        )
    numbers = _FOUR_NUMBERS.fullmatch(text)
    if numbers is not None:
        if any(int(number) > 255 for number in numbers.groups()):
            return "each of the four numbers is 0 to 255"
        plain = ".".join(str(int(number)) for number in numbers.groups())
        return f"write it without the leading zeros: {plain}"
    if text[:1].isdigit() and ":" not in text:
        return "an IPv4 address is four numbers with dots between, such as 192.168.1.1"
    if text in ("*", "any", "all"):
        return "for all addresses leave `bind` out, or write 0.0.0.0"
    if text == "localhost":
        return "write 127.0.0.1"
    if _HOST_NAME.fullmatch(text):
        return "names are not looked up: write the address itself, such as 192.168.1.1"
    return "such as 192.168.1.1 or 2001:db8::1"


def _is_address(text: str) -> bool:
    return address(Word(text, 1, 1)) is not None


def _port_hint(text: str) -> str:
    low, dash, high = text.partition("-")
    if dash and _number(low, 65535) and _number(high, 65535):
        return f"write the two ports with a space between: {low} {high}"
    if text[:1] in "+-" and _number(text[1:], 65535):
        return f"write it without the sign: {text[1:]}"
    return ""


def _bool_hint(text: str) -> str:
    for truth, others in _TRUTHS.items():
        if text.lower() in (truth, *others):
            return f"write {truth}"
    return ""
