# SPDX-License-Identifier: GPL-3.0-or-later
"""What strangers send and what breaks: each costs its own call or packet, and is told."""

import asyncio
import dataclasses
import os
import random
import signal
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from cig_lab import ports, signals
from cig_lab.analysis import compare
from cig_lab.environment import GATEWAY_URI, HOST, SECURE_URI, Environment, Plan
from cig_lab.kms import LabKms, months_for
from cig_lab.phone.call import SecureCall
from cig_lab.phone.crypto import PhoneCrypto
from cig_lab.process import run
from cig_lab.sip_phone.call import SipCall
from umsg.messages import Bang, Message
from umsg.reasons import Reason


@pytest.fixture
async def lab() -> AsyncIterator[Environment]:
    async with Environment(Plan(mgmt_port=ports.free_port(HOST, ("tcp",)))) as environment:
        yield environment
        assert environment.relay.returncode is None, environment.tails()
        assert environment.server.returncode is None, environment.tails()
        for log in ("cig-server.log", "cig-relay.log"):
            assert "Traceback" not in (environment.folder / log).read_text()


async def call_up(lab: Environment) -> tuple[SecureCall, SipCall]:
    secure = await lab.phone.dial("+8888w101")
    plain = await asyncio.wait_for(lab.sip_phone.incoming(), 10)
    await plain.accept()
    await asyncio.wait_for(secure.up, 10)
    return secure, plain


async def still_heard(secure: SecureCall, plain: SipCall) -> None:
    """Both directions of a call carry voice at this moment."""
    there, back = signals.make("rise", 1.0), signals.make("fall", 1.0)
    await asyncio.gather(secure.play(there), plain.play(back))
    async with asyncio.timeout(5):
        while not (compare(there, plain.recorded()).ok and compare(back, secure.recorded()).ok):
            await asyncio.sleep(0.05)


async def until(condition: Callable[[], Awaitable[bool]], seconds: float = 15) -> None:
    async with asyncio.timeout(seconds):
        while not await condition():
            await asyncio.sleep(0.02)


def in_log(lab: Environment, name: str, words: str) -> bool:
    lines = (lab.folder / name).read_text().splitlines()
    return any("[WARN]" in line and words in line for line in lines)


def crypto_of(uri: str) -> PhoneCrypto:
    """Keys for ``uri`` from a KMS that the gateway does not know."""
    return PhoneCrypto(LabKms().user_keys(uri, months_for(time.time())))


def made_anew(bang: Bang, crypto: PhoneCrypto, **changes: object) -> bytes:
    fields = {
        "id": bang.id,
        "from_uri": bang.from_uri,
        "to_uri": bang.to_uri,
        "offer": bang.offer,
        "dtmf": bang.dtmf,
        "now": time.time(),
    }
    return crypto.place(**(fields | changes))[0]  # type: ignore[arg-type]


BAD_MESSAGES: dict[str, Callable[[Bang, Environment], Bang]] = {
    "malformed": lambda bang, lab: dataclasses.replace(bang, mikey=bang.mikey[:-1]),
    "bad-signature": lambda bang, lab: dataclasses.replace(
        bang, mikey=made_anew(bang, crypto_of(SECURE_URI))
    ),
    "wrong-signer": lambda bang, lab: dataclasses.replace(
        bang, mikey=made_anew(bang, crypto_of("tel:+46709999999"))
    ),
    "too-old": lambda bang, lab: dataclasses.replace(
        bang, mikey=made_anew(bang, lab.phone._crypto, now=time.time() - 3600)
    ),
    "too-new": lambda bang, lab: dataclasses.replace(
        bang, mikey=made_anew(bang, lab.phone._crypto, now=time.time() + 3600)
    ),
    "not-for-us": lambda bang, lab: dataclasses.replace(
        bang, mikey=made_anew(bang, lab.phone._crypto, to_uri="tel:+9999")
    ),
    "binding": lambda bang, lab: dataclasses.replace(bang, to_uri=GATEWAY_URI + ";102"),
}


async def test_every_bad_mikey_message_is_refused_told_and_disturbs_nobody(
    lab: Environment,
) -> None:
    seen: list[Bang] = []
    change: Callable[[Bang, Environment], Bang] | None = None

    def tamper(message: Message) -> Message:
        if not isinstance(message, Bang):
            return message
        seen.append(message)
        return change(message, lab) if change is not None else message

    lab.crs.tamper = tamper
    secure, plain = await call_up(lab)
    changes = dict(BAD_MESSAGES)
    changes["replayed"] = lambda bang, lab: dataclasses.replace(bang, mikey=seen[0].mikey)
    for word, how in changes.items():
        change = how
        victim = await lab.phone.dial("+8888w101")
        ending = await asyncio.wait_for(victim.ended, 10)
        assert ending.reason is Reason.CRYPTO, word
        assert not ending.text, "which check failed is not for the caller"
        assert in_log(lab, "cig-relay.log", word), word
        assert in_log(lab, "cig-server.log", word), word
    change = None
    assert not secure.ended.done()
    await still_heard(secure, plain)


async def test_an_invite_that_no_map_routes_gets_404_and_a_failed_line(lab: Environment) -> None:
    call = await lab.sip_phone.dial(f"sip:123@{HOST}", through=lab.gateway)
    ending = await asyncio.wait_for(call.ended, 10)
    assert ending.status == 404
    lines = (lab.folder / "session.log").read_text().splitlines()
    assert [line.split(", ")[6] for line in lines] == ["routing", "failed"]


async def test_the_crs_away_means_503_and_is_told_and_the_server_comes_back(
    lab: Environment,
) -> None:
    async def connected() -> bool:
        return bool((await lab.ask("status"))["umsg_connected"])

    async def away() -> bool:
        return not await connected()

    await lab.crs.stop()
    await until(away)
    status = await lab.cli("status")
    assert "DISCONNECTED (" in status
    call = await lab.sip_phone.dial(f"sip:946701234567@{HOST}", through=lab.gateway)
    assert (await asyncio.wait_for(call.ended, 10)).status == 503
    # A server that starts while the CRS is away stays up and logs in later.
    await lab.server.stop()
    await lab.start_server()
    call = await lab.sip_phone.dial(f"sip:946701234567@{HOST}", through=lab.gateway)
    assert (await asyncio.wait_for(call.ended, 10)).status == 503
    await lab.crs.start()
    await until(connected)
    await asyncio.wait_for(lab.phone.ready(), 15)
    await still_heard(*await call_up(lab))


async def test_a_killed_relay_ends_both_parties_within_2_s_and_is_taken_back(
    lab: Environment,
) -> None:
    secure, plain = await call_up(lab)
    os.kill(lab.relay.pid, signal.SIGKILL)
    both = asyncio.gather(secure.ended, plain.ended)
    ending, _ = await asyncio.wait_for(both, 2)
    assert ending.reason is Reason.MEDIA

    call = await lab.sip_phone.dial(f"sip:946701234567@{HOST}", through=lab.gateway)
    assert (await asyncio.wait_for(call.ended, 10)).status == 503

    await lab.start_relay()

    async def taken_back() -> bool:
        status = await lab.ask("status")
        return bool(status["relay_connected"] and status["engines_available"] == 3)

    await until(taken_back)
    await still_heard(*await call_up(lab))


def engines(lab: Environment) -> list[int]:
    children = Path(f"/proc/{lab.relay.pid}/task/{lab.relay.pid}/children").read_text().split()
    assert children, "the engines are processes of their own"
    return list(map(int, children))


async def test_a_killed_engine_is_replaced_while_calls_go_on(lab: Environment) -> None:
    secure, plain = await call_up(lab)
    os.kill(engines(lab)[-1], signal.SIGKILL)
    await still_heard(secure, plain)
    await still_heard(*await call_up(lab))


async def test_engines_that_all_hang_cost_a_call_some_seconds_and_no_more(
    lab: Environment,
) -> None:
    first = await call_up(lab)
    for pid in engines(lab):
        os.kill(pid, signal.SIGSTOP)
    secure = await lab.phone.dial("+8888w101")
    plain = await asyncio.wait_for(lab.sip_phone.incoming(), 30)
    await plain.accept()
    await asyncio.wait_for(secure.up, 10)
    await still_heard(secure, plain)
    await still_heard(*first)

    async def replaced() -> bool:
        status = await lab.ask("status")
        return bool(status["engines_available"] == 3)

    await until(replaced, 30)
    assert in_log(lab, "cig-relay.log", "did not answer in 10 s and was ended")


async def test_garbage_on_every_port_is_counted_and_ignored(lab: Environment) -> None:
    secure, plain = await call_up(lab)
    draw = random.Random(1)
    pieces = [b"", b"\0", b"\r\n\r\n", b"INVITE", b"SIP/2.0 200 OK\r\n\r\n", b"\xff" * 1400]
    pieces += [bytes([first]) + draw.randbytes(draw.randrange(0, 300)) for first in range(256)]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        for piece in pieces:
            stranger.sendto(piece, (HOST, lab.sip_port))
        for port in lab.rtp_ports:
            for piece in draw.sample(pieces, 12):
                stranger.sendto(piece, (HOST, port))
    for port in (lab.sip_port, lab.mgmt_port, lab.crs.tls_address[1]):
        for piece in draw.sample(pieces, 20):
            _, writer = await asyncio.open_connection(HOST, port)
            writer.write(piece * 5)
            writer.close()
    for piece in pieces[:12]:
        _, writer = await asyncio.open_unix_connection(str(lab.folder / "relay.sock"))
        writer.write(piece)
        writer.close()
    await still_heard(secure, plain)
    status = await lab.cli("status")
    assert "Management garbage" in status
    assert "Relay tel_rejected" in status
    assert "Relay sip_rejected" in status


@pytest.mark.parametrize("program", ["cig-server", "cig-relay"])
async def test_a_wrong_configuration_stops_the_start_and_says_where(
    program: str, tmp_path: Path
) -> None:
    file = tmp_path / "cig.conf"
    file.write_text('map m {\n  entry e tel "tel:+1" spi "sip:a@b";\n}\n')
    code, output = await run(program, "--config", str(file))
    assert code == 2
    assert f"{file}:2:24: " in output
    assert "spi" in output
    assert "^" in output


async def test_an_address_that_cannot_be_had_is_told(tmp_path: Path) -> None:
    file = tmp_path / "cig.conf"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind((HOST, 0))
        port = taken.getsockname()[1]
        # More than once: the SIP stack's thread must have ended before the process does.
        # 192.0.2.1 (RFC 5737) is on no host.
        for bind, words in (*[(HOST, "in use")] * 3, ("192.0.2.1", "cannot listen on 192.0.2.1")):
            file.write_text(f"interfaces {{ sip {{ bind {bind}; port {port}; }} }}\n")
            socket_path = str(tmp_path / "relay.sock")
            code, output = await run(
                *("cig-server", "--config", str(file), "--relay-socket", socket_path),
                *("--mgmt-port", "0"),
            )
            assert code == 1
            assert words in output


async def test_a_missing_configuration_stops_the_start_too(tmp_path: Path) -> None:
    code, output = await run("cig-server", "--config", str(tmp_path / "none.conf"))
    assert code == 2
    assert "none.conf" in output
