# SPDX-License-Identifier: GPL-3.0-or-later
"""The ledger and the KMS in memory: revisions, withdrawals, generations, months ahead."""

from __future__ import annotations

import calendar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cig_lab.kms import AlreadyIssuedError, LabKms, Ledger, months_from, new_passphrase
from cig_material import document
from cig_material.seal import Cost, passphrase_from, unseal
from mikey_sakke.errors import IdentifierError

URI, OTHER = "tel:+8888", "tel:+46701234567"
NOVEMBER_10 = calendar.timegm((2026, 11, 10, 12, 0, 0))
DECEMBER_1 = calendar.timegm((2026, 12, 1, 12, 0, 0))
PIN = bytes(32)

uris = st.sampled_from((URI, OTHER))
months = st.sampled_from(("2026-11", "2026-12", "2027-01"))
steps = st.lists(
    st.one_of(
        st.tuples(st.just("issue"), uris, months),
        st.tuples(st.just("withdraw"), st.none() | uris, st.none() | months),
    ),
    max_size=30,
)


@given(steps)
def test_no_revision_is_ever_issued_twice(taken: list[tuple[str, str | None, str | None]]) -> None:
    ledger = Ledger()
    seen = set()
    for at, (what, uri, month) in enumerate(taken):
        if what == "withdraw":
            ledger.withdraw(at=at, uri=uri, month=month)
            continue
        assert uri is not None
        assert month is not None
        issue = ledger.record(uri, month, generation=1, at=at)
        name = (issue.uri, issue.period)
        assert name not in seen
        seen.add(name)
        with pytest.raises(AlreadyIssuedError, match=issue.period):
            ledger.require_free(uri, [month])
    assert len(ledger.issues) == len(seen)
    again = Ledger(ledger.issues)
    assert again.issues == ledger.issues


def test_an_entry_that_comes_twice_is_refused() -> None:
    issue = Ledger().record(URI, "2026-11", generation=1, at=1)
    with pytest.raises(ValueError, match="issued twice"):
        Ledger([issue, issue])


def test_what_is_in_use_is_issued_again_only_where_that_is_asked_for() -> None:
    kms = LabKms(utc=lambda: NOVEMBER_10)
    first = kms.issue(URI, ["2026-11", "2026-12"])
    with pytest.raises(AlreadyIssuedError, match="2026-12-1"):
        kms.issue(URI, ["2026-12", "2027-01"])
    assert [issue.period for issue in kms.ledger.issues] == ["2026-11-1", "2026-12-1"]
    assert kms.issue(OTHER, ["2026-12"])[0].period == "2026-12-1"
    (again,) = kms.issue(URI, ["2026-12"], reissue=True)
    assert again.period == "2026-12-2"
    assert again.ssk != first[1].ssk
    assert again.rsk == first[1].rsk
    kms.revoke(URI, month="2026-12")
    assert kms.issue(URI, ["2026-12"])[0].period == "2026-12-3"


def test_nothing_is_issued_or_entered_for_a_wrong_uri_or_month() -> None:
    kms = LabKms()
    for uri, month in (("tel:8888", "2026-11"), (URI, "2026-13"), (URI + ";1", "2026-11")):
        with pytest.raises(IdentifierError):
            kms.issue(uri, ["2026-12", month])
    assert not kms.ledger.issues


def test_a_revocation_reaches_the_month_whose_keys_still_count() -> None:
    kms = LabKms(utc=lambda: DECEMBER_1)
    kms.issue(URI, ["2026-10", "2026-11", "2026-12", "2027-01"])
    kms.issue(OTHER, ["2026-12"])
    taken = kms.revoke(URI)
    assert [issue.month for issue in taken] == ["2026-11", "2026-12", "2027-01"]
    assert {issue.withdrawn_at for issue in taken} == {DECEMBER_1}
    assert kms.revoke(URI) == ()
    assert kms.kpak_of(URI, "2026-12", 1) is None
    assert kms.kpak_of(OTHER, "2026-12", 1) == kms.kpak
    assert kms.kpak_of(OTHER, "2026-12", 2) is None


def test_after_a_compromise_all_later_keys_are_of_new_parameters() -> None:
    kms = LabKms(utc=lambda: NOVEMBER_10)
    (old,) = kms.issue(URI, ["2026-11"])
    assert [issue.period for issue in kms.renew()] == ["2026-11-1"]
    assert kms.generation == 2
    held = kms.gateway_material(URI, ["2026-11", "2026-12"], crs="crs:5223", anchor_pin=PIN)
    assert [keys.period for keys in held.periods] == ["2026-11-2", "2026-12-1"]
    for keys in held.periods:
        assert keys.kms.kpak == kms.kpak != old.kms.kpak
        assert keys.kms.z != old.kms.z
        held.user_keys(keys)
    assert kms.kpak_of(URI, "2026-11", 1) is None
    assert kms.kpak_of(URI, "2026-11", 2) == kms.kpak


def test_fourteen_months_ahead() -> None:
    kms = LabKms()
    held = kms.gateway_material(URI, months_from("2026-11", 14), crs="crs:5223", anchor_pin=PIN)
    assert [keys.period for keys in held.periods] == [
        "2026-11-1",
        "2026-12-1",
        *(f"2027-{month:02}-1" for month in range(1, 13)),
    ]


@pytest.mark.parametrize(("month", "count"), [("0000-12", 1), ("9999-12", 2)])
def test_months_beyond_the_calendar(month: str, count: int) -> None:
    with pytest.raises(ValueError, match="no"):
        months_from(month, count)
    assert months_from("9999-12", 1) == ("9999-12",)


def test_sealed_material_opens_with_its_passphrase() -> None:
    kms = LabKms()
    sealed, phrase = kms.sealed_material(
        URI, ["2026-11"], crs="crs:5223", anchor_pin=PIN, cost=Cost(4, 1, 1)
    )
    held = document.decode(unseal(sealed, passphrase_from(phrase)))
    assert (held.uri, held.crs, held.anchor_pin) == (URI, ("crs:5223",), PIN)
    assert held.periods[0].kms.kpak == kms.kpak


def test_passphrases_are_drawn_anew_and_can_be_read_out() -> None:
    assert new_passphrase(bytes) == "aaaa-aaaa-aaaa-aaaa-aaaa-aaaa"
    assert new_passphrase() != new_passphrase()
