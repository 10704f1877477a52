# SPDX-License-Identifier: GPL-3.0-or-later
"""The I_MESSAGE of MIKEY-SAKKE as a whole (RFC 6509 §2.2), parsed in bounds.

Order of payloads when built: HDR, T, RAND, IDRs, SP, SAKKE, General Extensions, SIGN. A parser
follows the next-payload fields, in whatever order they lead; SIGN is last in any case. The
signature covers every octet up to and including the 2-octet header of SIGN (RFC 3830 §5.2).
"""

from collections import Counter
from dataclasses import dataclass
from typing import Self, TypeVar

from mikey_sakke.errors import MalformedError, UnsupportedError
from mikey_sakke.header import Header
from mikey_sakke.payloads import (
    PAYLOAD_CLASSES,
    GeneralExtension,
    Idr,
    IdRole,
    Payload,
    PayloadType,
    Rand,
    Sakke,
    SecurityPolicy,
    Sign,
    Timestamp,
)
from mikey_sakke.wire import Reader

MAX_LENGTH = 4096
MAX_PAYLOADS = 32
"""Payloads of one message at most, HDR and SIGN counted."""

_P = TypeVar("_P", bound=Payload)


@dataclass(frozen=True, slots=True)
class IMessage:
    """A signed MIKEY-SAKKE message: HDR, the payloads between in their order, and SIGN.

    At most 4096 octets and 32 payloads. T, RAND and SAKKE occur exactly once, each IDR role and
    each policy number at most once: `MalformedError` otherwise.
    """

    header: Header
    payloads: tuple[Payload, ...]
    sign: Sign

    def __post_init__(self) -> None:
        if len(self.payloads) + 2 > MAX_PAYLOADS:
            raise MalformedError(f"more than {MAX_PAYLOADS} payloads in one message")
        counts = Counter(payload.payload_type for payload in self.payloads)
        for required in (PayloadType.T, PayloadType.RAND, PayloadType.SAKKE):
            if counts[required] != 1:
                raise MalformedError(
                    f"payload {required.name} occurs {counts[required]} times instead of once"
                )
        roles = Counter(idr.role for idr in self._all(Idr))
        policies = Counter(policy.policy_no for policy in self._all(SecurityPolicy))
        if any(count > 1 for count in (*roles.values(), *policies.values())):
            raise MalformedError("two payloads speak of the same ID role or policy number")

    @classmethod
    def parse(cls, octets: bytes) -> Self:
        """Read a whole message of at most 4096 octets and 32 payloads.

        Raises `MalformedError` for a broken one, octets after SIGN among it, and
        `UnsupportedError` (number 13) for a payload that has no place in an I_MESSAGE, such
        as CERT.
        """
        if len(octets) > MAX_LENGTH:
            raise MalformedError(f"message of {len(octets)} octets is longer than {MAX_LENGTH}")
        reader = Reader(octets)
        header, next_payload = Header.parse(reader)
        payloads: list[Payload] = []
        while next_payload != PayloadType.SIGN:
            if next_payload == PayloadType.LAST:
                raise MalformedError("message ends without a SIGN payload")
            payload_class = PAYLOAD_CLASSES.get(next_payload)
            if payload_class is None:
                raise UnsupportedError(f"payload type {next_payload} has no place in an I_MESSAGE")
            if len(payloads) + 2 >= MAX_PAYLOADS:
                raise MalformedError(f"more than {MAX_PAYLOADS} payloads in one message")
            next_payload = reader.uint(1)
            payloads.append(payload_class.parse(reader))
        sign = Sign.parse(reader)
        if reader.remaining:
            raise MalformedError(f"{reader.remaining} octets follow the SIGN payload")
        return cls(header, tuple(payloads), sign)

    def encode(self) -> bytes:
        """Give the octets of the message; `parse` of them gives the message again."""
        following = [*(int(payload.payload_type) for payload in self.payloads), PayloadType.SIGN]
        parts = [self.header.encode(following[0])]
        for payload, next_payload in zip(self.payloads, following[1:], strict=True):
            parts += (bytes((next_payload,)), payload.encode())
        return b"".join((*parts, self.sign.encode()))

    @property
    def timestamp(self) -> Timestamp:
        """The T payload (RFC 3830 §6.6)."""
        return self._one(Timestamp)

    @property
    def rand(self) -> Rand:
        """The RAND payload (RFC 3830 §6.11)."""
        return self._one(Rand)

    @property
    def sakke(self) -> Sakke:
        """The SAKKE payload (RFC 6509 §4.2)."""
        return self._one(Sakke)

    @property
    def policies(self) -> tuple[SecurityPolicy, ...]:
        """The SP payloads (RFC 3830 §6.10)."""
        return self._all(SecurityPolicy)

    @property
    def extensions(self) -> tuple[GeneralExtension, ...]:
        """The General Extension payloads (RFC 3830 §6.15)."""
        return self._all(GeneralExtension)

    def extension(self, extension_type: int) -> GeneralExtension | None:
        """Give the first General Extension of a type (see `ExtensionType`), or None."""
        return next((e for e in self.extensions if e.extension_type == extension_type), None)

    def identity(self, role: IdRole) -> Idr | None:
        """Give the IDR payload of a role (RFC 6043 §6.6), or None."""
        return next((idr for idr in self._all(Idr) if idr.role == role), None)

    def _all(self, payload_class: type[_P]) -> tuple[_P, ...]:
        return tuple(payload for payload in self.payloads if isinstance(payload, payload_class))

    def _one(self, payload_class: type[_P]) -> _P:
        return self._all(payload_class)[0]
