# SPDX-License-Identifier: GPL-3.0-or-later
"""Puts the blocks of a file with a missing or surplus brace back in place, and tells the brace.

The parser counts braces, and so one wrong brace shifts all that comes after it: a `}` too many
ends a block early, a missing one puts the rest of the file into a block. Here the blocks are built
anew, with an eye on the table of statements:

- A block's head that is followed by a statement of that block: its `{` is missing.
- A block that ends in the file's end, and in it what has its place only further out: the `}` is
  missing before that.
- A `}` that closes nothing, and above it what has its place in the block that ended just before:
  that block's `}` is the one too many.
- Braces in the words of a statement: a text without its quotes. What was torn off that text is
  left out up to the next statement.

So one wrong brace gives one message, where it is wrong. In a file with right braces nothing moves.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from cig_common.config.entries import EntryRun
from cig_common.config.hints import NO_CLOSING_QUOTE, broken, glued, joined
from cig_common.config.lookup import accepts, find
from cig_common.config.model import Position
from cig_common.config.notes import Notes
from cig_common.config.statements import Context, Spec
from cig_common.config.syntax import Block, Item, Statement, Stray, Word

_CLOSERS = {"(": ")", "[": "]"}


@dataclass(slots=True)
class _Frame:
    """A block that is open while the blocks are built anew; `context` None: no known block.

    `torn`: not a block but a piece of a statement. `skips`: what follows belongs to such a piece.
    """

    words: tuple[Word, ...]
    start: Word
    context: Context | None
    items: list[Item] = field(default_factory=list)
    torn: bool = False
    skips: bool = False
    closer: str = "}"

    @property
    def name(self) -> str:
        """The block's head as a message shows it."""
        return " ".join(word.text for word in self.words[:2]) or "{"


@dataclass(frozen=True, slots=True)
class _Opening:
    """The `{` of a block and the words before it."""

    words: tuple[Word, ...]
    start: Word


@dataclass(frozen=True, slots=True)
class _Closing:
    """A `}`; None where the file ended before it."""

    brace: Word | None


def rejoin(items: tuple[Item, ...], notes: Notes, end: Word) -> tuple[Item, ...]:
    """Return the file's items with every block in place; note each wrong brace and comment sign.

    `end` is the place of the file's end.
    """
    return _Builder(items, notes).build(items, end)


class _Builder:
    """Builds the blocks of one file anew."""

    def __init__(self, items: tuple[Item, ...], notes: Notes) -> None:
        self._notes = notes
        self._frames = [_Frame((), Word("{", 1, 1), Context.FILE)]
        # How many `}` are still to come that close nothing, and how many never come.
        self._surplus = sum(isinstance(item, Stray) for item in items)
        self._missing = _count_unclosed(items)
        self._comment = -1
        self._comment_open = False

    def build(self, items: tuple[Item, ...], end: Word) -> tuple[Item, ...]:
        for event in _flat(items):
            match event:
                case _Opening():
                    self._open(self._clean(event.words), event.start)
                case _Closing():
                    if event.brace is not None:
                        self._close(event.brace)
                case EntryRun():
                    self._run(event)
                case Statement():
                    self._statement(event)
        self._end(end)
        return tuple(self._frames[0].items)

    def _run(self, run: EntryRun) -> None:
        self._settle((Word("entry", run.line, run.column),))
        self._frames[-1].skips = False
        self._frames[-1].items.append(run)

    def _statement(self, statement: Statement) -> None:
        words = self._settle(self._clean(statement.words))
        if statement.words and not words:
            return
        frame = self._frames[-1]
        if frame.skips and not self._begins(words, frame):
            return
        frame.skips = False
        frame.items.append(Statement(words, statement.end, statement.closed))

    def _open(self, words: tuple[Word, ...], start: Word) -> None:
        words = self._settle(words)
        frame = self._frames[-1]
        if frame.skips and not self._begins(words, frame):
            self._frames.append(_Frame(words, start, None, torn=True))
            return
        frame.skips = False
        told = None if frame.context is None else _torn(words, start, frame.context)
        if told is not None:
            self._notes.error(*told)
        spec = self._spec(words, frame)
        opened = None if spec is None else spec.opens
        self._frames.append(_Frame(words, start, opened, torn=told is not None))

    def _close(self, brace: Word) -> None:
        if len(self._frames) == 1:
            self._surplus -= 1
            hint = "remove it, or look for a `{` that is missing above"
            self._notes.error(brace, "this `}` closes no block", hint)
            return
        frame = self._frames.pop()
        if frame.torn:
            self._frames[-1].skips = True
        else:
            block = Block(frame.words, frame.start, tuple(frame.items), brace)
            self._frames[-1].items.append(block)

    def _settle(self, words: tuple[Word, ...]) -> tuple[Word, ...]:
        """Bring the open blocks into the state in which `words` may stand, if one brace does it.

        Returns the words without the heads of blocks whose `{` is missing.
        """
        while words:
            context = self._frames[-1].context
            if context is None:
                return words
            if words[0].text == self._frames[-1].closer:
                self._close(words[0])
                words = words[1:]
            elif accepts(context, words[0]):
                spec, _ = find(words[0], context)
                count = 0 if spec is None else len(spec.keywords) + len(spec.arguments)
                if spec is None or spec.opens is None or len(words) <= count:
                    return words
                closer = _CLOSERS.get(words[count].text)
                if closer is None and not accepts(spec.opens, words[count]):
                    return words
                self._open_anyway(words[:count], words[count], spec.opens, closer)
                words = words[count + (closer is not None) :]
            elif not (self._leave(words[0]) or self._enter(words[0])):
                return words
        return words

    def _open_anyway(
        self, head: tuple[Word, ...], after: Word, opened: Context, closer: str | None
    ) -> None:
        """Note that a head has no `{`, or another bracket for it, and open its block."""
        frame = _Frame(head, head[-1], opened)
        if closer is None:
            place = Position(head[-1].line, head[-1].column + len(head[-1].text))
            name = " ".join(word.text for word in head)
            self._notes.error(place, f"`{{` is missing after `{name}`", "add it here")
        else:
            frame.closer = closer
            hint = f"write `{{` here and `}}` for the `{closer}` at its end"
            self._notes.error(after, f"`{after.text}` opens no block", hint)
        self._frames.append(frame)

    def _leave(self, word: Word) -> bool:
        """Close the blocks whose `}` is missing before `word`, if they are and it helps."""
        if not self._missing:
            return False
        inner: list[_Frame] = []
        for frame in reversed(self._frames):
            if frame.context is None or len(inner) > self._missing:
                return False
            if accepts(frame.context, word):
                break
            inner.append(frame)
        else:
            return False
        self._missing -= len(inner)
        what = "`}` is missing" if len(inner) == 1 else f"{len(inner)} `}}` are missing"
        blocks = [f"`{frame.name}`, opened in line {frame.start.line}," for frame in inner]
        which = "the block" if len(inner) == 1 else "the blocks"
        verb = "is" if len(inner) == 1 else "are"
        hint = f"{which} {joined(blocks)} {verb} still open here"
        self._notes.error(word, f"{what} before this `{word.text}`", hint)
        for _ in inner:
            frame = self._frames.pop()
            block = Block(frame.words, frame.start, tuple(frame.items), word)
            self._frames[-1].items.append(block)
        return True

    def _enter(self, word: Word) -> bool:
        """Open the blocks anew whose `}` before `word` is one too many, if it is."""
        chain: list[Block] = []
        context, items = self._frames[-1].context, self._frames[-1].items
        found: list[Context] = []
        while context is not None and not accepts(context, word):
            last = items[-1] if items else None
            if not isinstance(last, Block) or last.end is None or len(chain) == self._surplus:
                return False
            spec = None if not last.words else find(last.words[0], context)[0]
            if spec is None or spec.opens is None:
                return False
            context, items = spec.opens, list(last.items)
            chain.append(last)
            found.append(context)
        if context is None:
            return False
        brace = chain[-1].end or word
        self._surplus -= len(chain)
        name = " ".join(head.text for head in chain[-1].words[:2])
        hint = f"remove it: `{word.text}` in line {word.line} belongs to `{name}` too"
        self._notes.error(brace, "this `}` is one too many", hint)
        for block, inner in zip(chain, found, strict=True):
            self._frames[-1].items.pop()
            self._frames.append(_Frame(block.words, block.start, inner, list(block.items)))
        return True

    def _begins(self, words: tuple[Word, ...], frame: _Frame) -> bool:
        return bool(words) and frame.context is not None and accepts(frame.context, words[0])

    def _spec(self, words: tuple[Word, ...], frame: _Frame) -> Spec | None:
        if not words or frame.context is None:
            return None
        return _final_head(words, frame.context) or find(words[0], frame.context)[0]

    def _clean(self, words: tuple[Word, ...]) -> tuple[Word, ...]:
        """Leave out `#` comments and `*/`, and tell them; of `#` in lines on end only the first."""
        kept: list[Word] = []
        for word in words:
            self._comment_open |= word.open_comment
            if word.hash_comment:
                if word.line != self._comment + 1:
                    hint = "write `//` to the line's end, or `/*` … `*/`"
                    self._notes.error(word, "`#` begins no comment", hint)
                self._comment = word.line
            elif not word.quoted and word.text.startswith("*/"):
                hint = "remove it: comments do not nest, the first `*/` closes"
                self._notes.error(word, "`*/` closes no comment", hint)
                if rest := word.text[2:]:
                    kept.append(Word(rest, word.line, word.column + 2))
            else:
                kept.append(word)
        return tuple(kept)

    def _end(self, end: Word) -> None:
        """Close what the file's end left open, and tell it once."""
        left = [frame for frame in self._frames[:0:-1] if frame.context is not None]
        if left and not self._comment_open:
            names = " in ".join(f"`{frame.name}`" for frame in left)
            lines = joined([str(frame.start.line) for frame in left])
            hint = f"it was opened in line {lines}; its `}}` is missing"
            if len(left) > 1:
                hint = f"opened in lines {lines}; {len(left)} `}}` are missing"
            self._notes.error(end, f"the file ends inside the block {names}", hint)
        while len(self._frames) > 1:
            frame = self._frames.pop()
            if not frame.torn:
                block = Block(frame.words, frame.start, tuple(frame.items), None)
                self._frames[-1].items.append(block)


def _flat(items: tuple[Item, ...]) -> Iterator[_Opening | _Closing | EntryRun | Statement]:
    """Yield the pieces of all blocks in the order of the file, however deep they nest."""
    levels = [iter(items)]
    ends: list[Word | None] = []
    while levels:
        item = next(levels[-1], None)
        match item:
            case None:
                levels.pop()
                if ends:
                    yield _Closing(ends.pop())
            case Block():
                yield _Opening(item.words, item.start)
                levels.append(iter(item.items))
                ends.append(item.end)
            case Stray():
                if item.words:
                    yield Statement(item.words, item.brace, closed=False)
                yield _Closing(item.brace)
            case _:
                yield item


def _count_unclosed(items: tuple[Item, ...]) -> int:
    count = 0
    while items and isinstance(last := items[-1], Block) and last.end is None:
        count += 1
        items = last.items
    return count


def _torn(
    words: tuple[Word, ...], start: Word, context: Context
) -> tuple[Word, str, str | None] | None:
    """Return what is wrong where a `{` stands in the words of a statement; None for a block."""
    told = broken(words)
    if told is not None:
        return told
    spec = find(words[0], context)[0] if words else None
    if spec is None or spec.opens is not None or _final_head(words, context) is not None:
        return None
    text = glued(words)
    if text is not None:
        return text, *NO_CLOSING_QUOTE
    last = words[-1]
    if not last.quoted and (last.line, last.column + len(last.text)) == (start.line, start.column):
        return last, "this text is not in quotes", 'put it in double quotes: "…"'
    return start, f"`{spec.keyword}` is a statement and opens no block", f"write {spec.usage}"


def _final_head(words: tuple[Word, ...], context: Context) -> Spec | None:
    """Return the block whose head the last words are, where a `;` is missing before it."""
    for count in range(1, min(len(words), 4)):
        spec, exact = find(words[-count], context)
        if spec is not None and exact and spec.opens is not None:
            return spec if len(spec.keywords) + len(spec.arguments) == count else None
    return None
