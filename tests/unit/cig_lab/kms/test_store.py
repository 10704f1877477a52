# SPDX-License-Identifier: GPL-3.0-or-later
"""The KMS on disk: it comes back as it was, is nobody else's, and says what is wrong with it."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cig_lab.kms import Rendezvous, store
from cig_lab.process import LabError

URI = "tel:+8888"
MEETING = Rendezvous(("crs.example.com:5223", "[::1]:1"), bytes(range(32)), None)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "kms"
    store.create(folder, domain="LAB", kms_uri="kms.example.com", meeting=MEETING)
    return folder


def values(folder: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((folder / store.FILE).read_text())
    return read


def test_it_comes_back_as_it_was(folder: Path) -> None:
    with store.opened(folder) as held:
        first = held.kms.issue(URI, ["2026-11", "2026-12"])
        held.kms.revoke(URI, month="2026-12")
        held.kms.renew()
        held.save()
        before = held
    with store.opened(folder) as held:
        assert held.meeting == MEETING
        assert (held.kms.domain, held.kms.kms_uri) == ("LAB", "kms.example.com")
        assert held.kms.ledger.issues == before.kms.ledger.issues
        assert held.kms.kpak == before.kms.kpak
        assert held.kms.generation == 2
        material = held.kms.material(URI, ["2026-11"], held.meeting)
        assert material.periods[0].period == "2026-11-2"
        material.user_keys(material.periods[0])
        assert held.kms.masters[0].kpak == first[0].kms.kpak


def test_it_is_nobody_elses(folder: Path) -> None:
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / store.FILE).stat().st_mode & 0o777 == 0o600
    folder.chmod(0o750)
    with pytest.raises(LabError, match="yours alone"), store.opened(folder):
        pass


def test_a_second_one_is_not_made_over_it(folder: Path, tmp_path: Path) -> None:
    before = (folder / store.FILE).read_bytes()
    with pytest.raises(LabError, match="holds a KMS already"):
        store.create(folder, domain="LAB", kms_uri="kms.example.com", meeting=MEETING)
    assert (folder / store.FILE).read_bytes() == before
    with pytest.raises(LabError, match="cig-lab kms init"), store.opened(tmp_path / "other"):
        pass


@pytest.mark.parametrize(
    ("domain", "meeting"),
    [("", MEETING), ("LAB", Rendezvous(("crs",), bytes(32), None)),
     ("LAB", Rendezvous((), bytes(32), None)), ("LAB", Rendezvous(("crs:1",), None, None)),
     ("LAB", Rendezvous(("crs:1",), None, "no PEM"))],
)  # fmt: skip
def test_what_cannot_be_issued_with_is_told_at_once(
    tmp_path: Path, domain: str, meeting: Rendezvous
) -> None:
    with pytest.raises(LabError, match="no KMS can be made"):
        store.create(tmp_path / "kms", domain=domain, kms_uri="kms", meeting=meeting)
    assert not (tmp_path / "kms").exists()


def test_two_at_once_issue_different_revisions(folder: Path) -> None:
    def issue(_: int) -> str:
        with store.opened(folder) as held:
            period = held.kms.issue(URI, ["2026-11"], reissue=True)[0].period
            held.save()
        return period

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(issue, range(8)))) == 8


BROKEN: list[tuple[str, Callable[[dict[str, Any]], object]]] = [
    ("another version", lambda v: v | {"version": 2}),
    ("no map", lambda v: [v]),
    ("no master keys", lambda v: v | {"generations": []}),
    ("a master key that is none", lambda v: v | {"generations": [{"ksak": "00", "z": "03"}]}),
    ("master keys no numbers", lambda v: v | {"generations": [{"ksak": "xy", "z": "03"}]}),
    ("master keys of no form", lambda v: v | {"generations": ["xy"]}),
    ("no domain", lambda v: {name: x for name, x in v.items() if name != "domain"}),
    ("pin no text", lambda v: v | {"pin": 7}),
    ("CRS no text", lambda v: v | {"crs": [5223]}),
    ("ledger no list", lambda v: v | {"ledger": {}}),
    ("entry too short", lambda v: v | {"ledger": [[URI, "2026-11", 1, 1, 1]]}),
    ("entry of a wrong type", lambda v: v | {"ledger": [[URI, "2026-11", "1", 1, 1, None]]}),
    ("entry of no month", lambda v: v | {"ledger": [[URI, "2026-13", 1, 1, 1, None]]}),
    ("entry twice", lambda v: v | {"ledger": [[URI, "2026-11", 1, 1, 1, None]] * 2}),
    ("entry of a later generation", lambda v: v | {"ledger": [[URI, "2026-11", 1, 2, 1, None]]}),
    ("entry of no revision", lambda v: v | {"ledger": [[URI, "2026-11", 0, 1, 1, None]]}),
]


@pytest.mark.parametrize(("name", "change"), BROKEN, ids=[name for name, _ in BROKEN])
def test_a_broken_file_is_told_and_left(
    folder: Path, name: str, change: Callable[[dict[str, Any]], object]
) -> None:
    path = folder / store.FILE
    held = values(folder)
    path.write_text(json.dumps(change(held)))
    before = path.read_bytes()
    with pytest.raises(LabError, match="restore it from a back-up") as caught, store.opened(folder):
        pass
    assert path.read_bytes() == before
    assert held["generations"][0]["ksak"] not in str(caught.value)


@given(cut=st.integers(0, 1000), put=st.binary(max_size=20))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_damage_is_told(folder: Path, cut: int, put: bytes) -> None:
    path = folder / store.FILE
    whole, held = path.read_bytes(), values(folder)
    path.write_bytes(whole[: cut % len(whole)] + put)
    try:
        with store.opened(folder):
            assert values(folder) == held
    except LabError as error:
        assert str(path) in str(error)
    finally:
        path.write_bytes(whole)
