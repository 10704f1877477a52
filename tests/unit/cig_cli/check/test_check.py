# SPDX-License-Identifier: GPL-3.0-or-later
"""cig-cli check as an operator runs it."""

import json
import os
import pwd
import socket
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cig_cli.check import report
from cig_cli.check.row import Row, State, fail, ok, skip, warn
from cig_cli.check.service import running_service
from cig_cli.main import main

CONF = 'map m { entry e tel "tel:+8888;{x}" sip "sip:{x}@localhost"; } interfaces { sip { port %d; bind 127.0.0.1; } tel { extension map m; } }\n'  # noqa: E501


def free_port() -> int:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        number: int = closed.getsockname()[1]
        return number


def run(tmp_path: Path, *arguments: str, port: int | None = None) -> Result:
    environment = {"CIG_MGMT_PORT": str(port or free_port())}
    given = ("check", "--config", str(tmp_path / "cig.conf"), "--userdata", str(tmp_path / "ud"))
    return CliRunner().invoke(main, (*given, *arguments), env=environment)


def checks(result: Result) -> dict[str, dict[str, str]]:
    return {row["name"]: row for row in json.loads(result.output)["checks"]}


def test_a_real_run_without_a_server(tmp_path: Path) -> None:
    sip = free_port()
    (tmp_path / "cig.conf").write_text(CONF % sip)
    (tmp_path / "ud").mkdir(mode=0o700)
    found = checks(run(tmp_path, "--json"))
    for name in (f"SIP port {sip} UDP", f"SIP port {sip} TCP", "RTP ports tel", "RTP ports sip"):
        assert found[name]["state"] == "ok"
    assert found["PBX names"] == {
        "name": "PBX names", "state": "ok", "found": "localhost found", "advice": "",
    }  # fmt: skip
    assert found["CRS"]["state"] == "skip"


def test_a_real_run_beside_a_server(tmp_path: Path, port: int) -> None:
    (tmp_path / "cig.conf").write_text(CONF % free_port())
    found = checks(run(tmp_path, "--json", port=port))
    assert found[f"management port {port}"]["state"] in ("ok", "fail")
    assert found["CRS"]["found"] == "192.168.1.1 is connected"


def test_the_table(tmp_path: Path) -> None:
    result = run(tmp_path)
    assert result.exit_code == 1
    lines = result.output.splitlines()
    assert lines[0].split() == ["CHECK", "STATE", "FOUND"]
    missing = next(n for n, line in enumerate(lines) if line.startswith("cig.conf"))
    assert lines[missing].endswith(f"fail   there is no {tmp_path}/cig.conf")
    assert lines[missing + 1] == "  -> write it, or name another: --config"
    assert lines[-1].startswith("ERROR: ")


def test_a_configuration_with_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "cig.conf").write_text("interfaces {\n sip { bynd ::1; } }\n")
    result = run(tmp_path, "--json")
    assert result.exit_code == 1
    found = checks(result)
    assert found["configuration"]["state"] == "fail"
    assert found["configuration"]["found"].startswith("line 2: ")
    assert found["ports"]["state"] == "skip"


ROWS = [
    ok("a", "fine"),
    warn("bb", "so so", "mend"),
    skip("c", "dark", "look"),
    fail("d", "\x1b", "x"),
]


def test_printing() -> None:
    assert list(report.table(ROWS)) == [
        "CHECK  STATE  FOUND",
        "a      ok     fine",
        "bb     warn   so so",
        "  -> mend",
        "c      skip   dark",
        "  -> look",
        "d      fail   \\x1b",
        "  -> x",
    ]
    assert report.summary(ROWS) == "1 warning, 1 not looked at"
    assert report.verdict(ROWS) == "ERROR: 1 check failed"
    assert report.verdict([*ROWS, ROWS[-1]]) == "ERROR: 2 checks failed"
    assert report.verdict(ROWS[:3]) == "OK"
    assert json.loads(report.as_json(ROWS))["ok"] is False
    assert json.loads(report.as_json(ROWS[:3]))["ok"] is True


@pytest.mark.parametrize("state", State)
def test_every_state_but_fail_is_no_failure(state: State) -> None:
    assert report.failures([Row("x", state, "")]) == (state is State.FAIL)


def test_something_else_at_the_management_port() -> None:
    assert running_service("127.0.0.1", free_port()) is None


def test_a_running_service(port: int) -> None:
    service = running_service("127.0.0.1", port)
    assert service is not None
    assert (service.crs_address, service.connected) == ("192.168.1.1", True)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become nobody")
def test_nobody_may_run_it_too(tmp_path: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    (tmp_path / "cig.conf").write_text(CONF % free_port())
    run(tmp_path)  # loads what nobody might not be allowed to load
    os.setegid(nobody.pw_gid)
    os.seteuid(nobody.pw_uid)
    try:
        result = run(tmp_path, "--json")
    finally:
        os.seteuid(0)
        os.setegid(0)
    assert (result.exit_code, result.stderr) == (1, ""), result.output
    found = checks(result)
    assert found["userdata"] == {
        "name": "userdata",
        "state": "skip",
        "found": f"{tmp_path}/ud: Permission denied",
        "advice": "run it as root to see this too: sudo cig-cli check",
    }
    assert found["configuration"]["state"] == "skip"
