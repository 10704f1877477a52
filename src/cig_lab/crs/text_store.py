# SPDX-License-Identifier: GPL-3.0-or-later
"""What the CRS keeps of texts on disk: a folder in which a restart finds everything again.

One file for each text that waits (``.text``), one for each that was receipted (``.done``: so that a
text that is sent again is not delivered again, and its receipt, while its sender is away), and the
URIs that ever came in (``known``). A file is written beside its place, synced, renamed, and the
folder is synced, before anything is said about it.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import cbor2

from umsg.messages import Receipt
from umsg.messages import parse as parse_message
from umsg.texts import Envelope

Key = tuple[str, str]
"""The sender's bare URI, and the text's mid."""


@dataclass(frozen=True, slots=True)
class StoredText:
    """A text that waits for its recipient. ``number`` is its place in the order of arrival."""

    number: int
    envelope: Envelope
    sealed: bytes

    @property
    def key(self) -> Key:
        """What names it."""
        return self.envelope.from_uri.partition(";")[0], self.envelope.mid

    @property
    def recipient(self) -> str:
        """The bare URI of whom it is for."""
        return self.envelope.to_uri.partition(";")[0]


class TextStore:
    """The folder; everything that it says it has kept is on disk."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.known = self._read_known()
        """URIs that ever came in."""

    def load(self) -> tuple[list[StoredText], dict[Key, Receipt | None]]:
        """Give the texts that wait, oldest first, and those that are done.

        A receipt there is one that its sender has not had.
        """
        texts = [_text(path.read_bytes()) for path in self._folder.glob("*.text")]
        done: dict[Key, Receipt | None] = {}
        for path in self._folder.glob("*.done"):
            sender, mid, receipt = cbor2.loads(path.read_bytes())
            done[sender, mid] = _receipt(receipt) if receipt else None
        return sorted(texts, key=lambda text: text.number), done

    def keep(self, text: StoredText) -> None:
        """Keep a text."""
        envelope = text.envelope
        facts = [
            text.number,
            envelope.mid,
            envelope.from_uri,
            envelope.to_uri,
            envelope.mikey,
            text.sealed,
        ]
        self._write(f"{_name(text.key)}.text", cbor2.dumps(facts))

    def finish(self, key: Key, receipt: Receipt | None) -> None:
        """Keep that a text is done, with the receipt that its sender is still to get."""
        encoded = receipt.encode() if receipt is not None else b""
        self._write(f"{_name(key)}.done", cbor2.dumps([*key, encoded]))
        (self._folder / f"{_name(key)}.text").unlink(missing_ok=True)
        self._sync()

    def add_known(self, uri: str) -> None:
        """Keep that a URI exists."""
        if uri not in self.known:
            self.known.add(uri)
            self._write("known", "\n".join(sorted(self.known)).encode())

    def _read_known(self) -> set[str]:
        path = self._folder / "known"
        return set(path.read_text().split()) if path.exists() else set()

    def _write(self, name: str, octets: bytes) -> None:
        made = self._folder / f"{name}.new"
        with made.open("wb") as file:
            file.write(octets)
            file.flush()
            os.fsync(file.fileno())
        made.rename(self._folder / name)
        self._sync()

    def _sync(self) -> None:
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _name(key: Key) -> str:
    return hashlib.sha256("\0".join(key).encode()).hexdigest()[:32]


def _text(octets: bytes) -> StoredText:
    number, mid, from_uri, to_uri, mikey, sealed = cbor2.loads(octets)
    return StoredText(number, Envelope(mid, from_uri, to_uri, mikey), sealed)


def _receipt(octets: bytes) -> Receipt:
    message = parse_message(octets)
    if not isinstance(message, Receipt):
        raise ValueError("a done text's file holds no receipt")
    return message
