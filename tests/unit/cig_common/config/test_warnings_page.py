# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/warnings.md explains every code, and its examples give what they say."""

import re
from pathlib import Path

import pytest

from cig_common.config import loads
from unit.cig_common.config.facts import Facts

PROJECT = Path(__file__).resolve().parents[4]
PAGE = (PROJECT / "docs" / "warnings.md").read_text("utf-8")
SOURCES = sorted((PROJECT / "src").rglob("*.py"))
CODES = sorted(
    {code for path in SOURCES for code in re.findall(r'"(W[0-9]{3})"', path.read_text("utf-8"))}
)
SECTIONS = dict(re.findall(r"^## (W[0-9]{3})$\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))


def blocks(section: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)


def codes(text: str, host: Facts) -> set[str | None]:
    return {warning.code for warning in loads(text, host=host).warnings}


def test_every_code_has_its_section_and_no_other() -> None:
    assert list(SECTIONS) == CODES
    assert CODES[0] == "W101"
    assert len(CODES) == len(set(CODES)) >= 15


@pytest.mark.parametrize("code", CODES)
def test_the_list_at_the_top_leads_to_it(code: str) -> None:
    assert f"| [{code}](#{code.lower()}) | " in PAGE


@pytest.mark.parametrize("code", CODES)
def test_it_says_what_and_why(code: str) -> None:
    section = SECTIONS[code]
    assert section.startswith("\n**")
    assert "\nWhy it matters: " in section


@pytest.mark.parametrize("code", [code for code in CODES if code != "W114"])
def test_the_first_example_gives_the_warning_and_the_second_does_not(code: str) -> None:
    wrong, right = blocks(SECTIONS[code], "conf")
    assert code in codes(wrong, Facts())
    assert code not in codes(right, Facts())


def test_the_commands_make_the_mailbox_of_the_example() -> None:
    (text,) = blocks(SECTIONS["W114"], "conf")
    host = Facts()
    assert "W114" in codes(text, host)
    command = blocks(SECTIONS["W114"], "console")[0].splitlines()[0]
    name, path = command.removeprefix("# ").split()
    assert name == "/opt/cig/bin/create_cig_maildir"
    host.make_mailbox(path)
    assert "W114" not in codes(text, host)


@pytest.mark.parametrize("code", [code for code in CODES if code not in ("W114", "W115", "W116")])
def test_what_is_put_right_has_no_other_warning_either(code: str) -> None:
    _, right = blocks(SECTIONS[code], "conf")
    assert loads(right, host=Facts()).warnings == ()


def test_the_shown_warning_is_what_read_prints() -> None:
    (shown,) = re.findall(r"\n    (cig\.conf:.*(?:\n    .+)+)", PAGE)
    text = "// Maps\n\nmap internal {\n}\ninterfaces { sip { bind ::1; } }\n"
    (warning,) = loads(text).warnings
    assert warning.render() == re.sub(r"^    ", "", shown, flags=re.MULTILINE)
