# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages as text: what is shown, that nothing raises, and the command that shows it."""

import base64
import os
import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mikey_sakke import MalformedError, MikeySakkeError, sdp
from mikey_sakke.dump import dump, fault, recognise
from mikey_sakke.header import GenericCs, GenericIdMap
from mikey_sakke.initiator import BuildOptions
from mikey_sakke.message import IMessage
from mikey_sakke.payloads import (
    GeneralExtension,
    Idr,
    IdRole,
    KeyId,
    SecurityPolicy,
    Timestamp,
)
from unit.mikey_sakke import strategies
from unit.mikey_sakke.calls import MESSAGE, built, signed, with_payload
from unit.mikey_sakke.mcx_calls import their_message

BASE64 = base64.b64encode(MESSAGE)
DESCRIPTION = f"v=0\r\ns=-\r\na=key-mgmt:mikey {BASE64.decode()}\r\nm=audio 1 RTP/SAVP 0\r\n"


def shown(octets: bytes) -> list[str]:
    text = dump(octets)
    assert text.endswith("\n")
    assert all(line.isprintable() for line in text.split("\n"))
    return [line.strip() for line in text.splitlines()]


def test_a_message_of_ours():
    lines = shown(MESSAGE)
    for line in (
        "MIKEY message, 580 octets",
        "octet 0: HDR, common header",
        "data type: 26 (SAKKE)",
        "PRF func: 1 (PRF-HMAC-SHA-256)",
        "CS ID map type: 0 (SRTP-ID)",
        "CS ID 1: policy 0, SSRC cafebabe, ROC 0",
        "CS ID 2: policy 0, SSRC 00000000, ROC 0",
        "TS type: 0 (NTP-UTC)",
        "ID role: 1 (IDRi, initiator)",
        "ID data: 'tel:+46701234567' (16 octets)",
        "0 (encryption algorithm): 1 (AES-CM)",
        "2 (authentication algorithm): 1 (HMAC-SHA-1)",
        "11 (authentication tag length): 10",
        "crypto suite: AES_CM_128_HMAC_SHA1_80",
        "ID scheme: 1 (tel URI with monthly keys)",
        "type: 0 (VENDOR)",
        "S type: 2 (ECCSI)",
    ):
        assert line in lines
    assert any(line.endswith(", 2026-11-17 07:20:00.000000 UTC") for line in lines)
    assert not any(line.startswith(("FAULT", "reason")) for line in lines)
    assert fault(MESSAGE) is None


def test_a_message_of_another_product():
    lines = shown(their_message("GMK"))
    for line in (
        "CS ID 4: protocol 0, S 0, policies [0], session data none, SPI 0e144748034db662",
        "ID role: 8 (IDRuidi, initiator's UID)",
        "ID data: 'kms.mydev.streamwide.com' (24 octets)",
        "2 (authentication algorithm): 4 (RCCm3)",
        "ID scheme: 2 (3GPP hashed UID)",
        "type: 7 (KEY_PARAMETERS)",
    ):
        assert line in lines


def test_times_after_the_roll_over_of_2036():
    late = with_payload(IMessage.parse(MESSAGE), Timestamp(5 << 32))
    assert any("2036-02-07 06:28:21" in line for line in shown(signed(late)))


def test_what_is_wrong_is_told_with_what_could_be_read():
    lines = shown(MESSAGE[:200])
    assert "MIKEY message, 200 octets" in lines
    assert "ID role: 1 (IDRi, initiator)" in lines
    (told,) = (line for line in lines if line.startswith("FAULT"))
    assert "cut short" in told
    assert lines[-1] == "reason malformed, MIKEY error number 12 (unspecified)"


def test_payloads_that_have_no_place_are_named():
    raw = bytearray(MESSAGE)
    raw[2] = 7
    lines = shown(bytes(raw))
    assert "octet 28: payload 7 (CERT), which is not read" in lines
    assert lines[-1] == "reason unsupported, MIKEY error number 13 (unsupported message)"


def test_octets_after_the_signature_are_shown():
    lines = shown(MESSAGE + b"\xab\xcd")
    assert "octet 580: 2 octets not read" in lines
    assert "abcd" in lines


def test_what_is_unfit_in_payloads_is_told():
    message = IMessage.parse(MESSAGE)
    options = BuildOptions(
        extensions=(GeneralExtension.of_key_ids(KeyId(1, b"k")), GeneralExtension(3, b"\1\5"))
    )
    lines = shown(built(options=options).message)
    assert "key ID type 1: 6b" in lines
    assert any(line.startswith("unfit: message cut short") for line in lines)
    other = with_payload(message, SecurityPolicy(0, ((1, b"\2"),), protocol=9))
    lines = shown(signed(other))
    assert "type 1: 02" in lines
    assert "unfit: policy of protocol 9: only SRTP is supported" in lines
    session = GenericCs(3, 0, True, b"\0\1", bytes(10), b"")
    generic = replace(message, header=replace(message.header, cs_map=GenericIdMap((session,))))
    wanted = "CS ID 3: protocol 0, S 1, policies [0, 1], session data " + "00" * 10 + ", SPI none"
    assert wanted in shown(signed(generic))


@given(st.binary(max_size=700))
@example(b"")
def test_any_octets_are_shown(octets):
    for raw in (octets, MESSAGE[:28] + octets, b"\x01\x1a\x05" + octets):
        lines = shown(raw)
        assert (fault(raw) is None) == (not any(line.startswith("FAULT") for line in lines))


@given(strategies.messages())
def test_any_message_is_shown_whole(message):
    raw = message.encode()
    assert len([line for line in shown(raw) if line.startswith("octet")]) == (
        len(message.payloads) + 2
    )


@given(st.lists(st.tuples(st.integers(0, len(MESSAGE) - 1), strategies.octet), max_size=6))
def test_changed_messages_are_shown(changes):
    raw = bytearray(MESSAGE)
    for offset, value in changes:
        raw[offset] = value
    shown(bytes(raw))


FORMS = {
    "octets": MESSAGE,
    "hex": MESSAGE.hex().encode(),
    "spaced hex": MESSAGE.hex(" ").upper().encode() + b"\n",
    "colons": MESSAGE.hex(":").encode(),
    "0x": b"0x" + MESSAGE.hex().encode(),
    "base64": BASE64,
    "wrapped base64": base64.encodebytes(MESSAGE),
    "line": sdp.make_line(MESSAGE).encode(),
    "value": b"mikey " + BASE64,
    "description": DESCRIPTION.encode(),
}


@pytest.mark.parametrize("form", FORMS)
def test_the_form_is_recognised(form):
    assert recognise(FORMS[form]) == MESSAGE


@pytest.mark.parametrize(
    "text",
    [b"", b"\n", b"hello there!", b"a=key-mgmt:mikey ???", BASE64[:-1], b"A" * 70_000, b"\xff\xfe"],
)
def test_what_is_no_message(text):
    with pytest.raises(MalformedError):
        recognise(text)


def test_digits_that_lack_one_are_told_as_what_they_are():
    with pytest.raises(MalformedError, match="odd number of hexadecimal digits"):
        recognise(MESSAGE.hex().encode()[:-1])


@given(st.binary(max_size=300) | st.text(max_size=300).map(lambda text: text.encode("utf-8")))
def test_recognising_raises_nothing_else(octets):
    for raw in (octets, b"mikey " + octets, b"a=key-mgmt:" + octets):
        try:
            recognise(raw)
        except MikeySakkeError:
            continue


def command(*arguments: str, given: bytes = b"", encoding: str = "utf-8") -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "mikey_sakke", *arguments],
        input=given,
        env={**os.environ, "PYTHONIOENCODING": encoding},
        capture_output=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def test_the_command_reads_a_file_or_its_input(tmp_path):
    path = tmp_path / "message"
    path.write_bytes(BASE64)
    expected = (0, dump(MESSAGE), "")
    assert command(str(path)) == expected
    assert command("-", given=DESCRIPTION.encode()) == expected
    assert command(given=MESSAGE) == expected


def test_the_command_shows_what_the_terminal_cannot_write():
    named = with_payload(IMessage.parse(MESSAGE), Idr(IdRole.INITIATOR, "sip:åsa@x".encode()))
    code, output, told = command(given=signed(named), encoding="ascii")
    assert (code, told) == (0, "")
    assert "ID data: 'sip:\\xe5sa@x' (10 octets)" in output


def test_the_command_without_any_input():
    program = [sys.executable, "-m", "mikey_sakke"]
    closed = subprocess.run(
        ["/bin/sh", "-c", 'exec "$@" <&-', "sh", *program],
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert (closed.returncode, closed.stdout) == (2, b"")
    assert closed.stderr == b"cannot read '-': Bad file descriptor\n"


def test_the_command_tells_what_is_wrong(tmp_path):
    code, output, _ = command(given=MESSAGE[:100])
    assert (code, output) == (1, dump(MESSAGE[:100]))
    for arguments, octets in (
        ((str(tmp_path / "missing"),), b""),
        ((str(tmp_path),), b""),
        (("a", "b"), b""),
        (("--unknown",), b""),
        (("-",), b"nothing"),
    ):
        code, output, told = command(*arguments, given=octets)
        assert (code, output) == (2, "")
        assert told
        assert "Traceback" not in told
    code, output, _ = command("--help")
    assert code == 0
    assert "usage" in output
