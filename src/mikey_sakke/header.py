# SPDX-License-Identifier: GPL-3.0-or-later
"""The common header payload HDR (RFC 3830 §6.1) with its three CS ID maps."""

from dataclasses import dataclass, field
from enum import IntEnum
from typing import ClassVar, Self

from mikey_sakke.errors import ErrorNumber, MalformedError, UnsupportedError
from mikey_sakke.wire import Reader, check_octets, check_uint

VERSION = 1
DATA_TYPE_SAKKE = 26
"""Data type of the I_MESSAGE (RFC 6509 §4.1)."""


class MapType(IntEnum):
    """CS ID map types (RFC 3830 §6.1, RFC 4563 §5, RFC 6043 §6.1.1)."""

    SRTP_ID = 0
    EMPTY = 1
    GENERIC_ID = 2


@dataclass(frozen=True, slots=True)
class SrtpCs:
    """One crypto session of the SRTP-ID map, 9 octets (RFC 3830 §6.1.1).

    SSRC 0 means that the peer fills it in.
    """

    policy_no: int
    ssrc: int
    roc: int = 0

    def __post_init__(self) -> None:
        check_uint(self.policy_no, 8, "policy number")
        check_uint(self.ssrc, 32, "SSRC")
        check_uint(self.roc, 32, "ROC")

    @classmethod
    def parse(cls, reader: Reader) -> Self:
        """Read the 9 octets of one crypto session."""
        return cls(reader.uint(1), reader.uint(4), reader.uint(4))

    def encode(self) -> bytes:
        """Give the 9 octets."""
        return b"%c%b%b" % (
            self.policy_no,
            self.ssrc.to_bytes(4, "big"),
            self.roc.to_bytes(4, "big"),
        )


@dataclass(frozen=True, slots=True)
class SrtpIdMap:
    """CS ID map type 0, 9 octets a session; the CS ID is the place in the list, from 1.

    RFC 3830 §6.1.1; at most 255 sessions.
    """

    map_type: ClassVar[MapType] = MapType.SRTP_ID
    sessions: tuple[SrtpCs, ...]

    @property
    def count(self) -> int:
        """The #CS field."""
        return len(self.sessions)

    @classmethod
    def parse(cls, reader: Reader, count: int) -> Self:
        """Read a map of `count` crypto sessions, 9 octets each."""
        return cls(tuple(SrtpCs.parse(reader) for _ in range(count)))

    def encode(self) -> bytes:
        """Give the octets after the map type."""
        return b"".join(session.encode() for session in self.sessions)


@dataclass(frozen=True, slots=True)
class EmptyMap:
    """CS ID map type 1, which says nothing of the sessions (RFC 4563 §5)."""

    map_type: ClassVar[MapType] = MapType.EMPTY
    count: int = 0

    @classmethod
    def parse(cls, reader: Reader, count: int) -> Self:
        """Read nothing: the map has no octets."""
        return cls(count)

    def encode(self) -> bytes:
        """Give no octets."""
        return b""


@dataclass(frozen=True, slots=True)
class GenericCs:
    """One crypto session of the GENERIC-ID map (RFC 6043 §6.1.1).

    `session_data` (at most 65535 octets) is the SSRC, 4 octets, and, where `has_session_info` (the
    S bit), ROC and SEQ, 4 and 2. `policies` are policy numbers, an octet each, 127 at most; the
    SPI has at most 255 octets.
    """

    cs_id: int
    protocol: int
    has_session_info: bool
    policies: bytes
    session_data: bytes
    spi: bytes

    def __post_init__(self) -> None:
        check_uint(self.cs_id, 8, "CS ID")
        check_uint(self.protocol, 8, "protocol type")
        check_octets(self.policies, 0x7F, "list of policies")
        check_octets(self.session_data, 0xFFFF, "session data")
        check_octets(self.spi, 0xFF, "SPI")

    @classmethod
    def parse(cls, reader: Reader) -> Self:
        """Read one crypto session, at least 6 octets."""
        cs_id, protocol, flags = reader.uint(1), reader.uint(1), reader.uint(1)
        policies = reader.take(flags & 0x7F)
        return cls(cs_id, protocol, bool(flags & 0x80), policies, reader.block(2), reader.block(1))

    def encode(self) -> bytes:
        """Give its octets."""
        flags = self.has_session_info << 7 | len(self.policies)
        return b"".join(
            (
                bytes((self.cs_id, self.protocol, flags)),
                self.policies,
                len(self.session_data).to_bytes(2, "big"),
                self.session_data,
                len(self.spi).to_bytes(1, "big"),
                self.spi,
            )
        )


@dataclass(frozen=True, slots=True)
class GenericIdMap:
    """CS ID map type 2: every session states its CS ID (RFC 6043 §6.1.1)."""

    map_type: ClassVar[MapType] = MapType.GENERIC_ID
    sessions: tuple[GenericCs, ...]

    @property
    def count(self) -> int:
        """The #CS field."""
        return len(self.sessions)

    @classmethod
    def parse(cls, reader: Reader, count: int) -> Self:
        """Read a map of `count` crypto sessions; a CS ID that comes twice is malformed."""
        sessions = tuple(GenericCs.parse(reader) for _ in range(count))
        if len({session.cs_id for session in sessions}) != count:
            raise MalformedError("the GENERIC-ID map names a CS ID twice")
        return cls(sessions)

    def encode(self) -> bytes:
        """Give the octets after the map type."""
        return b"".join(session.encode() for session in self.sessions)


CsIdMap = SrtpIdMap | EmptyMap | GenericIdMap
_MAPS: dict[int, type[SrtpIdMap] | type[EmptyMap] | type[GenericIdMap]] = {
    MapType.SRTP_ID: SrtpIdMap,
    MapType.EMPTY: EmptyMap,
    MapType.GENERIC_ID: GenericIdMap,
}


@dataclass(frozen=True, slots=True)
class Header:
    """The HDR payload of a MIKEY-SAKKE message (RFC 3830 §6.1).

    `v` asks for an answer; RFC 6509 §2.2 has it sent as 0 and ignored. Version 1 and data type
    26 are implied.
    """

    prf_func: int
    csb_id: int
    cs_map: CsIdMap = field(default_factory=EmptyMap)
    v: bool = False

    def __post_init__(self) -> None:
        check_uint(self.prf_func, 7, "PRF function")
        check_uint(self.csb_id, 32, "CSB ID")
        check_uint(self.cs_map.count, 8, "number of crypto sessions")

    @classmethod
    def parse(cls, reader: Reader) -> tuple[Self, int]:
        """Read the header, 10 octets and the map; gives it and the type of the next payload."""
        version, data_type, next_payload = reader.uint(1), reader.uint(1), reader.uint(1)
        if version != VERSION:
            raise UnsupportedError(f"MIKEY version {version} is unknown")
        if data_type != DATA_TYPE_SAKKE:
            raise UnsupportedError(f"data type {data_type} is not MIKEY-SAKKE (26)")
        flags, csb_id, count, map_type = (reader.uint(size) for size in (1, 4, 1, 1))
        map_class = _MAPS.get(map_type)
        if map_class is None:
            raise UnsupportedError(
                f"CS ID map type {map_type} is unknown", error_number=ErrorNumber.UNSPECIFIED
            )
        cs_map = map_class.parse(reader, count)
        return cls(flags & 0x7F, csb_id, cs_map, bool(flags & 0x80)), next_payload

    def encode(self, next_payload: int) -> bytes:
        """Give the octets of the header, naming the type of the payload after it."""
        return b"".join(
            (
                bytes((VERSION, DATA_TYPE_SAKKE, next_payload, self.v << 7 | self.prf_func)),
                self.csb_id.to_bytes(4, "big"),
                bytes((self.cs_map.count, self.cs_map.map_type)),
                self.cs_map.encode(),
            )
        )
