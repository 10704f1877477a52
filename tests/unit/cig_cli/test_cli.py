# SPDX-License-Identifier: GPL-3.0-or-later
"""cig-cli as an operator runs it, against a real management port."""

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cig_cli.interactive import complete
from cig_cli.main import main
from cig_server.mgmt.server import ManagementServer
from unit.cig_server.mgmt.gateway_view import CALL, StillView

GOOD = 'map m { entry e sip "sip:{x}@h" tel "tel:+{x}"; } interfaces { sip { bind ::1; } }\n'


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """The port of a management server that runs in a thread of its own."""
    loop = asyncio.new_event_loop()
    server = ManagementServer(StillView(call_rows=[CALL]), port=0)
    loop.run_until_complete(server.start())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield server.port
    asyncio.run_coroutine_threadsafe(server.stop(), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    loop.close()


def run(port: int, *arguments: str, typed: str | None = None) -> Result:
    environment = {"CIG_MGMT_PORT": str(port)}
    return CliRunner().invoke(main, arguments, input=typed, env=environment)


def test_show_call(port: int) -> None:
    result = run(port, "show", "call")
    assert result.exit_code == 0
    assert result.output.splitlines() == [
        "IN-FROM    IN-TO        OUT-FROM   OUT-TO         STATE",
        "tel:+46    tel:+8888;1  sip:46@gw  sip:1@pbx.com  ANSWER",
        "OK",
    ]


@pytest.mark.parametrize(
    ("arguments", "start"),
    [(("echo", "a", "b"), "a b"), (("echo", "OK"), " OK"), (("show", "umsg"), "FROM "),
     (("status",), "Cryptify Interconnect Gateway v2.7.0"), (("help",), "Cryptify Interconnect")],
)  # fmt: skip
def test_direct_mode(port: int, arguments: tuple[str, ...], start: str) -> None:
    result = run(port, *arguments)
    assert result.exit_code == 0
    assert result.output.startswith(start)
    assert result.output.endswith("OK\n")


@pytest.mark.parametrize(
    "arguments", [("echo", "x"), ("show", "call"), ("show", "umsg"), ("status",), ("help",)]
)
def test_json_is_one_object(port: int, arguments: tuple[str, ...]) -> None:
    result = run(port, *arguments, "--json")
    assert result.exit_code == 0
    assert isinstance(json.loads(result.output), dict)


def test_a_refused_command(port: int) -> None:
    result = run(port, "echo", "\x01")
    assert result.exit_code == 1
    assert "ERROR: a request holds no control characters" in result.output
    assert run(port, "echo", "x" * 5000).exit_code == 2
    assert run(port, "echo", "a\nhelp").exit_code == 2


def test_no_server() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        result = run(closed.getsockname()[1], "status")
    assert result.exit_code == 2
    assert "no CIG server answers at 127.0.0.1:" in result.output
    assert "systemctl status cig-server" in result.output


def test_help_without_a_server_names_the_commands_all_the_same() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        result = run(closed.getsockname()[1], "help")
    assert result.exit_code == 2
    assert "no CIG server answers" in result.output
    assert "read    Test-read the configuration FILE" in result.output


def test_something_else_at_the_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as stranger:

        def answer() -> None:
            connection, _ = stranger.accept()
            with connection:
                connection.recv(100)
                connection.sendall(b"220 mail ready\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        result = run(stranger.getsockname()[1], "status")
        thread.join(10)
    assert result.exit_code == 2
    assert "is it a CIG server?" in result.output


def test_read_needs_no_server(tmp_path: Path) -> None:
    path = tmp_path / "cig.conf"
    path.write_text(GOOD)
    result = run(1, "read", str(path))
    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert "warning W103: map `m` is never used" in lines[0]
    assert lines[-1] == "OK"
    path.write_text(GOOD + "}")
    result = run(1, "read", str(path))
    assert result.exit_code == 1
    assert f"{path}:2:1: error: this `}}` closes no block" in result.output
    assert result.output.endswith("\nERROR\n")


def test_read_json(tmp_path: Path) -> None:
    path = tmp_path / "cig.conf"
    path.write_text(GOOD)
    facts = json.loads(run(1, "read", str(path), "--json").output)
    assert (facts["ok"], facts["errors"], facts["warnings"][0]["code"]) == (True, [], "W103")
    result = run(1, "read", str(tmp_path / "none"), "--json")
    assert result.exit_code == 1
    assert json.loads(result.output)["ok"] is False


def test_prompt(port: int, tmp_path: Path) -> None:
    path = tmp_path / "a b.conf"
    path.write_text(GOOD)
    result = run(port, typed=f"echo hi\n\nread\nread {path}\nnonsense\nquit\n")
    assert result.exit_code == 1
    assert "cig-cli$ hi\nOK\ncig-cli$ cig-cli$ ERROR: wrong arguments" in result.output
    assert "ERROR: unknown command `nonsense`" in result.output
    assert run(port, typed="help\n").exit_code == 0


def test_completion() -> None:
    assert [complete("show", state) for state in range(3)] == ["show call", "show umsg", None]
