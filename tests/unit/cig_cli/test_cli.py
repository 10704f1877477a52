# SPDX-License-Identifier: GPL-3.0-or-later
"""cig-cli as an operator runs it, against a real management port."""

import io
import json
import socket
import threading
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cig_cli.interactive import complete
from cig_cli.main import main
from cig_cli.readfile import note_when_slow

GOOD = 'map m { entry e sip "sip:{x}@h" tel "tel:+{x}"; } interfaces { sip { bind ::1; } }\n'


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
     (("show", "keys"), "Public ID "), (("show", "texts"), "KIND "),
     (("status",), "Cryptify Interconnect Gateway v2.7.0"), (("help",), "Cryptify Interconnect")],
)  # fmt: skip
def test_direct_mode(port: int, arguments: tuple[str, ...], start: str) -> None:
    result = run(port, *arguments)
    assert result.exit_code == 0
    assert result.output.startswith(start)
    assert result.output.endswith("OK\n")


@pytest.mark.parametrize(
    "arguments",
    [("echo", "x"), ("show", "call"), ("show", "umsg"), ("show", "texts"), ("status",), ("help",)],
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
    assert "read     Test-read the configuration FILE" in result.output


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


def test_read_strict(tmp_path: Path) -> None:
    path = tmp_path / "cig.conf"
    path.write_text(GOOD)
    result = run(1, "read", "--strict", str(path))
    assert result.exit_code == 1
    *_, summary, last = result.output.splitlines()
    assert summary == "1 warning counted as errors: W103 (see docs/warnings.md)"
    assert last == "ERROR"
    facts = json.loads(run(1, "read", "--strict", "--json", str(path)).output)
    assert (facts["ok"], facts["counts"]) == (False, {"errors": 0, "warnings": 1})
    path.write_text(GOOD.replace("interfaces { ", "interfaces { tel { extension map m; } "))
    result = run(1, "read", "--strict", str(path))
    assert (result.exit_code, result.output) == (0, "OK\n")


def test_read_shows_no_more_than_anybody_reads(tmp_path: Path) -> None:
    path = tmp_path / "cig.conf"
    path.write_text("interfaces { sip { bind ::1; } }\n" + "maps x;\n" * 300 + "map m { }")
    result = run(1, "read", str(path))
    assert result.output.count(": error: ") == 200
    assert "\n… and 100 more errors\n" in result.output
    assert result.output.endswith("\n300 errors\nERROR\n")
    facts = json.loads(run(1, "read", str(path), "--json").output)
    assert (len(facts["errors"]), facts["counts"]["errors"]) == (200, 300)
    path.write_text("maps x;\n" * 12000)
    end = "\n… and 11,800 more errors\n12,000 errors\nERROR\n"
    assert run(1, "read", str(path)).output.endswith(end)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_one_who_waits_for_a_big_file_is_told_so() -> None:
    stream = Terminal()
    written = threading.Event()
    stream.write = lambda text: written.set() or io.StringIO.write(stream, text)  # type: ignore[assignment,method-assign]
    with note_when_slow("big.conf", stream, patience=0):
        assert written.wait(10)
    assert "reading 'big.conf' …" in stream.getvalue()
    quick = Terminal()
    with note_when_slow("small.conf", quick):
        pass
    with note_when_slow("big.conf", io.StringIO(), patience=0):
        pass
    assert quick.getvalue() == ""


def test_prompt(port: int, tmp_path: Path) -> None:
    path = tmp_path / "a b.conf"
    path.write_text(GOOD)
    typed = f"echo hi\n\nread\nread 'x\nread --strict '{path}'\nread '{path}'\nnonsense\nquit\n"
    result = run(port, typed=typed)
    assert result.exit_code == 1
    assert "cig-cli$ hi\nOK\ncig-cli$ cig-cli$ Usage: read [OPTIONS] FILE\n" in result.output
    assert "ERROR: read: No closing quotation: put a text with spaces in quotes" in result.output
    assert result.output.count("warning W103") == 2
    assert result.output.count("\nERROR\ncig-cli$ ") == result.output.count("\nOK\ncig-cli$ c") == 1
    assert "ERROR: unknown command `nonsense`" in result.output
    assert run(port, typed="help\n").exit_code == 0


def test_completion() -> None:
    shown = ["show call", "show keys", "show texts", "show umsg", None]
    assert [complete("show", state) for state in range(5)] == shown


def offered(line: str) -> list[str]:
    found: list[str] = []
    while (text := complete(line, len(found))) is not None:
        found.append(text)
    return found


def test_completion_of_options_and_files(tmp_path: Path) -> None:
    assert offered("r") == ["read ", "reload", "route "]
    assert offered("route sip:1@h --f") == ["route sip:1@h --file ", "route sip:1@h --from "]
    assert offered("reload ") == ["reload --json", "reload --token-file "]
    assert offered("read x --s") == ["read x --strict"]
    assert offered("status") == offered("nonsense ") == []
    (tmp_path / "a b.conf").touch()
    (tmp_path / "sub").mkdir()
    assert offered(f"read {tmp_path}/a") == [f"read '{tmp_path}/a b.conf'"]
    assert offered(f"route sip:1@h --file {tmp_path}/s") == [
        f"route sip:1@h --file {tmp_path}/sub/"
    ]
    assert offered(f"read {tmp_path}/none/x") == []
