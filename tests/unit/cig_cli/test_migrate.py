# SPDX-License-Identifier: GPL-3.0-or-later
"""`cig-cli migrate` prints what is to be added to an old configuration."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cig_cli.main import main
from cig_common.config import loads

FILES = Path(__file__).parents[1] / "cig_common" / "config" / "files"
SIMPLE = FILES / "manual_simple.conf"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["migrate", *arguments])


def test_what_it_prints_can_be_added_to_the_file() -> None:
    done = run(str(SIMPLE), "--read", "/a b", "--write", "/c")
    assert done.exit_code == 0
    config = loads(SIMPLE.read_text() + done.stdout)
    assert [box.path for box in config.mailboxes] == ["/a b", "/c"]
    assert "note: translate_map `mapsip2tel`: in 1 rule a host is matched" in done.stderr
    assert [box.path for box in loads(SIMPLE.read_text() + run(str(SIMPLE)).stdout).mailboxes] == [
        "/var/spool/cig/send",
        "/var/spool/cig/received",
    ]


def test_what_cannot_be_done_is_told_on_standard_error(tmp_path: Path) -> None:
    bad = tmp_path / "bad.conf"
    bad.write_text("maps x { }")
    done = run(str(bad))
    assert (done.exit_code, done.stdout) == (1, "")
    assert "`maps` is no statement here" in done.stderr
    assert run(str(tmp_path / "none")).exit_code == 1
    done = run(str(FILES / "manual_mailboxes.conf"))
    assert (done.exit_code, done.stdout) == (1, "")
    assert "has mailboxes already, the first in line" in done.stderr


@pytest.mark.parametrize("path", ["relative", "", '/a"b', "/a\nb"])
def test_a_path_that_cig_conf_could_not_hold(path: str) -> None:
    assert run(str(SIMPLE), "--read", path).exit_code == 2
    assert run(str(SIMPLE), "--write", path).exit_code == 2
    assert run().exit_code == 2
