# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads parsed items against the table of statements; notes what does not fit and goes on."""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from ipaddress import ip_address

from cig_common.config.entries import EntryRun
from cig_common.config.errors import Diagnostic
from cig_common.config.model import MAX_CALLS, IpAddress, Position
from cig_common.config.patterns import NAME
from cig_common.config.statements import STATEMENTS, Arg, Context, Spec
from cig_common.config.syntax import Block, Item, Statement, Stray, Word, statements

_WRONG_QUOTES = "'`\u2018\u2019\u201c\u201d\u201e\u00ab\u00bb"


@dataclass(frozen=True, slots=True)
class Reading:
    """One statement or block that fits the table.

    `arguments` are the words after the keywords, `sides` the texts by their word. `items` is a
    block's body.
    """

    spec: Spec
    position: Position
    arguments: tuple[Word, ...]
    sides: dict[str, Word]
    items: tuple[Item, ...] = ()


class Notes:
    """Collects mistakes and warnings while a file is read."""

    def __init__(self, filename: str, text: str) -> None:
        self.filename = filename
        self._text = text
        self._line_starts: array[int] | None = None
        self.problems: list[Diagnostic] = []
        self.warnings: list[Diagnostic] = []

    def error(self, place: Word | Position, message: str, hint: str | None = None) -> None:
        """Note a mistake at `place`."""
        self.problems.append(self._diagnostic(place, message, hint, None))

    def warn(
        self, code: str, place: Word | Position, message: str, hint: str | None = None
    ) -> None:
        """Note a warning at `place`."""
        self.warnings.append(self._diagnostic(place, message, hint, code))

    def _diagnostic(
        self, place: Word | Position, message: str, hint: str | None, code: str | None
    ) -> Diagnostic:
        source = self._source(place.line)
        return Diagnostic(self.filename, place.line, place.column, message, hint, source, code)

    def _source(self, line: int) -> str:
        """Return a line of the file."""
        if self._line_starts is None:
            ends = (found.end() for found in re.finditer("\n", self._text))
            self._line_starts = array("Q", (0, *ends))
        if line > len(self._line_starts):
            return ""
        start = self._line_starts[line - 1]
        end = self._text.find("\n", start)
        return self._text[start : None if end < 0 else end].rstrip("\r")


class Reader:
    """Turns the items of one place into readings."""

    def __init__(self, notes: Notes) -> None:
        self._notes = notes

    def read(self, items: tuple[Item, ...], context: Context) -> Iterator[Reading]:
        """Yield what fits in `context`; note what does not, and what stands twice."""
        seen: dict[str, Position] = {}
        for item in items:
            for reading in self._item(item, context):
                first = seen.setdefault(reading.spec.keyword, reading.position)
                if reading.spec.once and first is not reading.position:
                    message = f"`{reading.spec.keyword}` stands here a second time"
                    hint = f"the first is in line {first.line}; at most one is allowed"
                    self._notes.error(reading.position, message, hint)
                    continue
                yield reading

    def _item(self, item: Item, context: Context) -> Iterator[Reading]:
        if isinstance(item, EntryRun):
            for statement in statements(item):
                yield from self._item(statement, context)
            return
        if (broken := _broken(item.words)) is not None:
            self._notes.error(*broken)
            return
        match item:
            case Statement(words=()):
                hint = "remove it; a block ends with `}` alone"
                self._notes.error(item.end, "`;` without a statement before it", hint)
            case Statement():
                yield from self._statement(item.words, context, item.closed)
            case Stray():
                if item.words:
                    yield from self._statement(item.words, context, False)
                hint = "remove it, or look for a `{` that is missing above"
                self._notes.error(item.brace, "this `}` closes no block", hint)
            case Block():
                yield from self._block(item, context)

    def _statement(
        self, words: tuple[Word, ...], context: Context, closed: bool
    ) -> Iterator[Reading]:
        """Read one statement, or several where a `;` is missing between them."""
        while words:
            spec = self._spec(words[0], context)
            if spec is None:
                return
            taken = self._take(spec, words)
            if taken is None:
                return
            reading, rest = taken
            if spec.opens is not None:
                where = rest[0] if rest else words[-1]
                self._notes.error(where, f"`{spec.keyword}` opens a block", f"write {spec.usage}")
                return
            if rest and not self._follows(spec, rest[0], context):
                message = f"`{rest[0].text}` is too much here"
                self._notes.error(rest[0], message, f"write {spec.usage}")
                return
            if rest or not closed:
                self._missing_end(spec, words[len(words) - len(rest) - 1])
            yield reading
            words = rest

    def _block(self, block: Block, context: Context) -> Iterator[Reading]:
        words = block.words
        if not words:
            hint = "write " + " or ".join(spec.usage for spec in _blocks(context))
            self._notes.error(block.start, "a block without a name before its `{`", hint)
            return
        while words:
            spec = self._spec(words[0], context)
            taken = None if spec is None else self._take(spec, words)
            if spec is None or taken is None:
                return
            reading, rest = taken
            if spec.opens is None:
                if not rest or not self._follows(spec, rest[0], context):
                    self._notes.error(
                        rest[0] if rest else block.start,
                        f"`{spec.keyword}` is a statement and opens no block",
                        f"write {spec.usage}",
                    )
                    return
                self._missing_end(spec, words[len(words) - len(rest) - 1])
                yield reading
            elif rest:
                message = f"`{rest[0].text}` is too much before the `{{`"
                self._notes.error(rest[0], message, f"write {spec.usage}")
                return
            else:
                items = block.items
                yield Reading(spec, reading.position, reading.arguments, reading.sides, items)
            words = rest

    def _spec(self, word: Word, context: Context) -> Spec | None:
        """Find the statement that `word` begins, or note that there is none."""
        specs = STATEMENTS[context]
        if not word.quoted:
            for spec in specs:
                if spec.keywords[0] == word.text:
                    return spec
        place = "here" if context is Context.FILE else f"in `{context.value}`"
        known = [spec.keywords[0] for spec in specs]
        homes = [
            home
            for home, others in STATEMENTS.items()
            if any(spec.keywords[0] == word.text for spec in others)
        ]
        if homes and not word.quoted:
            names = "the file, outside all blocks" if Context.FILE in homes else None
            hint = f"it belongs in {names or ' or '.join(f'`{home.value}`' for home in homes)}"
        else:
            hint = slip(word.text, known) or f"expected {_choice(known)}"
        self._notes.error(word, f"`{word.text}` is no statement {place}", hint)
        return None

    def _take(self, spec: Spec, words: tuple[Word, ...]) -> tuple[Reading, tuple[Word, ...]] | None:
        """Take a statement's words off the front; None when one is wrong, which is noted."""
        position = Position(words[0].line, words[0].column)
        count = len(spec.keywords)
        for expected, word in zip(spec.keywords[1:], words[1:count], strict=False):
            if word.text != expected or word.quoted:
                message = f"expected `{expected}` after `{spec.keywords[0]}`"
                self._notes.error(word, message, f"write {spec.usage}")
                return None
        needed = count + len(spec.arguments) + 2 * len(spec.sides)
        arguments = words[count : count + len(spec.arguments)]
        good = [
            self._fits(kind, word, spec)
            for kind, word in zip(spec.arguments, arguments, strict=False)
        ]
        sides = self._sides(spec, words[count + len(spec.arguments) : needed])
        if sides is None or not all(good):
            return None
        if len(words) < needed:
            message = f"`{spec.keyword}` is not complete"
            self._notes.error(words[-1], message, f"write {spec.usage}")
            return None
        return Reading(spec, position, arguments, sides), words[needed:]

    def _sides(self, spec: Spec, words: tuple[Word, ...]) -> dict[str, Word] | None:
        """Read `sip "…" tel "…"` in either order; fewer words than needed pass here."""
        sides: dict[str, Word] = {}
        for index in range(0, len(words), 2):
            name = words[index]
            left = [side for side in spec.sides if side not in sides]
            if name.quoted or name.text not in left:
                given = name.text in sides and not name.quoted
                message = f"`{name.text}` stands twice" if given else f"expected {_choice(left)}"
                self._notes.error(name, message, f"write {spec.usage}")
                return None
            if index + 1 < len(words):
                if not self._fits(Arg.STRING, words[index + 1], spec):
                    return None
                sides[name.text] = words[index + 1]
        return sides

    def _fits(self, kind: Arg, word: Word, spec: Spec) -> bool:
        """Tell whether a word is what the table asks for; note it where it is not."""
        hint = misfit(kind, word)
        if hint is None:
            return True
        message = f"`{word.text}` is not {kind.value}"
        self._notes.error(word, message, hint or f"write {spec.usage}")
        return False

    def _follows(self, spec: Spec, word: Word, context: Context) -> bool:
        """Tell whether `word` begins a next statement, so that only a `;` is missing."""
        return not word.quoted and any(
            word.text == other.keywords[0] for other in STATEMENTS[context]
        )

    def _missing_end(self, spec: Spec, last: Word) -> None:
        after = Position(last.line, last.column + len(last.text) + last.quoted)
        if spec.lax_end:
            self._notes.warn("W101", after, f"`;` is missing after `{spec.keyword}`")
        else:
            self._notes.error(after, f"`;` is missing after `{spec.keyword}`", "add it here")


def misfit(kind: Arg, word: Word) -> str | None:
    """Return None where `word` is of the kind; otherwise a hint, which may be empty."""
    if word.quoted != (kind is Arg.STRING):
        if word.quoted:
            return "write it without quotes"
        wrong = word.text[:1] in _WRONG_QUOTES
        return 'use straight double quotes: "' if wrong else "put it in double quotes"
    match kind:
        case Arg.NAME | Arg.MAP | Arg.TRANSLATE_MAP:
            rule = "a name is a letter, then letters, digits, `_`, `-` or `.`"
            return None if NAME.fullmatch(word.text) else rule
        case Arg.ADDRESS:
            return None if address(word) is not None else "such as 192.168.1.1 or 2001:db8::1"
        case Arg.PORT:
            return None if port(word) is not None else ""
        case Arg.CALLS:
            return None if calls(word) is not None else ""
        case Arg.BOOL:
            return None if word.text in ("true", "false") else ""
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
    return _number(word, 65535)


def calls(word: Word) -> int | None:
    """Return the number of calls that a word is, or None."""
    return _number(word, MAX_CALLS)


def _number(word: Word, most: int) -> int | None:
    """Return the number from 1 to `most` that a word is, or None."""
    if not (word.text.isascii() and word.text.isdigit() and len(word.text) <= 5):
        return None
    number = int(word.text)
    return number if 0 < number <= most else None


def slip(name: str, known: list[str]) -> str | None:
    """Return "did you mean …?" where a known name is one slip away."""
    near = get_close_matches(name[:64], known, n=1, cutoff=0.75)
    return f"did you mean `{near[0]}`?" if near else None


def _broken(words: tuple[Word, ...]) -> tuple[Word, str, str] | None:
    """Return the word of a statement that makes all its others meaningless, and why."""
    for word in words:
        if word.open_string:
            return word, "this text has no closing quote", "a text ends on the line it begins on"
        if word.open_comment:
            return word, "this comment is never closed", "add `*/` where it ends"
        if not word.quoted and word.text.startswith("*/"):
            return word, "`*/` closes no comment", "remove it, or open the comment with `/*`"
        if not word.quoted and word.text[0] in _WRONG_QUOTES:
            return word, "a text in the wrong quotes", 'use straight double quotes: "'
    return None


def _blocks(context: Context) -> list[Spec]:
    return [spec for spec in STATEMENTS[context] if spec.opens is not None] or list(
        STATEMENTS[context]
    )


def _choice(names: list[str]) -> str:
    """Return `a`, `b` or `c`."""
    quoted = [f"`{name}`" for name in names]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} or {quoted[-1]}"
