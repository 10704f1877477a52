# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands that docs/configuration.md shows print what stands there."""

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from cig_cli.main import main

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "configuration.md").read_text("utf-8")
FILES = dict(re.findall(r"^```cig (\S+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))
SESSIONS = "".join(re.findall(r"^```console\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))
RUNS = re.findall(r"^\$ cig-cli (.*)\n((?:(?!\$ ).*\n)*)", SESSIONS, re.MULTILINE)


def run(command: str, folder: Path, patch: pytest.MonkeyPatch) -> str:
    """Run a command in a folder that holds the page's files; return what it prints."""
    for name, text in FILES.items():
        (folder / name).write_text(text, "utf-8")
    patch.chdir(folder)
    return CliRunner().invoke(main, shlex.split(command)).output


def test_the_page_shows_commands() -> None:
    assert {shlex.split(command)[0] for command, _ in RUNS} == {"read", "route"}


@pytest.mark.parametrize(("command", "shown"), RUNS, ids=[command for command, _ in RUNS])
def test_a_command_prints_what_the_page_shows(
    command: str, shown: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(command, tmp_path, monkeypatch) == shown
