# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes the reference of cig.conf's statements from the table that the reader goes by.

`make docs` runs it. The Markdown table in docs/configuration.md is rewritten in place, and the man
page cig.conf(5) is written to build/man from its source in docs/man. Its list of warnings is that
of docs/warnings.md.
"""

from __future__ import annotations

import re
import textwrap
import tomllib
from pathlib import Path

from cig_common.config.statements import STATEMENTS, Context, Spec

PROJECT = Path(__file__).resolve().parents[1]
GUIDE = PROJECT / "docs" / "configuration.md"
WARNINGS = PROJECT / "docs" / "warnings.md"
MAN_SOURCE = PROJECT / "docs" / "man" / "cig.conf.5.in"
MAN_PAGE = PROJECT / "build" / "man" / "cig.conf.5"

BEGIN = "<!-- statements: `make docs` writes this table -->"
END = "<!-- end of statements -->"
MAN_WIDTH = 78

# What has a meaning of its own in roff, and what would not come out as the ASCII character that a
# reader may want to copy (groff_char(7)).
_CODE = {"\\": r"\e", "-": r"\-", "'": r"\(aq", "`": r"\(ga", "^": r"\(ha", "~": r"\(ti"}
_CODE_ESCAPES = str.maketrans({**_CODE, "…": r"\&..."})


def places() -> dict[Spec, list[Context]]:
    """Return every statement with the places where it may stand, from the file inwards."""
    found: dict[Spec, list[Context]] = {}
    for context, specs in STATEMENTS.items():
        for spec in specs:
            found.setdefault(spec, []).append(context)
    return found


def markdown_table() -> str:
    """Return the table of statements for docs/configuration.md."""
    rows = ["| Statement | Where | Default | What it says |", "| --- | --- | --- | --- |"]
    for spec, contexts in places().items():
        where = ", ".join("file" if one is Context.FILE else one.value for one in contexts)
        cells = (f"`{spec.usage}`", where + ", once" * spec.once, spec.default, _meaning(spec))
        rows.append("| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |")
    return "\n".join(rows)


def with_table(guide: str) -> str:
    """Return the guide with the present table between its two markers."""
    before, begin, rest = guide.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{GUIDE.name} lacks one of the lines {BEGIN} and {END}")
    return f"{before}{BEGIN}\n{markdown_table()}\n{END}{after}"


def man_statements() -> str:
    """Return the man page's part about the statements, in the macros of man(7)."""
    lines: list[str] = []
    heading: list[Context] = []
    for spec, contexts in places().items():
        if contexts != heading:
            heading = contexts
            names = " and ".join(one.value for one in contexts)
            lines.append(f".SS In {names}")
        lines += [".TP", _man_usage(spec.usage), *_man_text(_meaning(spec))]
        rules = [f"Default: {spec.default}."] if spec.default else []
        rules += ["At most once."] if spec.once else []
        lines += _man_text(" ".join(rules))
        lines += [".IP", ".EX", *map(man_code, spec.example.splitlines()), ".EE"]
    return "\n".join(lines)


def man_warnings(page: str) -> str:
    """Return the man page's list of warnings, from the table at the top of docs/warnings.md."""
    lines = [".PD 0"]
    for code, meaning in re.findall(r"^\| \[(W\d+)\]\(.*?\) \| (.*?) \|$", page, re.MULTILINE):
        lines += [".TP", f".B {code}", *_man_text(meaning)]
    return "\n".join([*lines, ".PD"])


def man_page(source: str) -> str:
    """Return the man page: its source with version, statements and warnings put in."""
    with (PROJECT / "pyproject.toml").open("rb") as file:
        version = tomllib.load(file)["project"]["version"]
    parts = {
        "@VERSION@": version,
        "@STATEMENTS@": man_statements(),
        "@WARNINGS@": man_warnings(WARNINGS.read_text("utf-8")),
    }
    for name, text in parts.items():
        source = source.replace(name, text)
    return source


def man_code(text: str) -> str:
    """Return a line of an example so that roff prints it character by character."""
    escaped = text.translate(_CODE_ESCAPES)
    return rf"\&{escaped}" if escaped[:1] in (".", "") else escaped


def _meaning(spec: Spec) -> str:
    """Return what a statement says, in sentences."""
    sentences = [spec.text[0].upper() + spec.text[1:] + ".", spec.details]
    if spec.added:
        sentences.append(f"An addition of this gateway, since version {spec.added}.")
    return " ".join(filter(None, sentences))


def _man_usage(usage: str) -> str:
    """Set a usage line: what is to be replaced in italics, all else in bold."""
    parts = re.split(r"([A-Z][A-Z-]+)", usage)
    fonts = "".join(
        rf"\f{'I' if index % 2 else 'B'}{part.translate(_CODE_ESCAPES)}"
        for index, part in enumerate(parts)
        if part
    )
    return rf"{fonts}\fR"


def _man_text(text: str) -> list[str]:
    r"""Set sentences, each on lines of its own, with what stands in backticks in bold."""
    lines: list[str] = []
    for sentence in re.split(r"(?<=[.;]) (?=[A-Z])", text):
        parts = sentence.split("`")
        fonts = "".join(
            rf"\fB{part.translate(_CODE_ESCAPES)}\fR" if index % 2 else part
            for index, part in enumerate(parts)
        )
        lines += textwrap.wrap(fonts, MAN_WIDTH, break_long_words=False, break_on_hyphens=False)
    return [rf"\&{line}" if line[0] in ".'" else line for line in lines]


def main() -> None:
    """Write both pages."""
    GUIDE.write_text(with_table(GUIDE.read_text("utf-8")), "utf-8")
    MAN_PAGE.parent.mkdir(parents=True, exist_ok=True)
    MAN_PAGE.write_text(man_page(MAN_SOURCE.read_text("utf-8")), "utf-8")
    print(f"wrote {MAN_PAGE.relative_to(PROJECT)}")


if __name__ == "__main__":
    main()
