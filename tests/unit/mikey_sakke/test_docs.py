# SPDX-License-Identifier: GPL-3.0-or-later
"""The examples of docs/mikey-sakke.md run as they stand."""

import re
from pathlib import Path

PAGE = Path(__file__).resolve().parents[3] / "docs" / "mikey-sakke.md"


def test_examples_run():
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(blocks) == 2
    exec(compile("\n".join(blocks), str(PAGE), "exec"), {})
