# SPDX-License-Identifier: GPL-3.0-or-later
"""The CRS's texts on disk: a folder that a CRS can die over, and go on with.

The rules:
- A text is one file, NUMBER.text: a line of JSON (sender, recipient, mid, I_MESSAGE, digest), then
  the sealed content. A receipt is one file, NUMBER.receipt, a line of JSON.
- A file is written under a name that ends in .tmp, synced, renamed; then the folder is synced,
  once for all jobs of a batch. Only then the batch is done.
- A text is removed once its receipt is on disk. Where both are found at the start, the text was
  about to be removed. A .tmp was never done, and is removed.
- The file `known` has a line for each URI that exists.

All of it blocks, and is for a worker thread; only `read` is quick enough for an event loop.
"""

import base64
import contextlib
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cig_lab.crs.text_jobs import DropReceipt, Job, Know, StoredText, StoreReceipt, StoreText
from umsg.messages import Receipt, ReceiptStatus, Text
from umsg.texts import MAX_PART, Envelope, part

_TEXT, _RECEIPT, _TMP, _KNOWN = ".text", ".receipt", ".tmp", "known"
_MAX_HEADER = 1 << 16


@dataclass(slots=True)
class Found:
    """What the folder had at the start."""

    known: list[str] = field(default_factory=list)
    texts: list[StoredText] = field(default_factory=list)
    receipts: list[tuple[StoredText, Receipt]] = field(default_factory=list)


class TextStore:
    """The folder of one CRS; it is made, with mode 0700, where it is missing."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def load(self) -> Found:
        """Read what there is, and clear away what was not done. Raises OSError."""
        found = Found()
        for path in self.folder.glob(f"*{_TMP}"):
            path.unlink()
        with contextlib.suppress(FileNotFoundError):
            # A line that was cut off was never known to anybody.
            lines = (self.folder / _KNOWN).read_text().splitlines(keepends=True)
            found.known = [line.rstrip("\n") for line in lines if line.endswith("\n")]
        for path in sorted(self.folder.glob(f"*{_RECEIPT}")):
            values = json.loads(path.read_text())
            found.receipts.append((_text_of(int(path.stem), values), _receipt_of(values)))
            path.with_suffix(_TEXT).unlink(missing_ok=True)
        for path in sorted(self.folder.glob(f"*{_TEXT}")):
            with path.open("rb") as file:
                found.texts.append(_text_of(int(path.stem), json.loads(file.readline())))
        return found

    def perform(self, jobs: Sequence[Job]) -> list[OSError | None]:
        """Do the jobs, in order; gives for each what went wrong, or None."""
        results: list[OSError | None] = []
        for job in jobs:
            try:
                self._write(job)
                results.append(None)
            except OSError as error:
                results.append(error)
        try:
            self._sync_folder()
        except OSError as error:
            return [error for _ in jobs]
        self._remove(job for job, error in zip(jobs, results, strict=True) if error is None)
        return results

    def read(self, text: StoredText, seq: int, of: int) -> Text:
        """Give part `seq` of a text. Raises OSError, also where it is not there any more."""
        with self._path(text.number, _TEXT).open("rb") as file:
            header = file.readline(_MAX_HEADER)
            file.seek(len(header) + seq * MAX_PART)
            data = file.read(MAX_PART)
        values = json.loads(header)
        mikey = base64.b64decode(values["mikey"])
        envelope = Envelope(values["mid"], values["from"], values["to"], mikey)
        return part(envelope, seq, of, data)

    def _write(self, job: Job) -> None:
        match job:
            case StoreText(text=text, envelope=envelope, sealed=sealed):
                values = {**_values(text), "to": envelope.to_uri, "mikey": _b64(envelope.mikey)}
                self._put(text.number, _TEXT, [_line(values), sealed])
            case StoreReceipt(text=text, receipt=receipt):
                values = {
                    **_values(text),
                    "status": receipt.status.value,
                    "period": receipt.period,
                    "sig": _b64(receipt.sig),
                    "reason": receipt.reason,
                }
                self._put(text.number, _RECEIPT, [_line(values)])
            case Know(uri=uri):
                with (self.folder / _KNOWN).open("a") as file:
                    file.write(f"{uri}\n")
                    _sync(file.fileno())
            case DropReceipt():
                pass

    def _remove(self, jobs: Iterable[Job]) -> None:
        # What is left behind here is removed at the next start, or sent once too often.
        for job in jobs:
            with contextlib.suppress(OSError):
                match job:
                    case StoreReceipt(text=text):
                        self._path(text.number, _TEXT).unlink(missing_ok=True)
                    case DropReceipt(number=number):
                        self._path(number, _RECEIPT).unlink(missing_ok=True)

    def _put(self, number: int, suffix: str, pieces: Iterable[bytes]) -> None:
        path = self._path(number, suffix)
        fresh = path.with_name(path.name + _TMP)
        try:
            with fresh.open("wb") as file:
                file.writelines(pieces)
                file.flush()
                _sync(file.fileno())
            fresh.rename(path)
        except OSError:
            fresh.unlink(missing_ok=True)
            raise

    def _sync_folder(self) -> None:
        descriptor = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _path(self, number: int, suffix: str) -> Path:
        return self.folder / f"{number:012d}{suffix}"


def _sync(descriptor: int) -> None:
    os.fdatasync(descriptor)


def _values(text: StoredText) -> dict[str, Any]:
    return {
        "mid": text.mid,
        "from": text.from_uri,
        "to": text.to,
        "digest": text.digest.hex(),
        "length": text.length,
    }


def _line(values: dict[str, Any]) -> bytes:
    return json.dumps(values).encode() + b"\n"


def _b64(octets: bytes) -> str:
    return base64.b64encode(octets).decode()


def _text_of(number: int, values: dict[str, Any]) -> StoredText:
    return StoredText(
        number=number,
        from_uri=values["from"],
        to=values["to"].partition(";")[0],
        mid=values["mid"],
        digest=bytes.fromhex(values["digest"]),
        length=values["length"],
    )


def _receipt_of(values: dict[str, Any]) -> Receipt:
    return Receipt(
        mid=values["mid"],
        status=ReceiptStatus(values["status"]),
        period=values["period"],
        sig=base64.b64decode(values["sig"]),
        reason=values["reason"],
    )
