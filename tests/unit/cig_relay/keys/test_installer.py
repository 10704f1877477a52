# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans of installations: a table of cases, and what holds for whatever is installed."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cig_common.control.keys import PeriodAction
from cig_material.errors import MaterialError
from cig_material.material import MAX_PERIODS, KeyMaterial, KmsParameters, PeriodKeys
from cig_material.period import Period
from cig_relay.keys.installer import InstallRefusedError, Plan, Unusable, plan
from cig_relay.keys.periods import Window, accepted
from mikey_sakke.secret import Secret

URI, DOMAIN, CRS, PIN = "tel:+8888", "LAB", ("crs.example.com:5223",), bytes(32)


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


NOW = at("2026-11-15T12:00")
MONTHS = [f"{year}-{month:02d}" for year in (2026, 2027) for month in range(1, 13)]


def kms(name: str = "kms.example.com") -> KmsParameters:
    seed = hashlib.sha256(name.encode()).digest()
    return KmsParameters(name, b"\4" + 2 * seed, b"\4" + 8 * seed)


def keys(period: str, salt: str = "", by: str = "kms.example.com") -> PeriodKeys:
    """Keys that only look like keys: no equation is looked at here."""
    seed = hashlib.sha256(f"{period} {salt} {by}".encode()).digest()
    return PeriodKeys(period, kms(by), Secret(seed), b"\4" + 2 * seed, Secret(b"\4" + 8 * seed))


def material(*periods: str | PeriodKeys, **changes: object) -> KeyMaterial:
    values: dict[str, object] = {
        "uri": URI,
        "domain": DOMAIN,
        "crs": CRS,
        "anchor_pin": PIN,
        "anchor_ca": None,
        "periods": tuple(keys(p) if isinstance(p, str) else p for p in periods),
    }
    return KeyMaterial(**(values | changes))  # type: ignore[arg-type]


def actions(made: Plan) -> dict[str, str]:
    return {step.period: step.action.value for step in made.outline.periods}


def result(made: Plan) -> list[str]:
    assert made.outline.result == tuple(keys.period for keys in made.material.periods)
    return list(made.outline.result)


def refusal(held: KeyMaterial | Unusable | None, new: KeyMaterial, now: float = NOW) -> str:
    with pytest.raises(InstallRefusedError) as caught:
        plan(held, new, now=now)
    assert not str(caught.value).endswith(".")
    return caught.value.detail


@pytest.mark.parametrize(
    ("held", "new", "expected", "kept"),
    [
        ([], ["2026-11-1"], {"2026-11-1": "add"}, ["2026-11-1"]),
        (
            ["2026-11-1"],
            ["2026-12-1"],
            {"2026-12-1": "add"},
            ["2026-11-1", "2026-12-1"],
        ),
        (
            ["2026-11-1"],
            ["2026-11-1", "2026-12-1"],
            {"2026-11-1": "held", "2026-12-1": "add"},
            ["2026-11-1", "2026-12-1"],
        ),
        (
            ["2026-11-1", "2026-12-1"],
            ["2026-11-3"],
            {"2026-11-3": "replace"},
            ["2026-11-3", "2026-12-1"],
        ),
        (
            ["2026-11-2"],
            ["2026-11-1", "2026-12-1"],
            {"2026-11-1": "older", "2026-12-1": "add"},
            ["2026-11-2", "2026-12-1"],
        ),
        (  # a revision is a number, not a text
            ["2026-11-9"],
            ["2026-11-10"],
            {"2026-11-10": "replace"},
            ["2026-11-10"],
        ),
        (  # of one month the highest revision alone is taken, and kept
            ["2026-11-1", "2026-11-2"],
            ["2026-12-1", "2026-12-2"],
            {"2026-12-1": "older", "2026-12-2": "add"},
            ["2026-11-2", "2026-12-2"],
        ),
        (  # what is over is left out of the material, and dropped from what is held
            ["2026-09-1", "2026-11-1"],
            ["2026-10-1", "2026-12-1"],
            {"2026-10-1": "expired", "2026-12-1": "add"},
            ["2026-11-1", "2026-12-1"],
        ),
        (  # of what is over nobody needs to know whether the keys are the same
            ["2026-10-2"],
            [keys("2026-10-2", "other"), "2026-11-1"],
            {"2026-10-2": "expired", "2026-11-1": "add"},
            ["2026-11-1"],
        ),
    ],
)
def test_periods(
    held: list[str], new: list[str], expected: dict[str, str], kept: list[str]
) -> None:
    made = plan(material(*held) if held else None, material(*new), now=NOW)
    assert actions(made) == expected
    assert result(made) == kept
    assert made.outline.consent is None
    made.outline.require_consent(given=False)


def test_a_replaced_period_is_named_and_its_window_told() -> None:
    made = plan(material("2026-11-1"), material("2026-11-2"), now=NOW)
    (step,) = made.outline.periods
    assert (step.replaced, step.kms_uri) == ("2026-11-1", "kms.example.com")
    assert step.accepted_from == at("2026-10-30T00:00")
    assert step.accepted_until == at("2026-12-03T00:00")


@pytest.mark.parametrize(
    ("held", "new", "word"),
    [
        (["2026-11-1"], ["2026-11-1"], "nothing-new"),
        (["2026-11-1", "2026-12-1"], ["2026-12-1"], "nothing-new"),
        (["2026-11-2", "2026-12-1"], ["2026-11-1", "2026-12-1"], "nothing-new"),
        (["2026-11-2"], ["2026-11-1"], "older"),
        (["2026-11-2"], ["2026-10-1", "2026-11-1"], "older"),
        ([], ["2026-10-1"], "expired"),
        (["2026-11-1"], ["2026-01-1", "2026-10-9"], "expired"),
        (["2026-11-1"], [keys("2026-11-1", "other"), "2026-12-1"], "same-revision"),
        (["2026-11-1"], [keys("2026-11-1", by="kms2.example.com")], "same-revision"),
    ],
)
def test_what_brings_nothing_or_contradicts_is_refused(
    held: list[str], new: list[str], word: str
) -> None:
    assert refusal(material(*held) if held else None, material(*new)) == word


@pytest.mark.parametrize(
    ("now", "action"),
    [
        ("2026-11-30T12:00", "add"),
        ("2026-12-02T23:59", "add"),  # the last moment for calls
        ("2026-12-03T00:00", "add"),  # texts alone from here on
        ("2026-12-08T23:59", "add"),
    ],
)
def test_a_month_is_taken_until_texts_of_it_are_opened_no_more(now: str, action: str) -> None:
    made = plan(None, material("2026-11-1"), now=at(now))
    assert actions(made) == {"2026-11-1": action}
    texts_alone = any("texts alone" in note for note in made.outline.notes)
    assert texts_alone == (now >= "2026-12-03")


def test_from_day_9_on_a_month_is_over() -> None:
    assert refusal(None, material("2026-11-1"), at("2026-12-09T00:00")) == "expired"
    made = plan(material("2026-11-1"), material("2026-12-1"), now=at("2026-12-09T00:00"))
    assert result(made) == ["2026-12-1"]


@pytest.mark.parametrize(
    ("change", "word"),
    [({"uri": "tel:+7777"}, "other-identity"), ({"domain": "OTHER"}, "other-domain")],
)
def test_another_identity_needs_consent_and_keeps_nothing(
    change: dict[str, str], word: str
) -> None:
    held = material("2026-11-1", "2026-12-1")
    made = plan(held, material("2026-11-1", **change), now=NOW)
    assert made.outline.consent is not None
    assert made.outline.consent.gives_up == "tel:+8888 (security domain LAB)"
    with pytest.raises(InstallRefusedError) as caught:
        made.outline.require_consent(given=False)
    assert caught.value.detail == word
    assert "--replace" in str(caught.value)
    made.outline.require_consent(given=True)
    assert result(made) == ["2026-11-1"]
    assert actions(made) == {"2026-11-1": "add"}
    assert refusal(held, material("2026-10-1", **change)) == "expired"


def test_the_two_refusals_of_another_identity_are_told_apart() -> None:
    texts = set()
    for change in ({"uri": "tel:+7777"}, {"domain": "OTHER"}):
        made = plan(material("2026-11-1"), material("2026-11-1", **change), now=NOW)
        assert made.outline.consent is not None
        texts.add(made.outline.consent.refusal)
    assert len(texts) == 2


def test_a_keystore_that_cannot_be_used_needs_consent() -> None:
    made = plan(Unusable("tel:+8888", "it is damaged"), material("2026-11-1"), now=NOW)
    assert made.outline.consent is not None
    assert made.outline.consent.gives_up.startswith("tel:+8888 (its keystore cannot be used")
    with pytest.raises(InstallRefusedError, match="it is damaged") as caught:
        made.outline.require_consent(given=False)
    assert caught.value.detail == "keystore"


def test_crs_and_anchor_of_the_last_material_count() -> None:
    other = {"crs": ("b.example.com:1", "c.example.com:2"), "anchor_pin": b"\1" * 32}
    made = plan(material("2026-11-1"), material("2026-11-1", **other), now=NOW)
    assert actions(made) == {"2026-11-1": "held"}
    assert made.material.crs == other["crs"]
    assert made.material.anchor_pin == other["anchor_pin"]
    crs, anchor = made.outline.changes
    assert "b.example.com:1 c.example.com:2 (they were crs.example.com:5223)" in crs
    assert "01" * 32 in anchor
    # What brings no key that counts brings no addresses either.
    assert refusal(material("2026-11-2"), material("2026-11-1", **other)) == "older"
    assert refusal(material("2026-11-2"), material("2026-10-1", **other)) == "expired"


def test_a_change_of_the_kms_is_loud() -> None:
    held = material("2026-11-1", "2026-12-1")
    inside = plan(held, material(keys("2026-11-2", by="new.example.com")), now=NOW).outline.changes
    assert "THE KMS OF 2026-11 CHANGES" in inside[0]
    assert "kms.example.com" in inside[0]
    assert "new.example.com" in inside[0]
    later = plan(held, material(keys("2027-01-1", by="new.example.com")), now=NOW).outline.changes
    assert "THE KMS CHANGES FROM 2027-01 ON" in later[0]
    assert plan(held, material("2027-01-1"), now=NOW).outline.changes == ()
    assert plan(None, material("2026-11-1"), now=NOW).outline.changes == ()


def test_keys_far_ahead_make_one_look_at_the_clock() -> None:
    near = plan(None, material("2029-11-1"), now=NOW).outline
    assert near.changes == ()
    far = plan(None, material("2029-12-1"), now=NOW).outline
    assert "clock" in far.changes[0]
    assert any("clock" in note for note in far.notes)
    # A host whose clock was never set takes keys, and tells.
    assert plan(None, material("2026-11-1"), now=0.0).outline.changes


def test_notes_tell_what_was_left_out_and_when_calls_begin() -> None:
    made = plan(material("2027-01-2"), material("2026-10-1", "2027-01-1", "2027-02-1"), now=NOW)
    notes = " ".join(made.outline.notes)
    assert "2026-10-1 was left out: it is over since 2026-11-09." in notes
    assert "2027-01-1 was left out: there is a higher revision" in notes
    assert "calls will be possible from 2026-12-30 on." in notes
    assert not plan(None, material("2026-11-1"), now=NOW).outline.notes


def test_the_keystore_has_room_for_so_many_months() -> None:
    first = [f"{2027 + n // 12}-{n % 12 + 1:02d}-1" for n in range(MAX_PERIODS)]
    assert refusal(material(*first), material("2026-11-1")) == "too-many"
    # Months that are over make room.
    made = plan(material(*first), material("2030-01-1"), now=at("2027-02-09T00:00"))
    assert len(made.outline.result) == MAX_PERIODS


def test_a_ca_that_cannot_be_read_is_refused() -> None:
    broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    with pytest.raises(MaterialError, match="CA certificate"):
        plan(None, material("2026-11-1", anchor_ca=broken), now=NOW)
    # One that is held already must not stand in the way of a better one.
    held = material("2026-11-1", anchor_ca=broken)
    assert plan(held, material("2026-11-1"), now=NOW).outline.changes


# --- what holds for all -------------------------------------------------------------------------

months = st.sampled_from(MONTHS)
periods = st.builds("{}-{}".format, months, st.integers(1, 3))
materials = st.lists(periods, min_size=1, max_size=8, unique=True).map(lambda p: material(*p))
nows = st.integers(int(at("2026-01-01")), int(at("2027-12-31"))).map(float)


def after(held: KeyMaterial | None, new: KeyMaterial, now: float) -> KeyMaterial | None:
    """Install ``new``: what is held then."""
    try:
        return plan(held, new, now=now).material
    except InstallRefusedError:
        return held


def counting(held: KeyMaterial | None, now: float) -> dict[str, PeriodKeys]:
    """The keys that count, or will."""
    found = () if held is None else held.periods
    return {k.month: k for k in found if now < Window.of(k.month).over_at}


@given(st.lists(materials, max_size=3), materials, nows)
@settings(deadline=None)
def test_installing_twice_brings_nothing_the_second_time(
    before: list[KeyMaterial], new: KeyMaterial, now: float
) -> None:
    held: KeyMaterial | None = None
    for one in before:
        held = after(held, one, now)
    try:
        held = plan(held, new, now=now).material
    except InstallRefusedError as error:
        assert error.detail in ("nothing-new", "older", "expired")
        return
    assert refusal(held, new, now) == "nothing-new"


@given(materials, materials, nows)
@settings(deadline=None)
def test_the_order_of_installations_does_not_matter(
    one: KeyMaterial, two: KeyMaterial, now: float
) -> None:
    assert counting(after(after(None, one, now), two, now), now) == counting(
        after(after(None, two, now), one, now), now
    )


@given(materials, materials, nows)
@settings(deadline=None)
def test_no_keys_that_count_are_lost(one: KeyMaterial, two: KeyMaterial, now: float) -> None:
    held = after(None, one, now)
    before, later = counting(held, now), counting(after(held, two, now), now)
    assert set(before) <= set(later)
    for month, old in before.items():
        assert Period.parse(later[month].period) >= Period.parse(old.period)
        if later[month].period == old.period:
            assert later[month] == old
    offered = {k.month for k in two.periods if now < Window.of(k.month).over_at}
    assert offered <= set(later)


@given(materials, materials, nows)
@settings(deadline=None)
def test_what_is_told_is_what_is_done(one: KeyMaterial, two: KeyMaterial, now: float) -> None:
    held = after(None, one, now)
    try:
        made = plan(held, two, now=now)
    except InstallRefusedError:
        return
    for step in made.outline.periods:
        installed = step.action in (PeriodAction.ADD, PeriodAction.REPLACE)
        kept = installed or step.action is PeriodAction.HELD
        assert (step.period in made.outline.result) == kept
        assert bool(step.replaced) == (step.action is PeriodAction.REPLACE)
        assert step.replaced not in made.outline.result


@given(st.integers(1, 9999), st.integers(1, 12), st.floats(-40, 40))
def test_windows_are_those_by_which_messages_are_accepted(
    year: int, month: int, days: float
) -> None:
    window = Window.of(f"{year:04d}-{month:02d}")
    assert window.accepted_from < window.begins < window.ends < window.accepted_until
    assert window.accepted_until < window.over_at
    if 1 < year < 9999:
        for moment in (window.begins + days * 86400, window.accepted_from, window.accepted_until):
            inside = window.accepted_from <= moment < window.accepted_until
            assert accepted(f"{year:04d}-{month:02d}", moment) == inside
