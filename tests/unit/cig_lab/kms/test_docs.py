# SPDX-License-Identifier: GPL-3.0-or-later
"""The session with ``cig-lab kms`` that docs/key-material.md shows goes as it stands there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from cig_lab.crs.certificate import make_certificate
from cig_lab.main import main

PAGE = (Path(__file__).resolve().parents[4] / "docs" / "key-material.md").read_text("utf-8")
SESSION = "".join(re.findall(r"^```console\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))
RUNS = re.findall(r"^\$ cig-lab (.*)\n((?:(?!\$ ).*\n)*)", SESSION, re.MULTILINE)


def without_chance(text: str) -> str:
    """Leave out what differs each time."""
    text = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "TIME", text)
    return re.sub(r"(?<=Passphrase: )([a-z2-7]{4}-){5}[a-z2-7]{4}", "PHRASE", text)


def test_the_session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "crs.pem").write_text(make_certificate("crs.example.com", "LAB").pem)
    (tmp_path / "phrase").write_text("correct horse battery staple\n")
    assert {shlex.split(command)[1] for command, _ in RUNS} == {"init", "issue", "revoke", "show"}
    for command, shown in RUNS:
        result = CliRunner().invoke(main, shlex.split(command))
        assert without_chance(result.output) == without_chance(shown), command
    assert (tmp_path / "key.pdf").read_bytes().startswith(b"%PDF-")
