# SPDX-License-Identifier: GPL-3.0-or-later
"""The client side of cig-relay's keys socket: shows it sealed key material, has it installed.

Key material and passphrase go to nobody but cig-relay: before a single octet is sent, the kernel
is asked who listens, and that must be root, the service's user or the caller.
"""

from __future__ import annotations

import os
import pwd
import select
import socket
import struct
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from cig_common.control.codec import ControlDecoder, Envelope
from cig_common.control.keys import (
    KEYS,
    InspectKeysRequest,
    InstallKeysRequest,
    KeysInstalled,
    KeysPreview,
)
from cig_common.control.messages import ErrorReply
from cig_common.control.record import Record
from cig_common.errors import ControlError
from umsg.errors import FieldError

SERVICE_USER = "ciguser"
TIMEOUT_SECONDS = 120.0
"""Opening takes memory and time on purpose, and each period's keys are checked by a pairing."""

_CREDENTIALS = struct.Struct("3i")
_READ_OCTETS = 65536
_AS_WHOM = (
    "run it as root or as the service's user: "
    f"sudo cig-cli set-key, or sudo -u {SERVICE_USER} cig-cli set-key"
)

R = TypeVar("R", bound=Record)


class NoRelayError(Exception):
    """No cig-relay answers on the keys socket. The text says what to do about it."""


class UnknownOutcomeError(NoRelayError):
    """The connection ended while keys were being installed."""


class RefusedError(Exception):
    """cig-relay refused; nothing was changed. ``detail`` is its stable word for why."""

    def __init__(self, detail: str, text: str) -> None:
        super().__init__(text)
        self.detail = detail


class KeysClient:
    """One connection to the keys socket; a context manager."""

    def __init__(self, path: Path, *, timeout: float = TIMEOUT_SECONDS) -> None:
        """Connect; ``timeout`` is how long an answer may take, seconds. Raises NoRelayError."""
        self._path = path
        self._decoder = ControlDecoder(KEYS)
        self._number = 0
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._socket.settimeout(timeout)
            self._socket.connect(str(path))
            self._check_peer()
        except OSError as error:
            self._socket.close()
            raise NoRelayError(_why(path, error)) from None
        except NoRelayError:
            self._socket.close()
            raise

    def __enter__(self) -> KeysClient:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connection."""
        self.close()

    def close(self) -> None:
        """Close the connection; the relay then forgets what was not installed."""
        self._socket.close()

    def inspect(self, sealed: bytes, passphrase: bytes) -> KeysPreview:
        """Have the material opened and checked. Raises NoRelayError, RefusedError."""
        return self._ask(InspectKeysRequest(sealed, passphrase), KeysPreview)

    def install(self, token: bytes, *, replace: bool) -> KeysInstalled:
        """Have what was inspected installed.

        Raises RefusedError, NoRelayError where nothing was asked for, UnknownOutcomeError.
        """
        if self._has_ended():
            raise NoRelayError(
                f"cig-relay at {self._path} has ended the connection: it was stopped, or you took "
                "more than a quarter of an hour. Begin again"
            )
        try:
            return self._ask(InstallKeysRequest(token, replace), KeysInstalled)
        except (NoRelayError, KeyboardInterrupt) as error:
            raise UnknownOutcomeError(
                f"{str(error) or 'You left.'}\nWhether the keys were installed is not known: "
                "`cig-cli show keys` tells. To set them once more does no harm."
            ) from None

    def _check_peer(self) -> None:
        """Refuse whoever has put a socket of his own in cig-relay's place."""
        octets = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        _, uid, _ = _CREDENTIALS.unpack(octets)
        if uid not in trusted_users():
            raise NoRelayError(
                f"nothing was sent: what listens on {self._path} runs as {_name(uid)}, but "
                f"cig-relay runs as {SERVICE_USER}. If it is a cig-relay of another user, run "
                f"cig-cli as that user."
            )

    def _ask(self, request: Record, wanted: type[R]) -> R:
        self._number += 1
        try:
            frame = Envelope(self._number, request).encode()
        except FieldError:
            raise RefusedError("too-long", "this is too long to be key material") from None
        try:
            self._socket.sendall(frame)
            answer = self._receive()
        except TimeoutError:
            raise NoRelayError(
                f"cig-relay at {self._path} has not answered in {self._socket.gettimeout():g} s: "
                "`cig-cli status` and relay.log say what it is at"
            ) from None
        except (BrokenPipeError, ConnectionResetError):
            raise NoRelayError(self._hung_up()) from None
        except OSError as error:
            raise NoRelayError(_why(self._path, error)) from None
        except ControlError:
            raise NoRelayError(self._stranger()) from None
        if isinstance(answer, ErrorReply):
            raise RefusedError(answer.detail, answer.text)
        if not isinstance(answer, wanted):
            raise NoRelayError(self._stranger())
        return answer

    def _receive(self) -> Record:
        while True:
            octets = self._socket.recv(_READ_OCTETS)
            if not octets:
                raise NoRelayError(self._hung_up())
            for envelope in self._decoder.feed(octets):
                if envelope.number == self._number:
                    return envelope.message

    def _has_ended(self) -> bool:
        """Tell whether the other end is closed: the relay says nothing unasked."""
        return bool(select.select([self._socket], [], [], 0)[0])

    def _hung_up(self) -> str:
        return (
            f"cig-relay at {self._path} closed the connection without an answer; relay.log says "
            f"why. It takes keys from root and from its own user alone: {_AS_WHOM}"
        )

    def _stranger(self) -> str:
        return (
            f"what answers on {self._path} does not speak as this cig-cli does: are cig-relay and "
            "cig-cli of the same version, and was cig-relay restarted after the upgrade?"
        )


def trusted_users() -> set[int]:
    """Give the uids that cig-relay may run as."""
    users = {0, os.geteuid()}
    with suppress(KeyError):
        users.add(pwd.getpwnam(SERVICE_USER).pw_uid)
    return users


def _why(path: Path, error: OSError) -> str:
    if isinstance(error, PermissionError):
        return f"you may not use {path}: {_AS_WHOM}"
    if isinstance(error, FileNotFoundError | ConnectionRefusedError):
        what = "there is no" if isinstance(error, FileNotFoundError) else "nobody listens on the"
        return (
            f"{what} keys socket {path}: is cig-relay running, and not older than this cig-cli?\n"
            "`systemctl status cig-relay` tells, and /var/log/cig/relay.log says why it may have "
            "stopped.\nFor another socket use --keys-socket or CIG_KEYS_SOCKET."
        )
    return f"the connection to cig-relay at {path} failed: {error.strerror or error}"


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
