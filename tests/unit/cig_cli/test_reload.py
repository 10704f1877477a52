# SPDX-License-Identifier: GPL-3.0-or-later
"""`cig-cli reload`: the token goes to the service and to nobody else, and every refusal is told."""

from __future__ import annotations

import json
import os
import socket
import threading
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cig_cli.main import main
from cig_cli.token import Token, peer_owner
from cig_common.config import Diagnostic
from cig_server.mgmt.token import create_token
from cig_server.mgmt.view import NeedsRestart, ReloadReport
from unit.cig_cli import conftest
from unit.cig_server.mgmt.gateway_view import StillView

FILE = "/opt/cig/cig.conf"
MISTAKE = Diagnostic(FILE, 3, 1, "`maps` is no statement here", "did you mean `map`?", "maps x;")
REFUSED = ReloadReport(FILE, "", 1.0, refusal="1 mistake", problems=(MISTAKE,))
TAKEN = ReloadReport(
    FILE,
    "",
    1.0,
    changes=("map `m`: added, 3 entries",),
    restart=(NeedsRestart("bind", "192.0.2.1", "192.0.2.2", 31),),
    relay="cig-relay is not connected: it takes the file when it starts",
)
NOBODY = 65534
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")


def serving(report: ReloadReport, token: Path) -> AbstractContextManager[int]:
    """Run a management port that has a token; gives its number."""
    return conftest.serving(StillView(report=report), create_token(token))


@pytest.fixture
def token(tmp_path: Path) -> Path:
    return tmp_path / "mgmt-token"


def run(port: int, token: Path, *arguments: str) -> Result:
    environment = {"CIG_MGMT_PORT": str(port), "CIG_MGMT_TOKEN": str(token)}
    return CliRunner().invoke(main, ("reload", *arguments), env=environment)


def test_a_file_that_is_taken(token: Path) -> None:
    with serving(TAKEN, token) as port:
        result = run(port, token)
        assert (result.exit_code, result.output.splitlines()) == (
            0,
            [
                "map `m`: added, 3 entries",
                f"{FILE}:31: bind 192.0.2.2 is taken when cig-server is restarted; until then it "
                "stays 192.0.2.1",
                "cig-relay is not connected: it takes the file when it starts",
                "OK",
            ],
        )
        facts = json.loads(run(port, token, "--json").output)
        assert facts["ok"] is True
        assert facts["restart"] == [
            {"what": "bind", "old": "192.0.2.1", "new": "192.0.2.2", "line": 31}
        ]


def test_a_file_that_is_refused(token: Path) -> None:
    with serving(REFUSED, token) as port:
        result = run(port, token)
        assert result.exit_code == 1
        assert f"{FILE}:3:1: error: `maps` is no statement here" in result.output
        assert "did you mean `map`?" in result.output
        assert "was refused: 1 mistake; the old one stays in use" in result.output
        result = run(port, token, "--json")
        facts = json.loads(result.output)
        assert (result.exit_code, facts["ok"], facts["problems"][0]["line"]) == (1, False, 3)


def test_the_option_names_the_file(token: Path) -> None:
    with serving(TAKEN, token) as port:
        assert run(port, token.with_name("absent"), "--token-file", str(token)).exit_code == 0
        result = run(port, token.with_name("absent"))
        assert result.exit_code == 1
        assert "absent cannot be read: No such file or directory" in result.output
        assert "use --token-file or CIG_MGMT_TOKEN" in result.output


def test_the_prompt_takes_it_too(token: Path) -> None:
    with serving(TAKEN, token) as port:
        environment = {"CIG_MGMT_PORT": str(port), "CIG_MGMT_TOKEN": str(token)}
        result = CliRunner().invoke(main, input="reload\n", env=environment)
        assert result.exit_code == 0
        assert result.output.startswith("cig-cli$ map `m`: added, 3 entries\n")


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"two words", b"a\nb"])
def test_a_file_that_holds_no_token(token: Path, content: bytes) -> None:
    with serving(TAKEN, token) as port:
        token.write_bytes(content)
        result = run(port, token)
        assert result.exit_code == 1
        assert "holds no token" in result.output


def test_the_token_of_an_earlier_run_is_refused(token: Path) -> None:
    with serving(TAKEN, token) as port:
        token.write_text("0123456789abcdef" * 4)
        result = run(port, token)
        assert result.exit_code == 1
        assert "The token is new at each start of cig-server" in result.output


@needs_root
def test_who_may_not_read_it_is_told_so(token: Path) -> None:
    token.parent.chmod(0o755)
    for folder in token.parents[1:3]:
        folder.chmod(folder.stat().st_mode | 0o055)
    with serving(TAKEN, token) as port:
        os.setegid(NOBODY)
        os.seteuid(NOBODY)
        try:
            result = run(port, token)
        finally:
            os.seteuid(0)
            os.setegid(0)
    assert result.exit_code == 1
    assert "you may not read the token" in result.output
    assert "sudo" in result.output


@needs_root
def test_the_token_does_not_go_to_another_users_port(token: Path) -> None:
    """Somebody else holds the port while the service is down: he must not get the token."""
    token.write_text("0123456789abcdef" * 4)
    os.chown(token, NOBODY, NOBODY)
    heard = []
    with socket.create_server(("127.0.0.1", 0)) as stranger:

        def listen() -> None:
            connection, _ = stranger.accept()
            with connection:
                while data := connection.recv(1000):
                    heard.append(data)
                    connection.sendall(b"OK\n")

        thread = threading.Thread(target=listen)
        thread.start()
        result = run(stranger.getsockname()[1], token)
        thread.join(10)
    assert result.exit_code == 1
    assert "the token was not sent" in result.output
    assert f"belongs to uid 0, but the token belongs to uid {NOBODY}" in result.output
    assert b"".join(heard) == b"echo cig-cli\n"


def test_the_kernel_tells_whose_the_other_end_is() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        with socket.create_connection(server.getsockname()) as client:
            ours, theirs = client.getsockname(), client.getpeername()
            assert peer_owner(ours, theirs) is None, "nobody has accepted it yet"
            with server.accept()[0]:
                assert peer_owner(ours, theirs) == os.geteuid()
        assert peer_owner(("192.0.2.1", 1), ("192.0.2.2", 2)) is None
        assert peer_owner(("::1", 1), ("::1", 2)) is None


def test_a_token_is_not_shown() -> None:
    assert "secret" not in repr(Token("secret", 0))


def test_no_server(token: Path) -> None:
    token.write_text("a" * 64)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        result = run(closed.getsockname()[1], token)
    assert result.exit_code == 2
    assert "no CIG server answers" in result.output
