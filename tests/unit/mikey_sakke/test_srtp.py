# SPDX-License-Identifier: GPL-3.0-or-later
"""SRTP key derivation against RFC 3711 B.3, RFC 6188 §7.2 and packets of libsrtp."""

import hmac

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR

from mikey_sakke import MikeySakkeError, srtp
from unit.mikey_sakke.support import unhex, vector

DATA = vector("srtp_kdf")
B3 = DATA["rfc3711_B3"]
KEY, SALT = unhex(B3["master_key"]), unhex(B3["master_salt"])


def test_rfc3711_b3():
    index = B3["index_div_kdr"]
    for label, name, length in (
        (srtp.LABEL_RTP_ENCRYPTION, "label_00_cipher_key_16", 16),
        (srtp.LABEL_RTP_SALT, "label_02_cipher_salt_14", 14),
        (srtp.LABEL_RTP_AUTHENTICATION, "label_01_auth_key_94", 94),
    ):
        assert srtp.session_key(KEY, SALT, label, length, index_div_kdr=index).hex() == B3[name]


def test_rfc6188_aes_256():
    data = DATA["rfc6188_7_2"]
    key, salt = unhex(data["master_key"]), unhex(data["master_salt"])
    assert srtp.session_key(key, salt, 0, 32).hex() == data["cipher_key"]
    assert srtp.session_key(key, salt, 2, 14).hex() == data["cipher_salt"]
    assert srtp.session_key(key, salt, 1, 20).hex() == data["auth_key_20"]


def _keystream_xor(key: bytes, counter: int, text: bytes) -> bytes:
    return Cipher(AES(key), CTR((counter << 16).to_bytes(16, "big"))).encryptor().update(text)


def test_keys_open_an_srtp_packet():
    packet = unhex(DATA["srtp_packet"]["srtp"])
    body, tag = packet[:-10], packet[-10:]
    authentication = srtp.session_key(KEY, SALT, srtp.LABEL_RTP_AUTHENTICATION, 20)
    assert hmac.digest(authentication, body + bytes(4), "sha1")[:10] == tag
    salt = int.from_bytes(srtp.session_key(KEY, SALT, srtp.LABEL_RTP_SALT, 14), "big")
    ssrc, sequence = int.from_bytes(packet[8:12], "big"), int.from_bytes(packet[2:4], "big")
    encryption = srtp.session_key(KEY, SALT, srtp.LABEL_RTP_ENCRYPTION, 16)
    clear = _keystream_xor(encryption, salt ^ ssrc << 48 ^ sequence, body[12:])
    assert body[:12] + clear == unhex(DATA["srtp_packet"]["plain"])


def test_keys_open_an_srtcp_packet():
    packet = unhex(DATA["srtcp_packet"]["srtcp"])
    body, index, tag = packet[:-14], packet[-14:-10], packet[-10:]
    authentication = srtp.session_key(KEY, SALT, srtp.LABEL_RTCP_AUTHENTICATION, 20)
    assert hmac.digest(authentication, body + index, "sha1")[:10] == tag
    salt = int.from_bytes(srtp.session_key(KEY, SALT, srtp.LABEL_RTCP_SALT, 14), "big")
    ssrc = int.from_bytes(packet[4:8], "big")
    encryption = srtp.session_key(KEY, SALT, srtp.LABEL_RTCP_ENCRYPTION, 16)
    counter = salt ^ ssrc << 48 ^ int.from_bytes(index, "big") & 0x7FFFFFFF
    clear = _keystream_xor(encryption, counter, body[8:])
    assert body[:8] + clear == unhex(DATA["srtcp_packet"]["plain"])


def test_short_salt_of_gcm_is_padded_right():
    data = DATA["gcm_with_kdf"]
    key, salt = unhex(data["master_key"]), unhex(data["master_salt"])
    session_key = srtp.session_key(key, salt, 0, 16)
    session_salt = srtp.session_key(key, salt, 2, 12)
    assert session_key.hex() == data["session_key"]
    assert session_salt.hex() == data["session_salt"]
    packet = unhex(data["srtp"])
    iv = bytes(2) + packet[8:12] + bytes(4) + packet[2:4]
    nonce = bytes(a ^ b for a, b in zip(iv, session_salt, strict=True))
    clear = AESGCM(session_key).decrypt(nonce, packet[12:], packet[:12])
    assert packet[:12] + clear == unhex(data["plain"])


@pytest.mark.parametrize(
    ("key", "salt", "length", "index"),
    [(b"", SALT, 1, 0), (KEY, b"", 1, 0), (KEY, SALT, -1, 0), (KEY, SALT, 1, 1 << 48)],
)
def test_wrong_arguments(key, salt, length, index):
    with pytest.raises(MikeySakkeError):
        srtp.session_key(key, salt, 0, length, index_div_kdr=index)


def test_derive_srtp_equals_vector():
    data = vector("imessage_tel")
    for message in data["messages"]:
        for cs_id in (1, 2):
            keys = srtp.derive_srtp(
                unhex(data["ssv"]),
                int(data["csb_id"], 16),
                unhex(data["rand"]),
                cs_id,
                message["prf_func"],
            )
            derived = message["derived"]
            assert keys.master_key.reveal().hex() == derived[f"cs{cs_id}_TEK_16"]
            assert keys.master_salt.reveal().hex() == derived[f"cs{cs_id}_SALT_14"]
            assert len(keys.reveal()) == 30
            keys.wipe()
            with pytest.raises(MikeySakkeError):
                keys.reveal()


def test_derive_srtp_refuses_ids_out_of_range():
    for csb_id, cs_id in ((1 << 32, 1), (-1, 1), (1, 256)):
        with pytest.raises(MikeySakkeError):
            srtp.derive_srtp(bytes(16), csb_id, bytes(16), cs_id, 1)
