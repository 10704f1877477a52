# SPDX-License-Identifier: GPL-3.0-or-later
"""What docs/security.md names as proof is there: test files, tests in them, the measurement."""

import re
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
UNIT = PROJECT / "tests" / "unit"
PAGE = (PROJECT / "docs" / "security.md").read_text("utf-8")
NAMED = sorted(set(re.findall(r"`([a-z_/]*test_[a-z0-9_]+\.py)", PAGE)))
NAMES = re.findall(r"`([a-z_/]*test_[a-z0-9_]+\.py)?::(test_\w+)`", PAGE)


@pytest.mark.parametrize("name", NAMED)
def test_the_test_file_is_there(name: str) -> None:
    assert (UNIT / name).is_file()


def test_the_tests_are_in_them() -> None:
    assert len(NAMES) > 10
    last = ""
    for file, test in NAMES:
        last = file or last  # one without a file is in that of the one before
        assert f"def {test}(" in (UNIT / last).read_text("utf-8"), (last, test)


def test_other_files_that_are_named_are_there() -> None:
    for name in re.findall(r"`(tests/bench/[^`]+)`", PAGE):
        assert (PROJECT / name).is_file()
    for name in re.findall(r"\]\(([^)#]+)", PAGE):
        assert (PROJECT / "docs" / name).is_file()


def test_the_page_is_short() -> None:
    assert len(PAGE.splitlines()) <= 200
