# SPDX-License-Identifier: GPL-3.0-or-later
"""The examples of the documentation run as they stand, and its list of vectors is complete."""

import re
from pathlib import Path

import pytest

from unit.mikey_sakke.support import VECTORS

PROJECT = Path(__file__).resolve().parents[3]
PAGES = {"docs/mikey-sakke.md": 2, "src/mikey_sakke/README.md": 7}
VECTORS_PAGE = (PROJECT / "docs" / "vectors.md").read_text("utf-8")


@pytest.mark.parametrize("page", PAGES)
def test_examples_run(page):
    path = PROJECT / page
    blocks = re.findall(r"```python\n(.*?)```", path.read_text("utf-8"), re.DOTALL)
    assert len(blocks) == PAGES[page]
    exec(compile("\n".join(blocks), str(path), "exec"), {})


def test_every_vector_file_is_told_of():
    headings = re.findall(r"^## `(.+?\.json)`$", VECTORS_PAGE, re.MULTILINE)
    assert sorted(headings) == sorted(path.name for path in VECTORS.glob("*.json"))


def test_the_tests_that_run_vectors_exist_and_use_them():
    for section in VECTORS_PAGE.split("\n## `")[1:]:
        name = section.split("`")[0].removesuffix(".json")
        section = section.split("\n## ")[0]
        tests = re.findall(r"`(tests/[^`]+\.py)`", section)
        assert tests, name
        for test in tests:
            text = (PROJECT / test).read_text("utf-8")
            shared = re.search(r"unit\.mikey_sakke\.(mcx_)?calls import", text)
            uses = f'vector("{name}")' in text or f'"{name}.json"' in text or shared
            assert uses, (name, test)
