# SPDX-License-Identifier: GPL-3.0-or-later
import calendar

import pytest

from cig_lab.crs.auth import Authenticator
from cig_lab.kms import LabKms
from mikey_sakke import eccsi
from mikey_sakke.identifiers import tel_identifier
from mikey_sakke.keys import UserKeys
from mikey_sakke.kms import MasterKeys
from umsg.events import AuthWanted

URI = "tel:+46701234567"
NOVEMBER_10 = calendar.timegm((2026, 11, 10, 12, 0, 0))
NOVEMBER_29 = calendar.timegm((2026, 11, 29, 12, 0, 0))
TEXT = b"UMSG/1 auth\0 and so on"


@pytest.fixture(scope="module")
def master() -> MasterKeys:
    return MasterKeys.generate()


def request(master: MasterKeys, period: str, *, signer: str = URI, text: bytes = TEXT):
    identifier = tel_identifier(signer, period[:7])
    ssk, pvt = master.issue_ssk(identifier)
    sig = eccsi.sign(text, identifier=identifier, ssk=ssk, pvt=pvt, kpak=master.kpak)
    return AuthWanted(URI, "test", period, sig, TEXT)


def test_a_right_signature(master):
    assert Authenticator(master.kpak)(request(master, "2026-11-1"), NOVEMBER_10) is None


@pytest.mark.parametrize("change", [{"signer": "tel:+46709999999"}, {"text": b"other"}])
def test_a_signature_of_another_or_over_another_text(master, change):
    wrong = request(master, "2026-11-1", **change)
    assert Authenticator(master.kpak)(wrong, NOVEMBER_10) is not None


def test_keys_of_another_authority(master):
    foreign = request(MasterKeys.generate(), "2026-11-1")
    assert Authenticator(master.kpak)(foreign, NOVEMBER_10) is not None


def test_the_window_of_months(master):
    check = Authenticator(master.kpak)
    assert check(request(master, "2026-12-1"), NOVEMBER_10) is not None
    assert check(request(master, "2026-10-1"), NOVEMBER_10) is not None
    assert check(request(master, "2026-12-1"), NOVEMBER_29) is None


def test_of_a_month_only_the_highest_revision_that_was_proved(master):
    check = Authenticator(master.kpak)
    forged = request(master, "2026-11-9", text=b"other")
    assert check(forged, NOVEMBER_10) is not None
    assert check(request(master, "2026-11-1"), NOVEMBER_10) is None
    assert check(request(master, "2026-11-2"), NOVEMBER_10) is None
    assert check(request(master, "2026-11-1"), NOVEMBER_10) is not None
    assert check(request(master, "2026-11-2"), NOVEMBER_10) is None


def test_what_the_kms_withdraws_is_refused_at_once():
    kms = LabKms(utc=lambda: NOVEMBER_10)
    check = Authenticator(kms.kpak, kms.kpak_of)

    def login(keys: UserKeys, period: str) -> AuthWanted:
        return AuthWanted(URI, "test", period, keys.signer.sign(TEXT), TEXT)

    first = kms.user_keys(URI, ["2026-11"])["2026-11-1"]
    assert check(login(first, "2026-11-2"), NOVEMBER_10) is not None
    assert check(login(first, "2026-11-1"), NOVEMBER_10) is None
    second = kms.user_keys(URI, ["2026-11"])["2026-11-2"]
    assert check(login(first, "2026-11-1"), NOVEMBER_10) is None
    kms.revoke(URI)
    assert "withdrawn" in str(check(login(second, "2026-11-2"), NOVEMBER_10))
    kms.renew()
    third = kms.user_keys(URI, ["2026-11"])["2026-11-3"]
    assert third.kpak != second.kpak
    assert check(login(third, "2026-11-3"), NOVEMBER_10) is None
    assert check(login(second, "2026-11-3"), NOVEMBER_10) == "wrong signature"


def test_a_uri_that_is_not_canonical(master):
    good = request(master, "2026-11-1")
    odd = AuthWanted("tel:+0123", "test", good.period, good.sig, good.text)
    assert Authenticator(master.kpak)(odd, NOVEMBER_10) is not None
