# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/sip.md says what the code does: its two tables are the code's."""

import re
from pathlib import Path

from cig_server.sif.reasons import TABLE, sip_status_for
from umsg.reasons import Reason

PAGE = (Path(__file__).parents[4] / "docs" / "sip.md").read_text(encoding="utf-8")
SECTION = PAGE.partition("## Statuses and reasons")[2].partition("\n## ")[0]


def test_the_table_of_statuses():
    rows = re.findall(r"^\| (BYE|\d{3}) \| (\S+) \| (.+) \|$", SECTION, re.MULTILINE)
    code = [(str(row.status or "BYE"), row.reason.value, row.note) for row in TABLE]
    assert rows == code


def test_the_table_of_reasons():
    rows = re.findall(r"^\| ([a-z-]+) \| (\d{3}) \|$", SECTION, re.MULTILINE)
    assert dict(rows) == {reason.value: str(sip_status_for(reason)) for reason in Reason}


def test_only_one_file_imports_the_sip_stack():
    source = Path(__file__).parents[4] / "src"
    importers = [
        str(path.relative_to(source))
        for path in source.rglob("*.py")
        if re.search(r"^\s*(import|from)\s+_?pjsua2", path.read_text("utf-8"), re.MULTILINE)
    ]
    assert importers == ["cig_server/sif/pjsua.py"]
