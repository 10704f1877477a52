# SPDX-License-Identifier: GPL-3.0-or-later
"""From the text of a cig.conf to words, statements and blocks, each with its line and column."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import cast

from lark import Lark, Token, Transformer
from lark.exceptions import UnexpectedInput, UnexpectedToken

from cig_common.config.entries import RUN, EntryRun

_END = "$END"


@dataclass(frozen=True, slots=True)
class Word:
    """One word, or one string without its quotes. `column` is where the value itself begins."""

    text: str
    line: int
    column: int
    quoted: bool = False
    open_string: bool = False
    open_comment: bool = False
    hash_comment: bool = False


@dataclass(frozen=True, slots=True)
class Statement:
    """Words up to a `;`. `closed` is False where a `}` or the file's end came instead."""

    words: tuple[Word, ...]
    end: Word
    closed: bool = True


@dataclass(frozen=True, slots=True)
class Block:
    """Words and a body in braces. `end` is the `}`, None where the file ended before it."""

    words: tuple[Word, ...]
    start: Word
    items: tuple[Item, ...]
    end: Word | None


@dataclass(frozen=True, slots=True)
class Stray:
    """A `}` that closes no block, and the words that stood before it."""

    words: tuple[Word, ...]
    brace: Word


Item = Statement | Block | Stray | EntryRun


def statements(run: EntryRun) -> Iterator[Statement]:
    """Yield the statements that a run of entries is short for."""
    for words in run.split():
        *made, end = (
            Word(text[1:-1], line, column + 1, quoted=True)
            if text.startswith('"')
            else Word(text, line, column)
            for text, line, column in words
        )
        yield Statement(tuple(made), end)


def parse(text: str) -> tuple[Item, ...]:
    """Return the items of a whole file. Takes any text: what is wrong is marked in the items."""
    return cast(tuple[Item, ...], _parser().parse(text, on_error=_close_blocks))


@cache
def _parser() -> Lark:
    grammar = resources.files(__package__).joinpath("cig_conf.lark").read_text("utf-8")
    grammar += f"\nENTRIES.5: /{RUN}/\n"
    return Lark(grammar, parser="lalr", lexer="contextual", transformer=_Builder())


def _close_blocks(error: UnexpectedInput) -> bool:
    """Close what is open at the file's end, the one thing that the grammar cannot take."""
    if not isinstance(error, UnexpectedToken) or error.token.type != _END:
        return False
    parser = error.interactive_parser
    values = parser.parser_state.value_stack
    depth = sum(isinstance(value, Token) and value.type == "LBRACE" for value in values)
    for _ in range(depth):
        # An empty value, unlike a real brace: the builder sees by it that the file ended.
        parser.feed_token(Token("RBRACE", "", line=error.line, column=error.column))
    return True


def _word(token: Token) -> Word:
    line, column = token.line or 1, token.column or 1
    match token.type:
        case "STRING":
            return Word(token[1:-1], line, column + 1, quoted=True)
        case "OPEN_STRING":
            return Word(token[1:].rstrip(), line, column + 1, quoted=True, open_string=True)
        case "OPEN_COMMENT":
            return Word("/*", line, column, open_comment=True)
        case "HASH_COMMENT":
            return Word("#", line, column, hash_comment=True)
        case _:
            return Word(str(token), line, column)


def _run(token: Token) -> EntryRun:
    return EntryRun(str.__str__(token), token.line or 1, token.column or 1)


class _Builder(Transformer[Token, object]):
    """Builds the items as the parser reduces: no tree, and no recursion on deep nesting."""

    def start(self, children: list[Token | Item]) -> tuple[Item, ...]:
        return tuple(_run(child) if isinstance(child, Token) else child for child in children)

    def statement(self, children: list[Token]) -> Statement:
        *words, end = map(_word, children)
        return Statement(tuple(words), end)

    def tail(self, children: list[Token]) -> Statement:
        words = tuple(map(_word, children))
        return Statement(words, words[-1], closed=False)

    def stray(self, children: list[Token]) -> Stray:
        *words, brace = map(_word, children)
        return Stray(tuple(words), brace)

    def block(self, children: list[Token | Item]) -> Block:
        words: list[Word] = []
        items: list[Item] = []
        start = Word("{", 1, 1)
        end: Word | None = None
        for child in children:
            if not isinstance(child, Token):
                items.append(child)
            elif child.type == "ENTRIES":
                items.append(_run(child))
            elif child.type == "LBRACE":
                start = _word(child)
            elif child.type == "RBRACE":
                end = _word(child) if child else None
            else:
                words.append(_word(child))
        return Block(tuple(words), start, tuple(items), end)
