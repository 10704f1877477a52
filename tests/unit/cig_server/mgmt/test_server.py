# SPDX-License-Identifier: GPL-3.0-or-later
"""The management port over real sockets."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from cig_common.config import loads
from cig_server.mgmt.server import MAX_CONNECTIONS, ManagementServer
from cig_server.mgmt.token import create_token
from unit.cig_server.mgmt.gateway_view import CALL, StillView

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def serving(server: ManagementServer) -> AsyncIterator[ManagementServer]:
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


async def connect(server: ManagementServer) -> Streams:
    return await asyncio.open_connection("127.0.0.1", server.port)


async def ask(streams: Streams, request: bytes) -> list[str]:
    reader, writer = streams
    writer.write(request + b"\n")
    lines: list[str] = []
    while not lines or not (lines[-1] == "OK" or lines[-1].startswith("ERROR: ")):
        received = await asyncio.wait_for(reader.readline(), 5)
        assert received, lines
        lines.append(received.decode().rstrip("\n"))
    return lines


async def test_the_manuals_commands() -> None:
    async with serving(ManagementServer(StillView(), port=0)) as server:
        streams = await connect(server)
        assert await ask(streams, b"echo hello  there") == ["hello  there", "OK"]
        assert await ask(streams, b"show call") == [
            "IN-FROM    IN-TO      OUT-FROM   OUT-TO     STATE",
            "OK",
        ]
        standing = (await ask(streams, b"show umsg\r"))[1]
        assert standing.split() == ["ZERO", "ZERO", "ZERO", "43321", "umsg"]
        assert (await ask(streams, b"status"))[0] == "Cryptify Interconnect Gateway v2.7.0"
        assert (await ask(streams, b"help"))[:4] == [
            "Cryptify Interconnect Gateway",
            "  echo <anything>      echo test functionality",
            "  show call/umsg       show active calls or umsg sessions",
            "  read <FILE>          test read a configuration file",
        ]


async def test_set_key_is_not_the_servers() -> None:
    async with serving(ManagementServer(StillView(), port=0)) as server:
        streams = await connect(server)
        (answer,) = await ask(streams, b"set-key anything")
        assert answer.startswith("ERROR: set-key is a command of cig-cli itself")
        rows = await ask(streams, b"help")
        assert "  set-key              set the cryptographic key material" in rows


async def test_json() -> None:
    async with serving(ManagementServer(StillView(call_rows=[CALL]), port=0)) as server:
        streams = await connect(server)
        for request in (b"show call", b"show umsg", b"status", b"help", b"echo x"):
            line, end = await ask(streams, request + b" --json")
            assert end == "OK"
            facts = json.loads(line)
            if request == b"show call":
                assert facts["calls"][0]["out_to"] == "sip:1@pbx.com"
            if request == b"status":
                assert (facts["engines_total"], facts["uptime"]) == (3, 43321)


@pytest.mark.parametrize(
    ("request_line", "error"),
    [(b"shwo", "unknown command `shwo`"), (b"show", "show what?"), (b"show cats", "show what?"),
     (b"status now", "wrong arguments"), (b"\xff\xfe", "UTF-8"), (b"a\x00b", "control"),
     (b"x" * 9000, "4096 bytes"), (b"read /etc/cig.conf", "not authorised: "),
     (b"auth", "wrong arguments"), (b"auth 1234", "not authorised: ")],
)  # fmt: skip
async def test_refusals(request_line: bytes, error: str) -> None:
    async with serving(ManagementServer(StillView(), port=0)) as server:
        streams = await connect(server)
        (line,) = await ask(streams, request_line)
        assert line.startswith("ERROR: ")
        assert error in line
        assert await ask(streams, b"echo still here") == ["still here", "OK"]


async def test_read_with_the_token(tmp_path: Path) -> None:
    path = tmp_path / "mgmt-token"
    good, bad = tmp_path / "good file.conf", tmp_path / "bad.conf"
    good.write_text("interfaces { sip { bind ::1; } }")
    bad.write_text("maps x { }")
    token = create_token(path)
    async with serving(ManagementServer(StillView(), token=token, port=0)) as server:
        streams = await connect(server)
        assert await ask(streams, b"auth " + path.read_bytes().strip()) == ["OK"]
        assert await ask(streams, b"read " + bytes(good)) == ["OK"]
        lines = await ask(streams, b"read " + bytes(bad))
        assert "`maps` is no statement here" in lines[0]
        assert "does not load" in lines[-1]
        assert (await ask(streams, b"auth wrong"))[0].startswith("ERROR: ")
        assert (await ask(streams, b"read " + bytes(good)))[0].startswith("ERROR: not authorised")
        other = await connect(server)
        assert (await ask(other, b"read " + bytes(good)))[0].startswith("ERROR: not authorised")


async def test_a_command_that_fails_ends_nothing() -> None:
    async with serving(ManagementServer(StillView(broken=True), port=0)) as server:
        streams = await connect(server)
        assert (await ask(streams, b"show call"))[0].startswith("ERROR: the command failed")
        assert await ask(streams, b"echo x") == ["x", "OK"]
        assert server.counters.failures == 1


async def test_garbage_is_counted() -> None:
    async with serving(ManagementServer(StillView(), port=0)) as server:
        streams = await connect(server)
        await ask(streams, b"\x80" * 10)
        assert (server.counters.garbage, server.counters.requests) == (1, 0)


async def test_one_connection_too_many() -> None:
    async with serving(ManagementServer(StillView(), port=0)) as server:
        held = [await connect(server) for _ in range(MAX_CONNECTIONS)]
        for streams in held:
            await ask(streams, b"echo")
        reader, _ = await connect(server)
        assert (await asyncio.wait_for(reader.read(), 5)).startswith(b"ERROR: too many connections")
        held[0][1].close()
        await held[0][1].wait_closed()
        for _ in range(100):
            extra = await connect(server)
            if (await ask(extra, b"echo x"))[0] == "x":
                break
        else:
            pytest.fail("the place of a closed connection is not free again")
        assert server.counters.refused >= 1


async def test_an_idle_connection_is_closed() -> None:
    async with serving(ManagementServer(StillView(), port=0, idle_seconds=0.05)) as server:
        reader, _ = await connect(server)
        assert await asyncio.wait_for(reader.read(), 5) == b""


async def test_a_reset_connection_ends_nothing() -> None:
    async with serving(ManagementServer(StillView(), port=0)) as server:
        _, writer = await connect(server)
        writer.write(b"status\n" * 100)
        writer.transport.abort()
        streams = await connect(server)
        assert await ask(streams, b"echo x") == ["x", "OK"]


async def test_route() -> None:
    config = loads(
        'map m { entry e sip "sip:{x}@h" tel "tel:+{x}"; }'
        "interfaces { tel { extension map m; } sip { extension map m; bind ::1; } }",
        "cig.conf",
    )
    async with serving(ManagementServer(StillView(config=config), port=0)) as server:
        streams = await connect(server)
        lines = await ask(streams, b"route sip:46@h --from sip:47@h")
        assert "Matched       entry e of map m, cig.conf:1" in lines
        assert lines[-2:] == ["Goes out on   tel", "OK"]
        assert await ask(streams, b"route --from sip:47@h sip:46@h") == lines
        assert await ask(streams, rb'route "sip:46@\u0068" --from "sip:47@h"') == lines
        line, end = await ask(streams, b"route --json sip:46@x")
        assert json.loads(line)["to"]["near"][0]["lacks"] == "needs `@h` at the end"
        assert end == "ERROR: rejected: no to-URI"


@pytest.mark.parametrize(
    "arguments",
    [b"", b"x", b"sip:1@h sip:2@h", b"sip:1@h --from", b"--from sip:1@h", b"a b c d", b'"sip:1@h',
     b'"\\u12" x', b"--from --from --from", b"sip:1@h --form sip:2@h", b'""', b"tel"],
)  # fmt: skip
async def test_route_with_wrong_arguments(arguments: bytes) -> None:
    async with serving(ManagementServer(StillView(), port=0)) as server:
        (line,) = await ask(await connect(server), b"route " + arguments)
        assert line.startswith("ERROR: wrong arguments: ")
        assert server.counters.failures == 0


async def test_queues_of_texts() -> None:
    async with serving(ManagementServer(StillView(), port=0)) as server:
        streams = await connect(server)
        assert (await ask(streams, b"show texts"))[0].startswith("KIND ")
        facts = json.loads((await ask(streams, b"show texts --json"))[0])
        assert facts["queues"][0] == {
            "kind": "read",
            "name": "/var/spool/cig/send",
            "waiting": 12,
            "oldest": 1_793_491_200.0,
            "failed": 2,
            "error": "not-found",
            "error_at": 1_796_083_200.0,
        }
        assert (facts["in_transit"], facts["problem"]) == (3, "")
        assert facts["counters"] == {"sent": 7, "refused": 0}
        assert "  show texts           show the queues of text messages" in await ask(
            streams, b"help"
        )
        status = json.loads((await ask(streams, b"status --json"))[0])
        assert (status["texts_ok"], status["texts_problem"]) == (True, "")
    async with serving(ManagementServer(StillView(broken=True), port=0)) as server:
        assert await ask(await connect(server), b"show texts") == [
            "ERROR: the queues cannot be told: /var/spool/cig/send: Permission denied"
        ]
