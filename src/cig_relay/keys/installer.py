# SPDX-License-Identifier: GPL-3.0-or-later
"""What an installation of key material does to a keystore: decided here, without any I/O.

The rules:

1. The identity is the public id in its security domain. Keys of another one are taken only by
   consent (``set-key --replace``), and then nothing of the old one is kept. The same goes for a
   keystore that cannot be used.
2. A period is over when no message may use its keys any more: after day 8 of the next month, when
   texts are no longer opened (`cig_relay.keys.periods`). What is over is left out, of the material
   and of what was held.
3. Of each month the highest revision counts, and it alone is kept. The same revision must have the
   same keys: otherwise nothing is installed, since nobody can tell which ones the peers use.
4. CRS addresses and trust anchor are those of the material installed last.
5. Material that brings nothing is refused: every period is over (``expired``), is held in a higher
   revision (``older``), or is held as it is (``nothing-new``). New CRS addresses or a new anchor
   beside a period that is held are something.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import pairwise

from cig_common.control.keys import PeriodAction, PeriodPreview
from cig_common.errors import LocalError
from cig_material.errors import MaterialError
from cig_material.material import MAX_PERIODS, KeyMaterial, PeriodKeys
from cig_material.period import Period
from cig_relay.keys import anchor
from cig_relay.keys.periods import Window

FAR_MONTHS = 36
"""Keys of a month further ahead make one look at the clock."""
_BRINGING = (PeriodAction.ADD, PeriodAction.REPLACE)


class InstallRefusedError(LocalError):
    """The key material is not installed; nothing was changed. ``detail`` is the stable word."""

    log_code = "material"

    def __init__(self, detail: str, text: str) -> None:
        super().__init__(text)
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Unusable:
    """A keystore that is there and cannot be used: whose it is, by its name, and why."""

    name: str
    problem: str


@dataclass(frozen=True, slots=True)
class Consent:
    """What an operator has to allow: ``gives_up`` names the keystore that would be lost.

    Without it, the installation is refused by ``detail`` and ``refusal``.
    """

    gives_up: str
    detail: str
    refusal: str


@dataclass(frozen=True, slots=True)
class Outline:
    """A plan without its keys; equal outlines do the same.

    ``anchor`` says in words by what the CRS's certificate will be checked, ``result`` are the
    periods that the keystore will hold. ``changes`` tells what else than periods will change;
    ``notes`` what an operator should know afterwards.
    """

    anchor: str
    periods: tuple[PeriodPreview, ...]
    result: tuple[str, ...]
    changes: tuple[str, ...]
    notes: tuple[str, ...]
    consent: Consent | None

    def require_consent(self, *, given: bool) -> None:
        """Raise InstallRefusedError where consent is needed and was not ``given``."""
        if self.consent is not None and not given:
            raise InstallRefusedError(self.consent.detail, self.consent.refusal)


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done: ``material`` is what the keystore shall hold. It shares the secrets of
    the materials that it was made of.
    """

    outline: Outline
    material: KeyMaterial = field(repr=False)


def plan(held: KeyMaterial | Unusable | None, material: KeyMaterial, *, now: float) -> Plan:
    """Plan how ``material`` comes to what is ``held``, at ``now`` (seconds since 1970, UTC).

    Raises InstallRefusedError where there is nothing to install or it must not be, MaterialError
    for a trust anchor that cannot be read.
    """
    words = anchor.describe(material)
    consent = _consent(held, material)
    base = held if consent is None and isinstance(held, KeyMaterial) else None
    kept = {} if base is None else _highest(base.periods)
    offered = _highest(material.periods)
    steps = tuple(_step(keys, kept, offered, now) for keys in material.periods)
    brought = {step.period for step in steps if step.action in _BRINGING}
    merged = {month: keys for month, keys in kept.items() if now < Window.of(month).over_at}
    merged |= {keys.month: keys for keys in material.periods if keys.period in brought}
    changes = () if base is None else _changes(base, material, words)
    _require_something(steps, kept, changes, now)
    if len(merged) > MAX_PERIODS:
        raise InstallRefusedError(
            "too-many",
            f"the keystore would hold keys of {len(merged)} months, and {MAX_PERIODS} are the "
            "most: ask the CMS for material of fewer months",
        )
    periods = tuple(merged[month] for month in sorted(merged))
    outline = Outline(
        anchor=words,
        periods=steps,
        result=tuple(keys.period for keys in periods),
        changes=(*changes, *_kms_changes(kept, periods, brought), *_far_ahead(steps, now)),
        notes=tuple(_notes(steps, kept, now)),
        consent=consent,
    )
    return Plan(outline, replace(material, periods=periods))


# --- whose keys ---------------------------------------------------------------------------------


def _consent(held: KeyMaterial | Unusable | None, material: KeyMaterial) -> Consent | None:
    if isinstance(held, Unusable):
        gives_up = f"{held.name} (its keystore cannot be used: {held.problem})"
        hint = "`cig-cli set-key --replace` puts these keys in its place"
        return Consent(gives_up, "keystore", f"{held.problem}; or {hint}")
    if held is None or (held.uri, held.domain) == (material.uri, material.domain):
        return None
    gives_up = f"{held.uri} (security domain {held.domain})"
    hint = "if the gateway shall change, install them with `cig-cli set-key --replace`"
    if held.uri != material.uri:
        return Consent(
            gives_up,
            "other-identity",
            f"these keys are of {material.uri} (security domain {material.domain}), and the "
            f"gateway is {gives_up}: {hint}",
        )
    return Consent(
        gives_up,
        "other-domain",
        f"these keys of {material.uri} are of the security domain {material.domain}, and the "
        f"gateway belongs to the domain {held.domain}: {hint}",
    )


# --- periods ------------------------------------------------------------------------------------


def _highest(periods: Iterable[PeriodKeys]) -> dict[str, PeriodKeys]:
    """Give the highest revision of each month; periods come oldest first."""
    return {keys.month: keys for keys in periods}


def _step(
    keys: PeriodKeys, kept: Mapping[str, PeriodKeys], offered: Mapping[str, PeriodKeys], now: float
) -> PeriodPreview:
    window = Window.of(keys.month)
    held = kept.get(keys.month)
    action = _action(keys, held, offered[keys.month], over=now >= window.over_at)
    return PeriodPreview(
        period=keys.period,
        kms_uri=keys.kms.uri,
        accepted_from=window.accepted_from,
        accepted_until=window.accepted_until,
        action=action,
        replaced=held.period if held is not None and action is PeriodAction.REPLACE else "",
    )


def _action(
    keys: PeriodKeys, held: PeriodKeys | None, best: PeriodKeys, *, over: bool
) -> PeriodAction:
    if over:
        return PeriodAction.EXPIRED
    if keys is not best:
        return PeriodAction.OLDER
    if held is None:
        return PeriodAction.ADD
    new, old = Period.parse(keys.period), Period.parse(held.period)
    if new != old:
        return PeriodAction.REPLACE if new > old else PeriodAction.OLDER
    if keys != held:
        raise InstallRefusedError(
            "same-revision",
            f"the gateway holds other keys under the same period {keys.period}: the CMS must issue "
            "a new revision of the month",
        )
    return PeriodAction.HELD


def _require_something(
    steps: tuple[PeriodPreview, ...],
    kept: Mapping[str, PeriodKeys],
    changes: tuple[str, ...],
    now: float,
) -> None:
    actions = {step.action for step in steps}
    if actions & set(_BRINGING) or (changes and PeriodAction.HELD in actions):
        return
    if PeriodAction.HELD in actions:
        names = " ".join(step.period for step in steps if step.action is PeriodAction.HELD)
        raise InstallRefusedError(
            "nothing-new", f"the gateway has these keys already ({names}): nothing is to be done"
        )
    late = [step for step in steps if step.action is PeriodAction.OLDER]
    if late:
        month = Period.parse(late[-1].period).month
        raise InstallRefusedError(
            "older",
            f"this material has keys of {late[-1].period}, and the gateway has "
            f"{kept[month].period} already: ask the CMS for the material that it issued last",
        )
    last = steps[-1].period
    over_at = Window.of(Period.parse(last).month).over_at
    raise InstallRefusedError(
        "expired",
        f"all periods of this material are over, the last of them, {last}, since {_day(over_at)}: "
        f"ask the CMS for keys of the months to come (this host's clock says {_day(now)})",
    )


# --- what else is told --------------------------------------------------------------------------


def _changes(held: KeyMaterial, material: KeyMaterial, words: str) -> tuple[str, ...]:
    changes = []
    if held.crs != material.crs:
        changes.append(f"CRS addresses: {' '.join(material.crs)} (they were {' '.join(held.crs)})")
    if (held.anchor_pin, held.anchor_ca) != (material.anchor_pin, material.anchor_ca):
        changes.append(f"Trust anchor of the CRS: {words} (it was {_old_anchor(held)})")
    return tuple(changes)


def _old_anchor(held: KeyMaterial) -> str:
    try:
        return anchor.describe(held)
    except MaterialError:
        return "a CA that cannot be read"


def _kms_changes(
    kept: Mapping[str, PeriodKeys], periods: tuple[PeriodKeys, ...], brought: set[str]
) -> Iterator[str]:
    """Tell where the KMS's public parameters change: inside a month, or from one to the next."""
    if not kept:
        return
    for keys in periods:
        old = kept.get(keys.month)
        if old is not None and old.kms != keys.kms:
            yield (
                f"ATTENTION, THE KMS OF {keys.month} CHANGES, from {old.kms.uri} to "
                f"{keys.kms.uri} with other public keys: in that month the gateway will only "
                "understand peers whose keys are of the new one"
            )
    for before, after in pairwise(periods):
        if before.kms != after.kms and {before.period, after.period} & brought:
            yield (
                f"ATTENTION, THE KMS CHANGES FROM {after.month} ON: {after.kms.uri} instead of "
                f"{before.kms.uri}, with other public keys"
            )


def _far_ahead(steps: tuple[PeriodPreview, ...], now: float) -> tuple[str, ...]:
    far = [s.period for s in steps if s.action in _BRINGING and _months_ahead(s, now) > FAR_MONTHS]
    if not far:
        return ()
    return (
        f"{' '.join(far)}: more than {FAR_MONTHS} months ahead. Is this host's clock right? It "
        f"says {_day(now)}",
    )


def _months_ahead(step: PeriodPreview, now: float) -> int:
    period, today = Period.parse(step.period), datetime.fromtimestamp(now, UTC)
    return (period.year - today.year) * 12 + period.month_number - today.month


def _notes(
    steps: tuple[PeriodPreview, ...], kept: Mapping[str, PeriodKeys], now: float
) -> Iterator[str]:
    for step in steps:
        window = Window.of(Period.parse(step.period).month)
        if step.action is PeriodAction.EXPIRED:
            yield f"{step.period} was left out: it is over since {_day(window.over_at)}."
        elif step.action is PeriodAction.OLDER:
            yield f"{step.period} was left out: there is a higher revision of its month."
        elif step.action in _BRINGING and now >= window.accepted_until:
            yield f"{step.period} serves texts alone, until {_day(window.over_at)}."
    yield from (f"{sentence}." for sentence in _far_ahead(steps, now))
    months = [*kept, *(Period.parse(s.period).month for s in steps)]
    windows = [window for window in map(Window.of, months) if now < window.accepted_until]
    if windows and all(now < window.accepted_from for window in windows):
        begin = min(window.accepted_from for window in windows)
        yield f"No keys count at the moment: calls will be possible from {_day(begin)} on."


def _day(moment: float) -> str:
    """Give the day (UTC) on which a moment falls."""
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d}"
