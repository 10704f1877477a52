# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds the block that a missing `}` belongs to, and puts the items after it back in place.

Counting braces alone blames the outermost block. A block that stands where it may not, but might
stand one level further out, shows better where the `}` is missing.
"""

from __future__ import annotations

from cig_common.config.reader import Notes
from cig_common.config.statements import STATEMENTS, Context
from cig_common.config.syntax import Block, Item, Word


def rejoin(items: tuple[Item, ...], notes: Notes, end: Word) -> tuple[Item, ...]:
    """Return the file's items with blocks moved out of an unclosed block; note each such block.

    `end` is the place of the file's end.
    """
    mended, count = _mend(items, (Context.FILE,), notes)
    if count == 0:
        _tell_unclosed(items, notes, end)
    return mended


def _mend(
    items: tuple[Item, ...], contexts: tuple[Context, ...], notes: Notes
) -> tuple[tuple[Item, ...], int]:
    """Mend one level. `contexts` are the places around it, the innermost last."""
    done: list[Item] = []
    count = 0
    for item in items:
        inner = _opened(item, contexts[-1])
        if not isinstance(item, Block) or inner is None:
            done.append(item)
            continue
        body, inside = _mend(item.items, (*contexts, inner), notes)
        count += inside
        cut = next(
            (at for at, child in enumerate(body) if _belongs_outside(child, inner, contexts)),
            len(body),
        )
        done.append(Block(item.words, item.start, body[:cut], item.closed))
        if cut < len(body) and isinstance(first := body[cut], Block):
            count += 1
            word = first.words[0]
            name = " ".join(head.text for head in item.words[:2])
            notes.error(
                word,
                f"`}}` is missing before this `{word.text}`",
                f"the block `{name}`, opened in line {item.start.line}, is still open here",
            )
            done += body[cut:]
    return tuple(done), count


def _opened(item: Item, context: Context) -> Context | None:
    """Return what the body of a block is, where the block may stand in `context`."""
    if isinstance(item, Block) and item.words:
        for spec in STATEMENTS[context]:
            if spec.opens is not None and spec.keywords[0] == item.words[0].text:
                return spec.opens
    return None


def _belongs_outside(item: Item, inner: Context, contexts: tuple[Context, ...]) -> bool:
    """Tell whether a block has no place in `inner` but has one further out."""
    if not isinstance(item, Block) or _opened(item, inner) is not None:
        return False
    return any(_opened(item, context) is not None for context in contexts)


def _tell_unclosed(items: tuple[Item, ...], notes: Notes, end: Word) -> None:
    """Note every block that the file's end left open, the innermost first."""
    chain: list[Block] = []
    while items and isinstance(last := items[-1], Block) and not last.closed:
        chain.append(last)
        items = last.items
    for block in reversed(chain[-8:]):
        name = " ".join(word.text for word in block.words[:2]) or "{"
        notes.error(
            end,
            f"the file ends inside the block `{name}`",
            f"it was opened in line {block.start.line}; its `}}` is missing",
        )
