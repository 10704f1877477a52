# SPDX-License-Identifier: GPL-3.0-or-later
"""The unit files call our programs with options that those have, and systemd understands them."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from cig_cli.main import main as cig_cli
from cig_common.config.lint_mailboxes import GROUP
from cig_relay.app import main as cig_relay
from cig_relay.keys.wrapping import CREDENTIAL
from cig_server.app import main as cig_server
from cig_server.notify_script import DEFAULT_SCRIPT

FOLDER = Path(__file__).parents[2] / "etc" / "systemd"
UNITS = sorted(FOLDER.glob("*[!@].service"))
NOTIFY = FOLDER / "cig-notify@.service"
BIN = "/opt/cig/bin/"
PROGRAMS = {"cig-cli": cig_cli, "cig-relay": cig_relay, "cig-server": cig_server}


def settings(unit: Path) -> dict[str, str]:
    """The last value of each setting."""
    lines = [line for line in unit.read_text().splitlines() if line[:1].isalpha()]
    return dict(line.split("=", 1) for line in lines)


def test_there_is_one_for_each_daemon() -> None:
    assert [unit.name for unit in UNITS] == ["cig-relay.service", "cig-server.service"]


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_our_programs_know_the_options(unit: Path) -> None:
    said = settings(unit)
    assert said["Type"] == "notify"
    commands = [shlex.split(said[key]) for key in ("ExecStart", "ExecReload")]
    ours = [command for command in commands if command[0].startswith(BIN)]
    assert ours
    for path, *words in ours:
        name = path.removeprefix(BIN)
        # The user of an installation need not exist here.
        arguments = ["root" if word == "cigserver" else word for word in words]
        context = PROGRAMS[name].make_context(name, arguments)
        if isinstance(PROGRAMS[name], click.Group):
            command = PROGRAMS[name].get_command(context, arguments[0])
            assert command is not None
            command.make_context(arguments[0], arguments[1:], parent=context)


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_a_service_that_is_given_up_has_the_operator_s_script_run(unit: Path) -> None:
    assert settings(unit)["OnFailure"] == "cig-notify@%n.service"
    path, event, text = shlex.split(settings(NOTIFY)["ExecStart"])
    assert (Path(path), event) == (DEFAULT_SCRIPT, "service-failed")
    assert "%i" in text
    shipped = FOLDER.parent / "scripts" / DEFAULT_SCRIPT.name
    assert os.access(shipped, os.X_OK)
    assert event in shipped.read_text()


def test_a_reload_of_the_server_is_a_command_whose_failure_systemctl_sees() -> None:
    assert settings(FOLDER / "cig-server.service")["ExecReload"].startswith(f"{BIN}cig-cli reload")


def test_the_two_have_different_users_and_one_group() -> None:
    relay, server = (settings(unit) for unit in UNITS)
    assert relay["User"] != server["User"]
    assert relay["Group"] == server["Group"]


def verified(folder: Path, change: Callable[[str], str]) -> tuple[int, str]:
    """What systemd says to the units, their text changed."""
    for unit in (*UNITS, NOTIFY):
        text = change(unit.read_text()).replace(f"={DEFAULT_SCRIPT}", "=/bin/true")
        for name in PROGRAMS:
            text = text.replace(f"{BIN}{name}", "/bin/true")  # it wants the programs to exist
        (folder / unit.name).write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "--man=no", "verify", *map(str, sorted(folder.iterdir()))],
        env={"SYSTEMD_UNIT_PATH": f"{folder}:", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is missing")
@pytest.mark.parametrize("offered", ["", "#LoadCredential=", "#LoadCredentialEncrypted="])
def test_systemd_understands_them(tmp_path: Path, offered: str) -> None:
    assert verified(tmp_path, lambda text: text.replace(offered, offered[1:])) == (0, "")


def test_the_credential_that_is_offered_is_the_one_that_the_keystore_asks_for() -> None:
    text = (FOLDER / "cig-relay.service").read_text()
    offered = [line for line in text.splitlines() if line.startswith("#LoadCredential")]
    names = [line.partition("=")[2].partition(":")[0] for line in offered]
    assert names == [CREDENTIAL, CREDENTIAL]
    assert f"--name={CREDENTIAL} " in text


def test_the_server_may_write_what_texts_need() -> None:
    said = settings(FOLDER / "cig-server.service")
    assert (said["StateDirectory"], said["StateDirectoryMode"]) == ("cig/texts", "0700")
    assert said["SupplementaryGroups"] == GROUP
    installed = (FOLDER.parent / "cig.conf").read_text()
    paths = re.findall(r'path "(.*)";', installed)
    assert paths
    assert all(path.startswith(said["ReadWritePaths"].removeprefix("-") + "/") for path in paths)
