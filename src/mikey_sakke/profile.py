# SPDX-License-Identifier: GPL-3.0-or-later
"""Profiles: what an application demands of an I_MESSAGE beyond RFC 6509."""

from dataclasses import dataclass

from mikey_sakke.errors import ErrorNumber, MalformedError, PolicyError, UnsupportedError
from mikey_sakke.header import EmptyMap, GenericCs, Header, MapType, SrtpIdMap
from mikey_sakke.message import IMessage
from mikey_sakke.payloads import SIGNATURE_TYPE_ECCSI, ExtensionType
from mikey_sakke.policy import DEFAULT_POLICY, PROTOCOL_SRTP, SrtpPolicy
from mikey_sakke.prf import PrfFunction

EXTENSION_VENDOR = ExtensionType.VENDOR
"""General Extension type 0: data of a vendor's own (RFC 3830 §6.15)."""
DIGEST_LENGTH = 32
"""Octets of the digest in the extension that binds a message to its call."""
AGREED_CS_IDS = (1, 2)
"""CS IDs of a message that states none: the initiator's stream, then the responder's."""
_SSRC, _SSRC_ROC_SEQ = 4, 10
"""Octets of SRTP's session data, without and with the S bit (RFC 6043 §6.1.1)."""


@dataclass(frozen=True, slots=True)
class CryptoSession:
    """One stream: CS ID (8 bits), SSRC (32, 0 where it is not told), policy number (8, or None)."""

    cs_id: int
    ssrc: int
    policy_no: int | None


@dataclass(frozen=True, slots=True)
class Profile:
    """Demands on an I_MESSAGE.

    `prf_functions`: the allowed PRF functions. `map_types`: the allowed CS ID maps. `sessions`:
    the exact number of crypto sessions, or None for any. `extension_magic`: the first octets of
    a vendor extension that must be there exactly once, 32 octets of digest after them, or
    None for no such demand. `default_policy_only`: no SRTP policy but the default one.
    `agreed_cs_ids`: the CS IDs of a message with an empty map. `min_sessions`: the fewest crypto
    sessions; below 2, one SRTP key may serve more than one sender, which then must have
    different SSRCs.
    """

    prf_functions: frozenset[int]
    map_types: frozenset[int]
    sessions: int | None
    extension_magic: bytes | None
    default_policy_only: bool
    agreed_cs_ids: tuple[int, ...] = AGREED_CS_IDS
    min_sessions: int = 2

    def check(self, message: IMessage) -> None:
        """Raise `MalformedError`, `UnsupportedError` or `PolicyError` where a demand fails."""
        header = message.header
        if header.prf_func not in self.prf_functions:
            raise UnsupportedError(
                f"PRF function {header.prf_func} is not allowed here",
                error_number=ErrorNumber.INVALID_PRF,
            )
        if header.cs_map.map_type not in self.map_types:
            raise UnsupportedError(
                f"CS ID map type {int(header.cs_map.map_type)} is not allowed here",
                error_number=ErrorNumber.UNSPECIFIED,
            )
        if self.sessions is not None and header.cs_map.count != self.sessions:
            raise MalformedError(
                f"{header.cs_map.count} crypto sessions instead of {self.sessions}"
            )
        if message.sign.signature_type != SIGNATURE_TYPE_ECCSI:
            raise UnsupportedError("the message is not signed by ECCSI")
        self.binding(message)

    def binding(self, message: IMessage) -> bytes | None:
        """Give the 32-octet digest of the vendor extension, or None where none is demanded."""
        if self.extension_magic is None:
            return None
        found = [
            extension.data
            for extension in message.extensions
            if extension.extension_type == EXTENSION_VENDOR
            and extension.data.startswith(self.extension_magic)
        ]
        if len(found) != 1 or len(found[0]) != len(self.extension_magic) + DIGEST_LENGTH:
            raise MalformedError("the message lacks its one extension that binds it to the call")
        return found[0][len(self.extension_magic) :]

    def crypto_sessions(self, header: Header) -> tuple[CryptoSession, ...]:
        """Give the crypto sessions of a message.

        Raises `UnsupportedError` where they are too few, or not sessions of SRTP alone.

        Without a session for each direction, one key would encrypt both: a two-time pad where
        the SSRCs are equal.
        """
        sessions = crypto_sessions(header, self.agreed_cs_ids)
        if len(sessions) < self.min_sessions:
            raise UnsupportedError(
                f"{len(sessions)} crypto sessions: a message needs one for each direction"
            )
        return sessions

    def policy(self, message: IMessage) -> SrtpPolicy:
        """Give the SRTP policy that all crypto sessions name; raises `PolicyError` if too weak."""
        wanted = {session.policy_no for session in self.crypto_sessions(message.header)}
        if len(wanted) != 1:
            raise UnsupportedError("crypto sessions with different policies are not supported")
        number = wanted.pop()
        payloads = [sp for sp in message.policies if number is None or sp.policy_no == number]
        if not payloads and number is None:
            return DEFAULT_POLICY
        if len(payloads) != 1:
            raise PolicyError("the message does not state the policy that its sessions name")
        policy = SrtpPolicy.from_payload(payloads[0])
        policy.check_acceptable()
        if self.default_policy_only and policy != DEFAULT_POLICY:
            raise PolicyError("SRTP policy refused: only AES_CM_128_HMAC_SHA1_80 is taken here")
        return policy


def crypto_sessions(
    header: Header, agreed: tuple[int, ...] = AGREED_CS_IDS
) -> tuple[CryptoSession, ...]:
    """Give the crypto sessions that a header states (RFC 3830 §6.1, RFC 6043 §6.1.1).

    An empty map states none; then the CS IDs are those `agreed`, the initiator's first. Raises
    `UnsupportedError` for a session of the GENERIC-ID map that is not SRTP, names several policies
    (only an answer could choose, and there is none) or has session data of no form of SRTP.
    """
    cs_map = header.cs_map
    if isinstance(cs_map, EmptyMap):
        return tuple(CryptoSession(cs_id, 0, None) for cs_id in agreed)
    if isinstance(cs_map, SrtpIdMap):
        return tuple(
            CryptoSession(index, session.ssrc, session.policy_no)
            for index, session in enumerate(cs_map.sessions, start=1)
        )
    return tuple(_of_generic(session) for session in cs_map.sessions)


def _of_generic(session: GenericCs) -> CryptoSession:
    stated = _SSRC_ROC_SEQ if session.has_session_info else _SSRC
    if (
        session.protocol != PROTOCOL_SRTP
        or len(session.policies) > 1
        or len(session.session_data) not in (0, stated)
    ):
        raise UnsupportedError(
            f"crypto session {session.cs_id} is not SRTP, names several policies or is misshapen",
            error_number=ErrorNumber.UNSPECIFIED,
        )
    ssrc = int.from_bytes(session.session_data[:_SSRC], "big")
    return CryptoSession(session.cs_id, ssrc, session.policies[0] if session.policies else None)


UMSG = Profile(
    prf_functions=frozenset({PrfFunction.HMAC_SHA_256}),
    map_types=frozenset({MapType.SRTP_ID}),
    sessions=2,
    extension_magic=b"UMSG/1",
    default_policy_only=True,
)
"""The profile of UMSG/1: the message is bound to its call by an extension."""

RFC6509 = Profile(
    prf_functions=frozenset(PrfFunction),
    map_types=frozenset(MapType),
    sessions=None,
    extension_magic=None,
    default_policy_only=False,
)
"""What RFC 6509 itself demands."""
