# SPDX-License-Identifier: GPL-3.0-or-later
"""A MIKEY-SAKKE message as text for people: every payload, field by field.

`dump` takes octets of any content and never raises: it shows what can be read and says at which
octet it went wrong, and why. `recognise` finds the message in what people have at hand: the
octets themselves, hexadecimal digits, base64, or a session description. Nothing is decrypted
or verified here, and nothing secret is in a message that could be shown.
"""

import base64
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from mikey_sakke import sdp
from mikey_sakke.errors import ErrorNumber, MalformedError, MikeySakkeError
from mikey_sakke.header import Header, SrtpIdMap
from mikey_sakke.message import MAX_LENGTH, MAX_PAYLOADS, IMessage
from mikey_sakke.names import (
    ID_SCHEME_NAMES,
    ID_TYPE_NAMES,
    MAP_NAMES,
    PAYLOAD_NAMES,
    POLICY_NAMES,
    POLICY_VALUES,
    PRF_NAMES,
    ROLE_NAMES,
    SIGNATURE_NAMES,
    TS_NAMES,
    named,
)
from mikey_sakke.payloads import (
    PAYLOAD_CLASSES,
    ExtensionType,
    GeneralExtension,
    Idr,
    Payload,
    PayloadType,
    Rand,
    Sakke,
    SecurityPolicy,
    Sign,
    Timestamp,
)
from mikey_sakke.periods import NTP_TO_UNIX
from mikey_sakke.policy import PROTOCOL_SRTP, SrtpPolicy, policy_name
from mikey_sakke.wire import Reader

_FIRST_OCTET = 1
"""The version, with which every message in octets begins; no text begins with it."""
_LONGEST_TEXT = 65_536
_SHOWN = 32
"""Octets of a long value that are shown."""
_ERA = timedelta(seconds=1 << 32)
_NTP_EPOCH = datetime(1970, 1, 1, tzinfo=UTC) - timedelta(seconds=NTP_TO_UNIX)
_HEX = re.compile(rb"(?:0[xX])?[0-9a-fA-F:\s]+")
_BASE64 = re.compile(rb"[A-Za-z0-9+/\s]+={0,2}\s*")


def recognise(octets: bytes) -> bytes:
    """Give the message in octets, hexadecimal digits, base64 or a session description.

    Of a description it is the first `a=key-mgmt:mikey` attribute; a line may also begin at
    `mikey `. Raises `MalformedError` where it is none of them or longer than 64 KiB.
    """
    if octets[:1] == bytes((_FIRST_OCTET,)):
        return octets
    if len(octets) > _LONGEST_TEXT:
        raise MalformedError(f"a text of more than {_LONGEST_TEXT} octets holds no message")
    text = octets.strip()
    if _HEX.fullmatch(text):
        digits = re.sub(rb"[:\s]", b"", text.lower().removeprefix(b"0x"))
        if len(digits) % 2:  # base64 it is not either: that comes in fours
            raise MalformedError("an odd number of hexadecimal digits: one was lost at least")
        if digits:
            return bytes.fromhex(digits.decode("ascii"))
    found = _of_description(text.decode("utf-8", "replace"))
    if found is not None:
        return found
    if _BASE64.fullmatch(text):
        try:
            return base64.b64decode(b"".join(text.split()), validate=True)
        except ValueError:
            raise MalformedError("the base64 is cut short or misses its `=`") from None
    raise MalformedError(
        "no message found: wanted are its octets, hexadecimal digits, base64 or a=key-mgmt:mikey"
    )


def _of_description(text: str) -> bytes | None:
    for line in text.splitlines():
        start = line.find("key-mgmt:")
        value = line[start + 9 :] if start >= 0 else line
        value = value.strip()
        if value.startswith("mikey "):
            return sdp.KeyMgmt(sdp.MIKEY, value[6:].strip()).octets()
    return None


def dump(octets: bytes) -> str:
    """Show a message of any octets as text, lines that end in a newline. Never raises."""
    return "".join(f"{line}\n" for line in _lines(octets))


def fault(octets: bytes) -> MikeySakkeError | None:
    """Give what is wrong with the form of a message, or None where it can be read whole."""
    try:
        IMessage.parse(octets)
    except MikeySakkeError as error:
        return error
    return None


def _lines(octets: bytes) -> Iterator[str]:
    yield f"MIKEY message, {len(octets)} octets"
    reader = Reader(octets[:MAX_LENGTH])
    try:
        yield from _walk(reader)
    except MikeySakkeError:
        # What is wrong is said below, in the words of the parser that refuses the message.
        yield f"octet {reader.offset}: unreadable from about here on"
    rest = octets[reader.offset :]
    if rest:
        yield f"octet {reader.offset}: {len(rest)} octets not read"
        yield f"  {_hex(rest)}"
    wrong = fault(octets)
    if wrong is not None:
        number = named(wrong.error_number, _ERROR_NAMES)
        yield f"FAULT: {wrong}"
        yield f"  reason {wrong.reason}, MIKEY error number {number}"


def _walk(reader: Reader) -> Iterator[str]:
    header, following = Header.parse(reader)
    yield "octet 0: HDR, common header"
    yield from _indented(_header(header, following))
    for _ in range(MAX_PAYLOADS - 1):
        start = reader.offset
        name = named(following, PAYLOAD_NAMES)
        if following == PayloadType.SIGN:
            yield f"octet {start}: {name}"
            yield from _indented(_sign(Sign.parse(reader)))
            return
        payload_class = PAYLOAD_CLASSES.get(following)
        if payload_class is None:
            yield f"octet {start}: payload {name}, which is not read"
            return
        yield f"octet {start}: {name}"
        following = reader.uint(1)
        payload: Payload = payload_class.parse(reader)
        yield f"  next payload: {named(following, PAYLOAD_NAMES)}"
        yield from _indented(_payload(payload))


def _header(header: Header, following: int) -> Iterator[str]:
    yield "version: 1"
    yield "data type: 26 (SAKKE)"
    yield f"next payload: {named(following, PAYLOAD_NAMES)}"
    yield f"V: {int(header.v)}"
    yield f"PRF func: {named(header.prf_func, PRF_NAMES)}"
    yield f"CSB ID: {header.csb_id:08x}"
    yield f"#CS: {header.cs_map.count}"
    yield f"CS ID map type: {named(header.cs_map.map_type, MAP_NAMES)}"
    if isinstance(header.cs_map, SrtpIdMap):
        for cs_id, session in enumerate(header.cs_map.sessions, start=1):
            yield (
                f"  CS ID {cs_id}: policy {session.policy_no}, "
                f"SSRC {session.ssrc:08x}, ROC {session.roc}"
            )
        return
    for generic in getattr(header.cs_map, "sessions", ()):
        yield (
            f"  CS ID {generic.cs_id}: protocol {generic.protocol}, "
            f"S {int(generic.has_session_info)}, policies {list(generic.policies)}, "
            f"session data {_hex(generic.session_data)}, SPI {_hex(generic.spi)}"
        )


def _payload(payload: Payload) -> Iterator[str]:
    if isinstance(payload, Timestamp):
        yield f"TS type: {named(payload.ts_type, TS_NAMES)}"
        yield f"TS value: {payload.ntp:016x}, {_time(payload.ntp)}"
    elif isinstance(payload, Rand):
        yield f"RAND: {_hex(payload.value)} ({len(payload.value)} octets)"
    elif isinstance(payload, Idr):
        yield f"ID role: {named(payload.role, ROLE_NAMES)}"
        yield f"ID type: {named(payload.id_type, ID_TYPE_NAMES)}"
        yield f"ID data: {_text(payload.data)} ({len(payload.data)} octets)"
    elif isinstance(payload, SecurityPolicy):
        yield from _policy(payload)
    elif isinstance(payload, Sakke):
        yield f"SAKKE params: {payload.params}"
        yield f"ID scheme: {named(payload.id_scheme, ID_SCHEME_NAMES)}"
        yield f"SAKKE data: {_hex(payload.data)} ({len(payload.data)} octets)"
    else:
        yield from _extension(payload)


def _policy(payload: SecurityPolicy) -> Iterator[str]:
    yield f"policy no: {payload.policy_no}"
    yield f"prot type: {payload.protocol}" + (" (SRTP)" if payload.protocol == 0 else "")
    for number, value in payload.parameters:
        if payload.protocol != PROTOCOL_SRTP:
            yield f"  type {number}: {value.hex()}"
            continue
        shown = int.from_bytes(value[:8], "big")
        meaning = POLICY_VALUES.get(number, {}).get(shown, "")
        yield f"  {named(number, POLICY_NAMES)}: {shown}" + (f" ({meaning})" if meaning else "")
    try:
        name = policy_name(SrtpPolicy.from_payload(payload))
    except MikeySakkeError as error:
        yield f"unfit: {error}"
        return
    yield f"crypto suite: {name or 'none that has a name here'}"


def _extension(payload: GeneralExtension) -> Iterator[str]:
    known = payload.extension_type in list(ExtensionType)
    name = ExtensionType(payload.extension_type).name if known else "unknown"
    yield f"type: {payload.extension_type} ({name})"
    if payload.extension_type == ExtensionType.KEY_ID:
        try:
            for key_id in payload.key_ids():
                yield f"  key ID type {key_id.key_id_type}: {_hex(key_id.key_id)}"
        except MikeySakkeError as error:
            yield f"unfit: {error}"
    yield f"data: {_text(payload.data)} ({len(payload.data)} octets)"


def _sign(sign: Sign) -> Iterator[str]:
    yield f"S type: {named(sign.signature_type, SIGNATURE_NAMES)}"
    signature = sign.signature
    if sign.signature_type == 2 and len(signature) == 129:
        yield f"r: {signature[:32].hex()}"
        yield f"s: {signature[32:64].hex()}"
        yield f"PVT: {_hex(signature[64:])} (65 octets)"
    else:
        yield f"signature: {_hex(signature)} ({len(signature)} octets)"


def _indented(lines: Iterator[str]) -> Iterator[str]:
    return (f"  {line}" for line in lines)


def _time(ntp: int) -> str:
    """Give an NTP timestamp as UTC; before 1968 it is of the era that begins in 2036."""
    microseconds = (ntp & 0xFFFFFFFF) * 1_000_000 >> 32
    moment = _NTP_EPOCH + timedelta(seconds=ntp >> 32, microseconds=microseconds)
    if not ntp >> 63:
        moment += _ERA
    return f"{moment:%Y-%m-%d %H:%M:%S.%f} UTC"


def _text(octets: bytes) -> str:
    """Give octets as quoted text where all of them can be printed, else as hexadecimal digits."""
    try:
        text = octets.decode("utf-8")
    except UnicodeDecodeError:
        return _hex(octets)
    if text.isprintable() and text:
        return repr(text[:256])
    return _hex(octets)


def _hex(octets: bytes) -> str:
    more = "..." if len(octets) > _SHOWN else ""
    return (octets[:_SHOWN].hex() + more) or "none"


_ERROR_NAMES = {int(number): number.name.lower().replace("_", " ") for number in ErrorNumber}
