# SPDX-License-Identifier: GPL-3.0-or-later
"""A laboratory's KMS on disk: a folder (mode 0700) with the file ``kms.json`` (0600).

The file holds the master keys **in clear**, what the domain's members are told, and the ledger.
It is written as a whole or not at all, and before any key is handed out: a revision that was
lost on its way is never issued a second time. While a store is open, its folder is locked.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

from cig_lab.kms.ledger import Issue
from cig_lab.kms.masters import LabKms, Rendezvous
from cig_lab.process import LabError
from cig_relay.keys.files import replace_durably
from mikey_sakke.errors import MikeySakkeError
from mikey_sakke.kms import MasterKeys

FILE = "kms.json"
VERSION = 1
MAX_OCTETS = 64 << 20
_PROBE = "tel:+1", "2000-01"
_ISSUE = (str, str, int, int, int, int | None)


@dataclass(frozen=True, slots=True)
class KmsStore:
    """A KMS and what it tells the domain's members; ``save`` after every change."""

    folder: Path
    kms: LabKms
    meeting: Rendezvous

    def save(self) -> None:
        """Write all of it; raises LabError."""
        try:
            replace_durably(self.folder / FILE, _encode(self.kms, self.meeting))
        except OSError as error:
            raise LabError(f"{self.folder / FILE} cannot be written: {error.strerror}") from None


def create(
    folder: Path,
    *,
    domain: str,
    kms_uri: str,
    meeting: Rendezvous,
    random_bytes: Callable[[int], bytes] = secrets.token_bytes,
) -> KmsStore:
    """Draw master keys and write a new store to ``folder``, which is made where it is not there.

    Raises LabError if there is one already, or if something has not the form that key material
    wants.
    """
    kms = LabKms(domain=domain, kms_uri=kms_uri, random_bytes=random_bytes)
    try:
        # What a KMS could not issue with shall be told now.
        LabKms(domain=domain, kms_uri=kms_uri).material(_PROBE[0], _PROBE[1:], meeting)
    except ValueError as error:
        raise LabError(f"no KMS can be made of that: {error}") from None
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise LabError(f"{folder} cannot be made: {error.strerror}") from None
    with _locked(folder):
        if (folder / FILE).exists():
            raise LabError(f"{folder} holds a KMS already: name another folder with --dir")
        store = KmsStore(folder, kms, meeting)
        store.save()
    return store


@contextmanager
def opened(folder: Path, *, utc: Callable[[], float] = time.time) -> Iterator[KmsStore]:
    """Read the store in ``folder`` and keep it locked; raises LabError, which says what to do."""
    if not (folder / FILE).exists():
        raise LabError(f"{folder} holds no KMS: make one with `cig-lab kms init`")
    with _locked(folder):
        yield _load(folder, utc)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise LabError(f"{folder} cannot be opened: {error.strerror}") from None
    try:
        if os.fstat(descriptor).st_uid != os.geteuid() or os.fstat(descriptor).st_mode & 0o077:
            raise LabError(
                f"{folder} holds master keys and must be yours alone: chown it to uid "
                f"{os.geteuid()} and chmod it to 0700"
            )
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _load(folder: Path, utc: Callable[[], float]) -> KmsStore:
    path = folder / FILE
    try:
        return _decode(_read(path), folder, utc)
    except OSError as error:
        raise LabError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, MikeySakkeError) as error:
        raise LabError(
            f"{path} is no KMS of this version ({error}): restore it from a back-up"
        ) from None


def _read(path: Path) -> bytes:
    with path.open("rb") as stream:
        octets = stream.read(MAX_OCTETS + 1)
    if len(octets) > MAX_OCTETS:
        raise ValueError("it is too long")
    return octets


def _encode(kms: LabKms, meeting: Rendezvous) -> bytes:
    generations = [masters.reveal() for masters in kms.masters]
    values = {
        "version": VERSION,
        "domain": kms.domain,
        "kms_uri": kms.kms_uri,
        "crs": meeting.crs,
        "pin": None if meeting.pin is None else meeting.pin.hex(),
        "ca": meeting.ca,
        "generations": [{"ksak": ksak.hex(), "z": z.hex()} for ksak, z in generations],
        "ledger": [astuple(issue) for issue in kms.ledger.issues],
    }
    return json.dumps(values, indent=1).encode() + b"\n"


def _decode(octets: bytes, folder: Path, utc: Callable[[], float]) -> KmsStore:
    """Read what `_encode` gives; raises ValueError or MikeySakkeError, which quote no key."""
    try:
        values = json.loads(octets)
    except (ValueError, RecursionError):
        raise ValueError("it holds no JSON") from None
    if not isinstance(values, dict) or values.get("version") != VERSION:
        raise ValueError(f"it has not version {VERSION}")
    pin = _take(values, "pin", str | None)
    crs = _take(values, "crs", list)
    if not all(isinstance(address, str) for address in crs):
        raise ValueError("its CRS addresses are no texts")
    masters = [
        MasterKeys(ksak=_unhex(_take(item, "ksak", str)), z=_unhex(_take(item, "z", str)))
        for item in _take(values, "generations", list)
    ]
    if not masters:
        raise ValueError("it has no master keys")
    kms = LabKms(
        domain=_take(values, "domain", str),
        kms_uri=_take(values, "kms_uri", str),
        utc=utc,
        masters=masters,
        issues=[_issue(item, len(masters)) for item in _take(values, "ledger", list)],
    )
    meeting = Rendezvous(
        crs=tuple(crs),
        pin=None if pin is None else _unhex(pin),
        ca=_take(values, "ca", str | None),
    )
    return KmsStore(folder, kms, meeting)


def _issue(item: Any, generations: int) -> Issue:
    fits = isinstance(item, list) and len(item) == len(_ISSUE)
    if not fits or not all(map(isinstance, item, _ISSUE)):
        raise ValueError("an entry of its ledger has another form")
    issue = Issue(*item)
    if not (1 <= issue.revision <= 999_999_999 and 1 <= issue.generation <= generations):
        raise ValueError("an entry of its ledger cannot be")
    return issue


def _take(values: Any, name: str, kind: Any) -> Any:
    if not isinstance(values, Mapping) or not isinstance(values.get(name, ...), kind):
        raise ValueError(f"its field {name} is missing or of a wrong type")
    return values[name]


def _unhex(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise ValueError("a field is no hexadecimal number") from None
