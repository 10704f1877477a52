# SPDX-License-Identifier: GPL-3.0-or-later
"""User keys and the KMS mathematics behind them."""

import pytest

from mikey_sakke import (
    IdentifierError,
    KeyValidationError,
    MikeySakkeError,
    ParameterError,
    SecretError,
    eccsi,
    sakke,
)
from mikey_sakke.keys import UserKeys
from mikey_sakke.kms import MasterKeys
from unit.mikey_sakke.support import CALLEE, CALLER, MONTH, deterministic, kms, user

GOOD = user(CALLER)
PARTS = {
    "uri": CALLER,
    "month": MONTH,
    "kpak": GOOD.kpak,
    "z": GOOD.z,
    "ssk": GOOD.ssk.reveal(),
    "pvt": GOOD.pvt,
    "rsk": GOOD.rsk.reveal(),
}


def test_issued_keys_work():
    signature = GOOD.signer.sign(b"text")
    eccsi.verify(signature, b"text", identifier=GOOD.identifier, kpak=kms().kpak)
    sed = GOOD.kms.encapsulate(b"s" * 16, identifier=GOOD.identifier)
    assert GOOD.decapsulator.decapsulate(sed) == b"s" * 16
    GOOD.validate()


@pytest.mark.parametrize("name", ["kpak", "z", "ssk", "pvt", "rsk"])
def test_parts_of_another_are_refused(name):
    other = user(CALLEE)
    stranger = MasterKeys.generate(deterministic("stranger"))
    value = {
        "kpak": stranger.kpak,
        "z": stranger.z_public,
        "ssk": other.ssk.reveal(),
        "pvt": other.pvt,
        "rsk": other.rsk.reveal(),
    }[name]
    with pytest.raises(KeyValidationError):
        UserKeys(**(PARTS | {name: value}))


@pytest.mark.parametrize("name", ["kpak", "z", "ssk", "pvt", "rsk"])
def test_garbage_parts_are_refused(name):
    with pytest.raises(KeyValidationError):
        UserKeys(**(PARTS | {name: b"garbage"}))


def test_identity_belongs_to_the_keys():
    with pytest.raises(KeyValidationError):
        UserKeys(**(PARTS | {"month": "2026-12"}))
    with pytest.raises(KeyValidationError):
        UserKeys(**(PARTS | {"uri": CALLEE}))
    with pytest.raises(IdentifierError):
        UserKeys(**(PARTS | {"uri": CALLER + ";1"}))


def test_wiped_keys_are_of_no_use():
    keys = UserKeys(**PARTS)
    keys.wipe()
    for use in (lambda: keys.signer, lambda: keys.decapsulator, keys.ssk.reveal, keys.validate):
        with pytest.raises(SecretError):
            use()


def test_each_user_has_another_v():
    assert user(CALLER).pvt != user(CALLEE).pvt
    first, second = (kms().issue_ssk(b"x") for _ in range(2))
    assert first != second


@pytest.mark.parametrize(("ksak", "z"), [(0, 5), (5, 0), (5, 1), (2**256 - 1, 5), (5, 2**1024 - 1)])
def test_master_secrets_out_of_range(ksak, z):
    with pytest.raises(ParameterError):
        MasterKeys(ksak=ksak.to_bytes(32, "big"), z=z.to_bytes(128, "big"))


def test_broken_random_source():
    for source in (bytes, lambda length: b"\xff" * length):
        with pytest.raises(MikeySakkeError):
            MasterKeys.generate(source)


def test_identifier_that_has_no_key():
    z = int.from_bytes(kms()._z.reveal(), "big")
    opposite = (int(sakke.E1024.q) - z).to_bytes(128, "big")
    with pytest.raises(ParameterError):
        kms().issue_rsk(opposite)
    with pytest.raises(ParameterError):
        sakke.encapsulate(bytes(16), identifier=opposite, z=kms().z_public)
