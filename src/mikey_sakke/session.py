# SPDX-License-Identifier: GPL-3.0-or-later
"""What both ends hold once a message is made or taken: the keys of its crypto sessions."""

from dataclasses import dataclass
from hashlib import sha256

from mikey_sakke.errors import UnsupportedError
from mikey_sakke.message import IMessage
from mikey_sakke.policy import SrtpPolicy
from mikey_sakke.prf import answer_key
from mikey_sakke.profile import CryptoSession
from mikey_sakke.secret import Secret
from mikey_sakke.srtp import SrtpKeys, derive_srtp


def signed_prefix(message: bytes, signature_length: int) -> bytes:
    """Give what the signature covers: HDR up to and with the 2-octet SIGN header."""
    return message[: len(message) - signature_length]


@dataclass(frozen=True, slots=True)
class SessionKeys:
    """The keys of one I_MESSAGE, the same at both ends.

    `ssv` (16 octets) is the TGK; `srtp` has a master key and salt for each of `sessions`, in
    their order; `message_digest` is the SHA-256 of the signed prefix, 32 octets.
    """

    ssv: Secret
    rand: bytes
    csb_id: int
    policy: SrtpPolicy
    sessions: tuple[CryptoSession, ...]
    srtp: tuple[SrtpKeys, ...]
    message_digest: bytes

    @property
    def initiator(self) -> SrtpKeys:
        """Keys of the first crypto session, the stream that the initiator sends (RFC 4567 §7)."""
        return self.srtp[0]

    @property
    def responder(self) -> SrtpKeys:
        """Keys of the second crypto session, the stream that the responder sends.

        Raises `UnsupportedError` where there is no second one: then all senders use the first.
        """
        if len(self.srtp) < 2:
            raise UnsupportedError("the message has one crypto session, for all who send")
        return self.srtp[1]

    def answer_key(self, info: bytes) -> Secret:
        """Derive 32 octets from SSV and RAND by HKDF-SHA-256 for a purpose named by `info`."""
        return Secret(answer_key(self.ssv.reveal(), self.rand, info))

    def wipe(self) -> None:
        """Wipe all secrets."""
        self.ssv.wipe()
        for keys in self.srtp:
            keys.wipe()


def derive_session_keys(
    message: IMessage,
    *,
    prefix: bytes,
    ssv: bytes,
    policy: SrtpPolicy,
    sessions: tuple[CryptoSession, ...],
) -> SessionKeys:
    """Derive the keys of these crypto sessions of a message from its SSV (16 octets).

    `prefix` is the signed prefix. TEK and salt are those of RFC 3830 §4.1.3 with the SSV as TGK
    (RFC 6509 §2.2).
    """
    header, rand = message.header, message.rand.value
    srtp = tuple(
        derive_srtp(
            ssv,
            header.csb_id,
            rand,
            session.cs_id,
            header.prf_func,
            key_length=policy.key_length,
            salt_length=policy.salt_length,
        )
        for session in sessions
    )
    digest = sha256(prefix).digest()
    return SessionKeys(Secret(ssv), rand, header.csb_id, policy, sessions, srtp, digest)
