# SPDX-License-Identifier: GPL-3.0-or-later
"""Translating an address of a text message by a translate_map: the first rule that matches decides.

1. A text is compared as it is, case included.
2. A rule whose `match` begins with `tel:` is compared with the text as tel URIs are: separators in
   the number do not count, and `w` after it is the same as `;`.
3. What comes out is the `translation` with what was caught in place. Nothing is escaped or checked
   here: what may come out is for those to say who use it.
"""

from __future__ import annotations

from dataclasses import dataclass

from cig_common.config.model import Rule, TranslateMap
from cig_common.config.patterns import Kind, canonical_tel, subject


@dataclass(frozen=True, slots=True)
class Translation:
    """What a text became, and by which rule: its number in the map, from 1, and what it caught."""

    value: str
    map_name: str
    number: int
    rule: Rule
    caught: tuple[tuple[str, str], ...]


def translate(translate_map: TranslateMap, text: str) -> Translation | None:
    """Translate `text` by the first rule that matches it; None where none does.

    Takes a time that is linear in the text's length and hardly depends on how many rules there are.
    """
    canonical = canonical_tel(text)
    plain, tel = subject(text, Kind.TEXT), subject(canonical, Kind.TEL)
    numbers = translate_map.index.candidates(text)
    if canonical != text:
        numbers = sorted({*numbers, *translate_map.index.candidates(canonical)})
    for number in numbers:
        rule = translate_map.rules[number]
        values = rule.match.match(tel if rule.match.kind is Kind.TEL else plain)
        if values is not None:
            value = rule.translation.substitute(values)
            return Translation(value, translate_map.name, number + 1, rule, tuple(values.items()))
    return None
