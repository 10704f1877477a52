# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads parsed items against the table of statements; notes what does not fit and goes on.

One mistake is told once. So a word that is one slip away from a keyword is told and then read as
that keyword, without a word about the rest of its statement, and of several statements in a row
that all belong elsewhere only the first is told.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cig_common.config.entries import EntryRun
from cig_common.config.hints import FOREIGN_SIGNS, broken, misfit, odd, port
from cig_common.config.lookup import accepts, choice, find, homes
from cig_common.config.model import Position
from cig_common.config.notes import Notes
from cig_common.config.statements import STATEMENTS, Arg, Context, Spec
from cig_common.config.syntax import Block, Item, Statement, Stray, Word, statements

# No statement has more words.
_LONGEST = 8
_MERGE_MARKS = ("<<<<<<<", "=======", ">>>>>>>")


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


class Reader:
    """Turns the items of one place into readings."""

    def __init__(self, notes: Notes) -> None:
        self._notes = notes
        self._muted = False

    def read(self, items: Sequence[Item], context: Context) -> Iterator[Reading]:
        """Yield what fits in `context`; note what does not, and what stands twice."""
        seen: dict[str, Position] = {}
        elsewhere: tuple[Context, ...] = ()
        half: Spec | None = None
        refused: Word | None = None
        for item, after in zip(items, (*items[1:], None), strict=False):
            if half is not None:
                half = None
                continue
            half = self._half(item, after, context)
            before, elsewhere = elsewhere, _homes(item, context)
            if half is not None or (elsewhere and elsewhere == before):
                continue
            if refused is not None and _is_glued(refused, item, context):
                continue
            mistakes = self._notes.mistakes
            for reading in self._item(item, context):
                first = seen.setdefault(reading.spec.keyword, reading.position)
                if reading.spec.once and first is not reading.position:
                    message = f"`{reading.spec.keyword}` stands here a second time"
                    hint = f"the first is in line {first.line}; at most one is allowed"
                    self._notes.error(reading.position, message, hint)
                    continue
                yield reading
            new = isinstance(item, Statement) and self._notes.mistakes > mistakes
            refused = item.end if new and isinstance(item, Statement) else None

    def _half(self, item: Item, after: Item | None, context: Context) -> Spec | None:
        """Note a `;` between the two sides of an entry or rule; return what it cuts in half."""
        if not (isinstance(item, Statement) and isinstance(after, Statement)):
            return None
        if not (item.closed and item.words and after.words):
            return None
        spec, exact = find(item.words[0], context)
        if spec is None or not exact or after.words[0].text not in spec.sides:
            return None
        if len(item.words) != len(spec.keywords) + len(spec.arguments) + 2:
            return None
        hint = f"remove it: the `{after.words[0].text}` side of the `{spec.keyword}` follows"
        self._notes.error(item.end, "this `;` is too early", hint)
        return spec

    def _item(self, item: Item, context: Context) -> Iterator[Reading]:
        match item:
            case EntryRun():
                # All of them have no place here, and the first one tells it.
                yield from self._item(next(statements(item)), context)
            case Statement(words=()):
                hint = "remove it; a block ends with `}` alone"
                self._notes.error(item.end, "`;` without a statement before it", hint)
            case Statement() | Stray():
                if (told := broken(item.words)) is not None:
                    self._refuse(item.words, *told)
                else:
                    closed = isinstance(item, Statement) and item.closed
                    yield from self._statement(item.words, context, closed)
            case Block():
                yield from self._block(item, context)

    def _statement(
        self, words: tuple[Word, ...], context: Context, closed: bool
    ) -> Iterator[Reading]:
        """Read one statement, or several where a `;` is missing between them."""
        at = 0
        while at < len(words):
            taken = self._take(words, at, context)
            if taken is None:
                return
            reading, at, exact = taken
            spec = reading.spec
            after = words[at] if at < len(words) else None
            if spec.opens is not None:
                if exact:
                    self._refuse(words, after or words[-1], *_no_block(spec))
                return
            if after is not None and after.text in (",", "\N{FULLWIDTH SEMICOLON}"):
                self._notes.error(after, f"`{after.text}` ends no statement", "write `;`")
                at += 1
                closed = closed or at == len(words)
            elif after is not None and not accepts(context, after):
                if exact:
                    self._refuse(words, after, *_surplus(spec, after))
                return
            elif after is not None or not closed:
                self._missing_end(spec, words[at - 1])
            yield reading

    def _block(self, block: Block, context: Context) -> Iterator[Reading]:
        words, at = block.words, 0
        if not words:
            hint = "write " + " or ".join(spec.usage for spec in _blocks(context))
            self._notes.error(block.start, "a block without a name before its `{`", hint)
        while at < len(words):
            taken = self._take(words, at, context)
            if taken is None:
                return
            reading, at, exact = taken
            spec = reading.spec
            if spec.opens is None:
                self._missing_end(spec, words[at - 1])
                yield reading
            elif at < len(words):
                if exact:
                    message = f"`{words[at].text}` is too much before the `{{`"
                    self._refuse(words, words[at], message, f"write {spec.usage}")
                return
            else:
                items = block.items
                yield Reading(spec, reading.position, reading.arguments, reading.sides, items)

    def _take(
        self, words: tuple[Word, ...], at: int, context: Context
    ) -> tuple[Reading, int, bool] | None:
        """Take a statement's words from `at` on; None when one is wrong, which is noted.

        Returns its reading, where the words left over begin, and whether its keyword stood there
        exactly.
        """
        words = words[at : at + _LONGEST]
        spec, exact = find(words[0], context)
        if not exact:
            self._notes.error(*_unknown(words[0], context, spec))
        if spec is None:
            self._doubt(words)
            return None
        self._muted = not exact
        taken = self._fit(spec, words)
        self._muted = False
        if taken is None:
            self._doubt(words)
            return None
        reading, count = taken
        return reading, at + count, exact

    def _fit(self, spec: Spec, words: tuple[Word, ...]) -> tuple[Reading, int] | None:
        """Fit words to the statement that they begin; None when one is wrong, which is noted.

        Returns its reading and how many words it takes.
        """
        position = Position(words[0].line, words[0].column)
        count = len(spec.keywords)
        for expected, word in zip(spec.keywords[1:], words[1:count], strict=False):
            if word.text != expected or word.quoted:
                message = f"expected `{expected}` after `{spec.keywords[0]}`"
                self._error(word, message, f"write {spec.usage}")
                return None
        if spec.arguments and spec.sides and _is_side(words[count : count + 2], spec):
            self._error(words[count], f"this `{spec.keyword}` has no name", f"write {spec.usage}")
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
            missing = [side for side in spec.sides if side not in sides]
            what = f"has no `{missing[0]}` side" if len(missing) == 1 else "is not complete"
            if spec.arguments[:1] == (Arg.NAME,) and not arguments:
                what = "has no name"
            self._error(words[-1], f"this `{spec.keyword}` {what}", f"write {spec.usage}")
            return None
        return Reading(spec, position, arguments, sides), needed

    def _sides(self, spec: Spec, words: tuple[Word, ...]) -> dict[str, Word] | None:
        """Read `sip "…" tel "…"` in either order; fewer words than needed pass here."""
        sides: dict[str, Word] = {}
        for index in range(0, len(words), 2):
            name = words[index]
            left = [side for side in spec.sides if side not in sides]
            if name.quoted or name.text not in left:
                self._error(name, *_wrong_side(name, left, spec))
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
        if word.text in FOREIGN_SIGNS and not word.quoted:
            self._error(word, f"`{word.text}` is too much here", f"write {spec.usage}")
        else:
            self._error(word, f"`{word.text}` is not {kind.value}", hint or f"write {spec.usage}")
        return False

    def _missing_end(self, spec: Spec, last: Word) -> None:
        after = Position(last.line, last.column + len(last.text) + last.quoted)
        if spec.lax_end:
            self._notes.warn("W101", after, f"`;` is missing after `{spec.keyword}`")
        else:
            self._notes.error(after, f"`;` is missing after `{spec.keyword}`", "add it here")

    def _error(self, place: Word, message: str, hint: str) -> None:
        if not self._muted:
            self._notes.error(place, message, hint)

    def _refuse(self, words: Sequence[Word], place: Word, message: str, hint: str) -> None:
        """Note a mistake for which a whole statement is left out."""
        self._notes.error(place, message, hint)
        self._doubt(words)

    def _doubt(self, words: Sequence[Word]) -> None:
        """Remember what a statement that is left out might have defined."""
        self._notes.doubtful.update(word.text for word in words[:_LONGEST])


def _unknown(word: Word, context: Context, near: Spec | None) -> tuple[Word, str, str]:
    """Return what to say of a word that begins no statement in `context`."""
    place = "here" if context is Context.FILE else f"in `{context.value}`"
    message = f"`{word.text}` is no statement {place}"
    elsewhere = homes(word, context)
    if near is not None and (hint := odd(word)) is not None:
        return word, message, hint
    if near is not None:
        usage = word.text.rstrip(":=") in near.keywords
        return word, message, f"write {near.usage}" if usage else f"did you mean `{near.keyword}`?"
    if Context.FILE in elsewhere:
        return word, message, "it belongs in the file, outside all blocks"
    if elsewhere:
        return word, message, f"it belongs in {choice(home.value for home in elsewhere)}"
    if word.text.startswith(_MERGE_MARKS):
        return word, message, "left over from a merge: keep one side, remove the three marks"
    for sign in "=:":
        if sign in word.text and not word.quoted:
            given = Word(word.text.partition(sign)[0], word.line, word.column)
            spec, _ = find(given, context) if given.text else (None, False)
            if spec is not None:
                return word, message, f"write {spec.usage}"
    specs = STATEMENTS[context]
    if len(specs) == 1:
        return word, message, f"write {specs[0].usage}"
    return word, message, f"expected {choice(spec.keywords[0] for spec in specs)}"


def _no_block(spec: Spec) -> tuple[str, str]:
    return f"`{spec.keyword}` opens a block", f"write {spec.usage}"


def _surplus(spec: Spec, word: Word) -> tuple[str, str]:
    """Return what to say of a word behind all that its statement takes."""
    if word.text in spec.sides and not word.quoted:
        return f"`{word.text}` stands twice", f"write {spec.usage}"
    message = f"`{word.text}` is too much here"
    if spec.keyword == "bind" and port(word) is not None:
        return message, f"the port is a statement of its own: port {word.text};"
    return message, f"write {spec.usage}"


def _wrong_side(word: Word, left: list[str], spec: Spec) -> tuple[str, str]:
    """Return what to say of a word where the word before a text of an entry or rule ought to be."""
    if word.quoted:
        return f"expected {choice(left)} before this text", f"write {spec.usage}"
    if word.text in FOREIGN_SIGNS:
        return f"`{word.text}` is too much here", f"write {spec.usage}"
    if word.text in spec.sides:
        return f"`{word.text}` stands twice", f"write {spec.usage}"
    plain = word.text.lower().rstrip("=:,")
    if plain in left:
        return f"expected {choice(left)}", f"write `{plain}`"
    return f"expected {choice(left)}", f"write {spec.usage}"


def _is_side(words: tuple[Word, ...], spec: Spec) -> bool:
    """Tell whether a side of an entry stands where its name ought to."""
    return len(words) == 2 and words[0].text in spec.sides and words[1].quoted


def _homes(item: Item, context: Context) -> tuple[Context, ...]:
    """Return where an item belongs that has no place in `context`."""
    if isinstance(item, EntryRun):
        return homes(Word("entry", item.line, item.column), context)
    return homes(item.words[0], context) if item.words else ()


def _is_glued(end: Word, item: Item, context: Context) -> bool:
    """Tell whether an item is the rest of a refused statement with a `;` in one of its words."""
    if isinstance(item, EntryRun) or not item.words or accepts(context, item.words[0]):
        return False
    first = item.words[0]
    return (first.line, first.column - first.quoted) == (end.line, end.column + 1)


def _blocks(context: Context) -> list[Spec]:
    return [spec for spec in STATEMENTS[context] if spec.opens is not None] or list(
        STATEMENTS[context]
    )
