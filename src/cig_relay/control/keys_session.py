# SPDX-License-Identifier: GPL-3.0-or-later
"""One operator's connection to the keys socket, as requests and answers; knows no socket.

The rules:

1. What was inspected is kept, under a token, until it is installed, something else is inspected, or
   the connection ends; then it is wiped.
2. An installation does what the preview told, or nothing: the keystore may have changed since.
3. Every failure is one `ErrorReply` of code ``material``, and nothing was changed.
4. The log tells who inspected and installed which periods. Neither it nor an answer shows a key or
   anything of a passphrase.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import secrets
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field

from cig_common.control.keys import (
    InspectKeysRequest,
    InstallKeysRequest,
    KeysInstalled,
    KeysPreview,
)
from cig_common.control.messages import ErrorCode, ErrorReply
from cig_common.control.record import Record
from cig_common.errors import CigError, ControlError
from cig_material import document
from cig_material.errors import PassphraseError
from cig_material.material import KeyMaterial
from cig_material.seal import passphrase_from, unseal
from cig_relay.control.local_socket import PeerProcess
from cig_relay.keys.installer import InstallRefusedError, Outline
from cig_relay.keys.intake import KeyIntake

_log = logging.getLogger("Keys")

TOKEN_OCTETS = 16
MOST_PAUSES = 5


class Unsealer:
    """Opens sealed key material, one at a time: each opening may take much memory.

    After the n-th wrong passphrase in a row, whoever tried them, nothing is opened for n times
    ``pause`` seconds, at most five times.
    """

    def __init__(self, pause: float) -> None:
        self._pause = pause
        self._turn = asyncio.Lock()
        self._wrong = 0

    async def open(self, sealed: bytes, passphrase: bytes) -> KeyMaterial:
        """Give the material; raises MaterialError, PassphraseError for a wrong passphrase."""
        secret = passphrase_from(_text(passphrase))
        async with self._turn:
            try:
                # Scrypt lets other threads run, and the media with them.
                octets = await asyncio.to_thread(unseal, sealed, secret)
            except PassphraseError:
                self._wrong += 1
                await asyncio.sleep(min(self._wrong, MOST_PAUSES) * self._pause)
                raise
            finally:
                secret.wipe()
            self._wrong = 0
        return document.decode(octets)


@dataclass(frozen=True, slots=True)
class _Inspected:
    token: bytes
    material: KeyMaterial = field(repr=False)
    outline: Outline


class KeysSession:
    """The requests of one connection; ``changed`` is called after an installation."""

    def __init__(
        self,
        intake: KeyIntake,
        unsealer: Unsealer,
        peer: PeerProcess,
        changed: Callable[[], None],
    ) -> None:
        self._intake = intake
        self._unsealer = unsealer
        self._who = f"process {peer.pid} of uid {peer.uid}"
        self._changed = changed
        self._inspected: _Inspected | None = None
        self.wrong_passphrases = 0
        """How many passphrases did not open what they came with."""

    @property
    def waits_for_consent(self) -> bool:
        """Whether something was inspected, so that a person is to decide now."""
        return self._inspected is not None

    def forget(self) -> None:
        """Wipe what was inspected."""
        inspected, self._inspected = self._inspected, None
        if inspected is not None:
            inspected.material.wipe()

    async def handle(self, request: Record) -> Record:
        """Carry out a request; gives its answer, an `ErrorReply` for whatever fails."""
        name = type(request).__name__
        try:
            match request:
                case InspectKeysRequest():
                    return await self._inspect(request)
                case InstallKeysRequest():
                    return await self._install(request)
            raise ControlError(f"{name} is no request")
        except CigError as error:
            detail = error.detail if isinstance(error, InstallRefusedError) else error.log_code
            self.wrong_passphrases += isinstance(error, PassphraseError)
            return self._failure(name, detail, str(error))
        except OSError as error:
            text = f"the keystore cannot be written ({error.strerror}): see userdata and its disk"
            return self._failure(name, "disk", text)
        except Exception as error:
            # Its own text might quote what it stumbled over: a key.
            places = "".join(traceback.format_tb(error.__traceback__))
            _log.error("%s failed through a fault of our own, %s\n%s", name, type(error), places)
            return self._failure(name, "internal", f"cig-relay failed ({type(error).__name__})")

    async def _inspect(self, request: InspectKeysRequest) -> KeysPreview:
        self.forget()
        material = await self._unsealer.open(request.sealed, request.passphrase)
        try:
            outline = await self._intake.inspect(material)
        except BaseException:
            material.wipe()
            raise
        token = secrets.token_bytes(TOKEN_OCTETS)
        self._inspected = _Inspected(token, material, outline)
        _log.info(
            "%s looked at key material of %s, security domain %s: %s",
            self._who,
            material.uri,
            material.domain,
            ", ".join(f"{step.period} {step.action}" for step in outline.periods),
        )
        return KeysPreview(
            token=token,
            public_id=material.uri,
            domain=material.domain,
            crs=material.crs,
            anchor=outline.anchor,
            periods=outline.periods,
            changes=outline.changes,
            replaces="" if outline.consent is None else outline.consent.gives_up,
        )

    async def _install(self, request: InstallKeysRequest) -> KeysInstalled:
        inspected = self._inspected
        if inspected is None or not hmac.compare_digest(inspected.token, request.token):
            raise InstallRefusedError("not-inspected", "this key material was not looked at before")
        done = await self._intake.install(
            inspected.material, replace=request.replace, agreed=inspected.outline
        )
        self.forget()
        given_up = inspected.outline.consent
        _log.info(
            "%s installed key material of %s, security domain %s%s: the keystore holds %s",
            self._who,
            inspected.material.uri,
            inspected.material.domain,
            "" if given_up is None else f", in place of {given_up.gives_up}",
            " ".join(done.periods),
        )
        self._changed()
        return KeysInstalled(path=str(done.path), periods=done.periods, notes=done.notes)

    def _failure(self, name: str, detail: str, text: str) -> ErrorReply:
        # What is held already is no trouble: a script may bring the same file every night.
        level = logging.INFO if detail == "nothing-new" else logging.WARNING
        _log.log(level, "%s of %s refused, %s: %s", name, self._who, detail, text)
        return ErrorReply(ErrorCode.MATERIAL, detail, text)


def _text(passphrase: bytes) -> str:
    try:
        return passphrase.decode()
    except UnicodeDecodeError:
        # The error's own text would show the passphrase.
        raise PassphraseError("the passphrase is no text in UTF-8") from None
