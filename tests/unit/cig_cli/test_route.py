# SPDX-License-Identifier: GPL-3.0-or-later
"""`cig-cli route` as an operator types it: at a running server, and in a file without one."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cig_cli.main import main

PROJECT = Path(__file__).resolve().parents[3]
SIMPLE = PROJECT / "tests/unit/cig_common/config/files/manual_simple.conf"
WORKED = ("sip:94670123456@secure.com", "--from", "sip:101@pbx.com")


def run(port: int, *arguments: str, typed: str | None = None) -> Result:
    environment = {"CIG_MGMT_PORT": str(port)}
    return CliRunner().invoke(main, arguments, input=typed, env=environment)


def free_port() -> int:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        return int(closed.getsockname()[1])


@pytest.mark.parametrize(
    "arguments",
    [WORKED, ("tel:+8888w1",), ("sip:4670@secure.com",), ("sip:1 2@h", "--from", "sip:1\t@h"),
     ('"A B" <sip:91@secure.com>', "--from", "Bob <sip:101@pbx.com>;tag=1"), ("sip:1\udc80@h",)],
)  # fmt: skip
@pytest.mark.parametrize("as_json", [(), ("--json",)])
def test_the_server_and_its_file_say_the_same(
    port: int, arguments: tuple[str, ...], as_json: tuple[str, ...]
) -> None:
    asked = run(port, "route", *arguments, *as_json)
    local = run(free_port(), "route", *arguments, *as_json, "--file", str(SIMPLE))
    assert asked.exit_code in (0, 1)
    assert (asked.exit_code, asked.stdout) == (local.exit_code, local.stdout)
    assert asked.stderr == local.stderr


def test_a_routed_call(port: int) -> None:
    result = run(port, "route", *WORKED)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert f"Matched       entry sipext2tel of map mapsip2tel, {SIMPLE}:8" in lines
    assert "New to-URI    tel:+4670123456" in lines
    assert "New from-URI  tel:+8888;101" in lines
    assert lines[-1] == "OK"
    facts = json.loads(run(port, "route", *WORKED, "--json").stdout)
    assert (facts["routed"], facts["to"]["uri"]) == (True, "tel:+4670123456")


def test_a_rejected_call(port: int) -> None:
    result = run(port, "route", "sip:1@secure.com")
    assert result.exit_code == 1
    assert "Entry         line 8   sipext2tel  needs `sip:9` at the beginning" in result.stdout
    assert result.stderr == "ERROR: rejected: no to-URI\n"
    result = run(port, "route", "sip:1@secure.com", "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["rejected"] == "to-URI"
    assert result.stderr == ""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("101@pbx.com",), "did you mean `sip:101@pbx.com`?"),
        (("http://secure.com",), "no call has the scheme `http:`"),
        (("",), "the URI is empty"),
        (("  ",), "the URI is empty"),
        (("sip:1@h", "--from", "bob"), "`bob` has no scheme"),
        (("sip:1@h", "--from", ""), "the URI is empty"),
        (("sip:1@h", "--to", "x"), "No such option"),
        (("sip:1@h", "sip:2@h"), "unexpected extra argument"),
        (("sip:1@h", "--from"), "requires an argument"),
        ((), "Missing argument 'URI'"),
        (("sip:" + "1" * 5000,), "at most 4096 bytes"),
    ],
)
def test_wrong_things_typed(port: int, arguments: tuple[str, ...], said: str) -> None:
    result = run(port, "route", *arguments)
    assert result.exit_code == 2
    assert said in result.stderr
    assert result.stdout == ""


def test_no_server() -> None:
    result = run(free_port(), "route", "sip:1@h")
    assert result.exit_code == 2
    assert "no CIG server answers" in result.stderr


def test_a_file_that_does_not_load_is_told_like_read(tmp_path: Path) -> None:
    bad, missing = tmp_path / "bad.conf", tmp_path / "none.conf"
    bad.write_text("maps x { }\n")
    for path in (bad, missing, tmp_path):
        for more in ((), ("--json",)):
            result = run(1, "route", "sip:1@h", "--file", str(path), *more)
            assert result.exit_code == 1
            assert result.output == run(1, "read", str(path), *more).output
    assert run(1, "route", "sip:" + "1" * 5000, "--file", str(SIMPLE)).exit_code == 1


def test_at_the_prompt(port: int) -> None:
    typed = (
        "route sip:94670123456@secure.com --from sip:101@pbx.com\n"
        f"route tel:+46 --file '{SIMPLE}'\n"
        "route 101@pbx.com\nroute --help\nhelp\nquit\n"
    )
    result = run(port, typed=typed)
    assert result.exit_code == 0
    assert "New from-URI  tel:+8888;101" in result.output
    assert "ERROR: rejected: no to-URI" in result.output
    assert "Error: `101@pbx.com` has no scheme" in result.output
    assert "Usage: route [OPTIONS] URI" in result.output
    assert "  route <URI>          show where a call" in result.output


def test_as_a_process() -> None:
    command = [sys.executable, "-m", "cig_cli.main", "route", *WORKED, "--file", str(SIMPLE)]
    environment = {**os.environ, "PYTHONPATH": str(PROJECT / "src")}
    done = subprocess.run(command, env=environment, capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.endswith(b"\nGoes out on   tel\nOK\n")
    command[-3:] = [b"sip:\xff@h", "--file", str(SIMPLE)]
    done = subprocess.run(command, env=environment, capture_output=True, timeout=60, check=False)
    assert done.returncode == 1
    assert b"a space or control character" in done.stdout
