# SPDX-License-Identifier: GPL-3.0-or-later
"""The payloads that follow the header of an I_MESSAGE, one frozen dataclass each.

`parse` reads and `encode` gives the octets after the next-payload octet, which belongs to the
chain and is kept by `message.IMessage`.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar, Self

from mikey_sakke.errors import ErrorNumber, MalformedError, UnsupportedError
from mikey_sakke.wire import Reader, check_octets, check_uint


class PayloadType(IntEnum):
    """Next-payload values of the payloads that an I_MESSAGE may hold (RFC 3830 §6.1)."""

    LAST = 0
    SIGN = 4
    T = 5
    SP = 10
    RAND = 11
    IDR = 14
    GENERAL_EXTENSION = 21
    SAKKE = 26


class TimestampType(IntEnum):
    """TS types of the T payload that RFC 6509 §2.2 allows (COUNTER is forbidden)."""

    NTP_UTC = 0
    NTP = 1


@dataclass(frozen=True, slots=True)
class Timestamp:
    """T, 9 octets: when the message was made, a 64-bit NTP timestamp (RFC 3830 §6.6)."""

    payload_type: ClassVar[PayloadType] = PayloadType.T
    ntp: int
    ts_type: TimestampType = TimestampType.NTP_UTC

    def __post_init__(self) -> None:
        check_uint(self.ntp, 64, "timestamp")

    @classmethod
    def parse(cls, reader: Reader) -> Self:
        """Read the 9 octets; TS types other than 0 and 1 are unsupported."""
        number = reader.uint(1)
        if number not in (TimestampType.NTP_UTC, TimestampType.NTP):
            raise UnsupportedError(
                f"TS type {number} is not allowed", error_number=ErrorNumber.INVALID_TIMESTAMP
            )
        return cls(reader.uint(8), TimestampType(number))

    def encode(self) -> bytes:
        """Give TS type and timestamp, 9 octets."""
        return bytes((self.ts_type,)) + self.ntp.to_bytes(8, "big")


@dataclass(frozen=True, slots=True)
class Rand:
    """RAND: 16 to 255 random octets that make the derived keys fresh (RFC 3830 §6.11)."""

    payload_type: ClassVar[PayloadType] = PayloadType.RAND
    value: bytes

    def __post_init__(self) -> None:
        check_octets(self.value, 0xFF, "RAND")
        if len(self.value) < 16:
            raise MalformedError(f"RAND must have at least 16 octets, got {len(self.value)}")

    @classmethod
    def parse(cls, reader: Reader) -> Self:
        """Read the length (1 octet) and as many octets."""
        return cls(reader.block(1))

    def encode(self) -> bytes:
        """Give length (1 octet) and value."""
        return bytes((len(self.value),)) + self.value


class IdRole(IntEnum):
    """Roles of an IDR payload (RFC 6043 §6.6, RFC 6509 §4.4; 8 and 9 by 3GPP)."""

    INITIATOR = 1
    RESPONDER = 2
    INITIATOR_KMS = 6
    RESPONDER_KMS = 7
    INITIATOR_UID = 8
    """IDRuidi: the initiator as a UID of 32 octets (3GPP TS 33.180)."""
    RESPONDER_UID = 9
    """IDRuidr: the responder as a UID."""


class IdType(IntEnum):
    """ID types (RFC 3830 §6.7, RFC 6043 §6.6)."""

    NAI = 0
    URI = 1
    BYTE_STRING = 2


@dataclass(frozen=True, slots=True)
class Idr:
    """IDR: the identity of somebody with a role, at most 65535 octets (RFC 6043 §6.6)."""

    payload_type: ClassVar[PayloadType] = PayloadType.IDR
    role: IdRole
    data: bytes
    id_type: IdType = IdType.URI

    def __post_init__(self) -> None:
        check_octets(self.data, 0xFFFF, "identity")

    @classmethod
    def parse(cls, reader: Reader) -> Self:
        """Read role, type (1 octet each), length (2) and data; unlisted numbers are unsupported."""
        role, id_type = reader.uint(1), reader.uint(1)
        try:
            return cls(IdRole(role), reader.block(2), IdType(id_type))
        except ValueError:
            raise UnsupportedError(
                f"IDR payload with role {role} and ID type {id_type} is not supported",
                error_number=ErrorNumber.INVALID_ID,
            ) from None

    def encode(self) -> bytes:
        """Give role, type, length and data: 4 octets and the data."""
        return bytes((self.role, self.id_type)) + len(self.data).to_bytes(2, "big") + self.data


@dataclass(frozen=True, slots=True)
class SecurityPolicy:
    """SP: parameters of a security protocol as (type, value) pairs (RFC 3830 §6.10).

    Types are 1 octet, values at most 255 octets, all together at most 65535.
    """

    payload_type: ClassVar[PayloadType] = PayloadType.SP
    policy_no: int
    parameters: tuple[tuple[int, bytes], ...]
    protocol: int = 0

    def __post_init__(self) -> None:
        check_uint(self.policy_no, 8, "policy number")
        check_uint(self.protocol, 8, "protocol type")
        for number, value in self.parameters:
            check_uint(number, 8, "policy parameter type")
            check_octets(value, 0xFF, "policy parameter")
        check_octets(self._encode_parameters(), 0xFFFF, "list of policy parameters")

    @classmethod
    def parse(cls, reader: Reader) -> Self:
        """Read policy number, protocol (1 octet each), length (2) and parameters."""
        policy_no, protocol = reader.uint(1), reader.uint(1)
        inner = Reader(reader.block(2))
        parameters = []
        while inner.remaining:
            parameters.append((inner.uint(1), inner.block(1)))
        return cls(policy_no, tuple(parameters), protocol)

    def encode(self) -> bytes:
        """Give policy number, protocol, length and parameters: 4 octets and the parameters."""
        parameters = self._encode_parameters()
        return (
            bytes((self.policy_no, self.protocol)) + len(parameters).to_bytes(2, "big") + parameters
        )

    def _encode_parameters(self) -> bytes:
        return b"".join(bytes((number, len(value))) + value for number, value in self.parameters)


@dataclass(frozen=True, slots=True)
class Sakke:
    """SAKKE: encapsulated data for the responder (RFC 6509 §4.2).

    `params` 1 is Parameter Set 1, whose data have 273 octets; `id_scheme` 1 is the tel URI with a
    month, 2 the hashed UID of 3GPP TS 33.180.
    """

    payload_type: ClassVar[PayloadType] = PayloadType.SAKKE
    data: bytes
    params: int = 1
    id_scheme: int = 1

    def __post_init__(self) -> None:
        check_octets(self.data, 0xFFFF, "SAKKE data")
        check_uint(self.params, 8, "SAKKE parameter set")
        check_uint(self.id_scheme, 8, "ID scheme")

    @classmethod
    def parse(cls, reader: Reader) -> Self:
        """Read parameter set, ID scheme (1 octet each), length (2) and data."""
        params, id_scheme = reader.uint(1), reader.uint(1)
        return cls(reader.block(2), params, id_scheme)

    def encode(self) -> bytes:
        """Give parameter set, ID scheme, length and data: 4 octets and the data."""
        return bytes((self.params, self.id_scheme)) + len(self.data).to_bytes(2, "big") + self.data


class ExtensionType(IntEnum):
    """Types of a General Extension (RFC 3830 §6.15, RFC 4563 §4, IANA)."""

    VENDOR = 0
    SDP_IDS = 1
    """The key management protocols of an offer, `mikey;other` (RFC 4567 §4.1.4)."""
    TESLA = 2
    KEY_ID = 3
    """Key ID Type sub-payloads (RFC 4563 §4)."""
    CSB_ID = 4
    OMA = 5
    SAKKE_TO_SELF = 6
    """A SAKKE payload for the initiator itself (3GPP TS 33.180)."""
    KEY_PARAMETERS = 7
    """Parameters of a key, mostly encrypted (3GPP TS 33.180); opaque here."""


@dataclass(frozen=True, slots=True)
class KeyId:
    """One Key ID Type sub-payload: its type, and an ID of at most 255 octets (RFC 4563 §4)."""

    key_id_type: int
    key_id: bytes

    def __post_init__(self) -> None:
        check_uint(self.key_id_type, 8, "key ID type")
        check_octets(self.key_id, 0xFF, "key ID")

    def encode(self) -> bytes:
        """Give type, length and ID: 2 octets and the ID."""
        return bytes((self.key_id_type, len(self.key_id))) + self.key_id


@dataclass(frozen=True, slots=True)
class GeneralExtension:
    """General Extension: a type (1 octet) and at most 65535 octets of data (RFC 3830 §6.15).

    `ExtensionType` names the types. Data of a type that is not read here are kept as they are.
    """

    payload_type: ClassVar[PayloadType] = PayloadType.GENERAL_EXTENSION
    extension_type: int
    data: bytes

    def __post_init__(self) -> None:
        check_uint(self.extension_type, 8, "extension type")
        check_octets(self.data, 0xFFFF, "extension data")

    @classmethod
    def parse(cls, reader: Reader) -> Self:
        """Read type (1 octet), length (2) and data."""
        return cls(reader.uint(1), reader.block(2))

    def encode(self) -> bytes:
        """Give type, length and data: 3 octets and the data."""
        return bytes((self.extension_type,)) + len(self.data).to_bytes(2, "big") + self.data

    @classmethod
    def of_key_ids(cls, *key_ids: KeyId) -> Self:
        """Make the Key ID extension, type 3 (RFC 4563 §4)."""
        return cls(ExtensionType.KEY_ID, b"".join(key_id.encode() for key_id in key_ids))

    def key_ids(self) -> tuple[KeyId, ...]:
        """Read the data as Key ID Type sub-payloads (RFC 4563 §4); raises `MalformedError`."""
        reader = Reader(self.data)
        found = []
        while reader.remaining:
            found.append(KeyId(reader.uint(1), reader.block(1)))
        return tuple(found)


SIGNATURE_TYPE_ECCSI = 2


@dataclass(frozen=True, slots=True)
class Sign:
    """SIGN: the signature, always the last payload, so without a next one (RFC 3830 §6.5).

    The 2 header octets hold the type (4 bits) and the length (12 bits); an ECCSI signature, type 2
    (RFC 6509 §4.3), has 129 octets.
    """

    header_length: ClassVar[int] = 2
    signature: bytes
    signature_type: int = SIGNATURE_TYPE_ECCSI

    def __post_init__(self) -> None:
        check_octets(self.signature, 0xFFF, "signature")
        check_uint(self.signature_type, 4, "signature type")

    @classmethod
    def parse(cls, reader: Reader) -> Self:
        """Read the 2 header octets and the signature."""
        head = reader.uint(2)
        return cls(reader.take(head & 0xFFF), head >> 12)

    def encode(self) -> bytes:
        """Give type with length, 2 octets, and the signature."""
        head = self.signature_type << 12 | len(self.signature)
        return head.to_bytes(2, "big") + self.signature


Payload = Timestamp | Rand | Idr | SecurityPolicy | Sakke | GeneralExtension
PAYLOAD_CLASSES: dict[int, type[Payload]] = {
    cls.payload_type: cls for cls in (Timestamp, Rand, Idr, SecurityPolicy, Sakke, GeneralExtension)
}
