# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets do not show, do not travel, and go when told."""

import copy
import pickle

import pytest

from mikey_sakke import SecretError, initiator
from mikey_sakke.secret import Secret
from unit.mikey_sakke.support import CALLER, NOW, kms, user

OCTETS = b"correct horse"


@pytest.mark.parametrize("show", [repr, str, format, "{!r:>40}".format, "%s".__mod__, ascii])
def test_no_text_shows_it(show):
    text = show(Secret(OCTETS))
    assert "redacted" in text
    assert "horse" not in text
    assert OCTETS.hex() not in text


@pytest.mark.parametrize(
    "carry", [copy.copy, copy.deepcopy, *[lambda s, n=n: pickle.dumps(s, n) for n in range(6)]]
)
def test_it_does_not_travel(carry):
    with pytest.raises(SecretError):
        carry(Secret(OCTETS))


def test_reveal_and_wipe():
    secret = Secret(OCTETS)
    assert secret.reveal() == OCTETS
    assert len(secret) == len(OCTETS)
    secret.wipe()
    assert bytes(secret._octets) == bytes(len(OCTETS))
    with pytest.raises(SecretError):
        secret.reveal()


def test_comparison():
    assert Secret(OCTETS) == Secret(OCTETS)
    assert Secret(OCTETS) != Secret(b"other")
    assert Secret(OCTETS) != OCTETS
    with pytest.raises(TypeError):
        hash(Secret(OCTETS))


def test_holders_of_secrets_do_not_show_or_travel():
    keys = user(CALLER)
    built = initiator.build(keys, to_uri=CALLER, ssrc=1, binding=None, now=NOW)
    shown = repr(keys) + repr(built) + repr(kms()) + repr(keys.signer) + repr(keys.decapsulator)
    for secret in (keys.ssk, keys.rsk, built.ssv, built.keys.srtp[0].master_key):
        assert secret.reveal().hex() not in shown
        assert repr(secret.reveal()) not in shown
    for holder in (keys, built, kms(), keys.signer, keys.decapsulator, keys.decapsulator._pairing):
        with pytest.raises(SecretError):
            pickle.dumps(holder)
