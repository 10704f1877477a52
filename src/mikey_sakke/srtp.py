# SPDX-License-Identifier: GPL-3.0-or-later
"""From a TGK to SRTP keys (RFC 3830 §4.1.3) and on to SRTP session keys (RFC 3711 §4.3)."""

from dataclasses import dataclass

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR

from mikey_sakke.errors import ParameterError
from mikey_sakke.prf import MAX_OUTPUT, derive
from mikey_sakke.secret import Secret
from mikey_sakke.wire import check_uint

CONSTANT_TEK = bytes.fromhex("2ad01c64")
CONSTANT_AUTHENTICATION = bytes.fromhex("1b5c7973")
CONSTANT_ENCRYPTION = bytes.fromhex("15798cef")
CONSTANT_SALT = bytes.fromhex("39a2c14b")

LABEL_RTP_ENCRYPTION = 0
LABEL_RTP_AUTHENTICATION = 1
LABEL_RTP_SALT = 2
LABEL_RTCP_ENCRYPTION = 3
LABEL_RTCP_AUTHENTICATION = 4
LABEL_RTCP_SALT = 5

_KDF_SALT_LENGTH = 14


@dataclass(frozen=True, slots=True)
class SrtpKeys:
    """Master key (16 octets by default) and master salt (14; 12 for AES-GCM) of one stream."""

    master_key: Secret
    master_salt: Secret

    def reveal(self) -> bytes:
        """Give master key and salt in one, 30 octets by default, the form that libsrtp takes."""
        return self.master_key.reveal() + self.master_salt.reveal()

    def wipe(self) -> None:
        """Wipe both."""
        self.master_key.wipe()
        self.master_salt.wipe()


def key_label(constant: bytes, *, cs_id: int, csb_id: int, rand: bytes) -> bytes:
    """Give the PRF label constant || CS ID || CSB ID || RAND (RFC 3830 §4.1.3)."""
    check_uint(cs_id, 8, "CS ID")
    check_uint(csb_id, 32, "CSB ID")
    return constant + cs_id.to_bytes(1, "big") + csb_id.to_bytes(4, "big") + rand


def derive_srtp(
    tgk: bytes,
    csb_id: int,
    rand: bytes,
    cs_id: int,
    prf_func: int,
    *,
    key_length: int = 16,
    salt_length: int = 14,
) -> SrtpKeys:
    """Derive the SRTP master key and salt of one crypto session from a TGK (the SSV).

    The master key is the TEK of RFC 3830 §4.1.3, in as many octets as the policy says.
    """
    key = key_label(CONSTANT_TEK, cs_id=cs_id, csb_id=csb_id, rand=rand)
    salt = key_label(CONSTANT_SALT, cs_id=cs_id, csb_id=csb_id, rand=rand)
    return SrtpKeys(
        Secret(derive(prf_func, tgk, key, key_length)),
        Secret(derive(prf_func, tgk, salt, salt_length)),
    )


def session_key(
    master_key: bytes, master_salt: bytes, label: int, length: int, *, index_div_kdr: int = 0
) -> bytes:
    """Derive an SRTP session key, salt or authentication key (RFC 3711 §4.3.1, AES-CM PRF).

    A master salt of 12 octets (AES-GCM) is padded right with two zero octets, as libsrtp does;
    RFC 7714 does not say. The index is 48 bits, 0 where the key derivation rate is 0.
    """
    if len(master_key) not in (16, 24, 32) or len(master_salt) not in (12, _KDF_SALT_LENGTH):
        raise ParameterError("an SRTP master key has 16, 24 or 32 octets, its salt 12 or 14")
    if not 0 <= length <= MAX_OUTPUT:
        raise ParameterError(f"the SRTP key derivation gives 0 to {MAX_OUTPUT} octets")
    check_uint(label, 8, "label")
    check_uint(index_div_kdr, 48, "index")
    salt = int.from_bytes(master_salt.ljust(_KDF_SALT_LENGTH, b"\0"), "big")
    x = salt ^ (label << 48 | index_div_kdr)
    counter_block = (x << 16).to_bytes(16, "big")
    encryptor = Cipher(AES(master_key), CTR(counter_block)).encryptor()
    return encryptor.update(bytes(length)) + encryptor.finalize()
