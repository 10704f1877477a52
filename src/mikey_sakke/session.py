# SPDX-License-Identifier: GPL-3.0-or-later
"""What both ends hold once a message is made or taken: the keys of its crypto sessions."""

from dataclasses import dataclass
from hashlib import sha256

from mikey_sakke.errors import UnsupportedError
from mikey_sakke.message import IMessage
from mikey_sakke.policy import SrtpPolicy
from mikey_sakke.prf import answer_key
from mikey_sakke.profile import CryptoSession, crypto_sessions
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
        """Keys of the first crypto session, the stream that the initiator sends."""
        return self.srtp[0]

    @property
    def responder(self) -> SrtpKeys:
        """Keys of the second crypto session, the stream that the responder sends."""
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
    message: IMessage, *, prefix: bytes, ssv: bytes, policy: SrtpPolicy
) -> SessionKeys:
    """Derive the keys of every crypto session of a message from its SSV (16 octets).

    `prefix` is the signed prefix. Raises `UnsupportedError` unless the message has two or
    more crypto sessions, since one key for both directions would be a two-time pad.
    """
    sessions = crypto_sessions(message.header)
    if len(sessions) < 2:
        raise UnsupportedError("a message needs a crypto session for each direction")
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
