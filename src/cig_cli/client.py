# SPDX-License-Identifier: GPL-3.0-or-later
"""The client side of the management port: one request, one answer."""

from __future__ import annotations

import socket
from dataclasses import dataclass

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8083
TIMEOUT_SECONDS = 10.0
MAX_ANSWER = 64 * 1024 * 1024
MAX_REQUEST = 4096


class NoServerError(Exception):
    """Nothing answers at the management port. The text says what to do about it."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server said: the lines of its text, and its closing line's error or None."""

    lines: tuple[str, ...]
    error: str | None


class Client:
    """One connection to the management port; a context manager."""

    def __init__(
        self,
        host: str = DEFAULT_HOST,
        port: int = DEFAULT_PORT,
        *,
        timeout: float = TIMEOUT_SECONDS,
    ) -> None:
        """Connect; ``timeout`` is how long an answer may take, seconds. Raises NoServerError."""
        self.place = f"{host}:{port}"
        try:
            self._socket = socket.create_connection((host, port), TIMEOUT_SECONDS)
        except OSError as error:
            raise NoServerError(
                f"no CIG server answers at {self.place} ({error.strerror or error}).\n"
                "Is cig-server running? `systemctl status cig-server` tells, and\n"
                "/var/log/cig/cig.log says why it may have stopped. For another port use --port."
            ) from None
        self._socket.settimeout(timeout)
        self._file = self._socket.makefile("rb")

    def __enter__(self) -> Client:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connection."""
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._file.close()
        self._socket.close()

    def addresses(self) -> tuple[tuple[str, int], tuple[str, int]]:
        """Give our address and port, and those of the other end. Raises NoServerError."""
        try:
            ours, theirs = self._socket.getsockname(), self._socket.getpeername()
        except OSError as error:
            raise NoServerError(
                f"the connection to {self.place} failed: {error.strerror}"
            ) from None
        return (ours[0], ours[1]), (theirs[0], theirs[1])

    def ask(self, request: str) -> Answer:
        """Send one request line and return its answer. Raises NoServerError, ValueError."""
        line = request.encode()
        if b"\n" in line or b"\r" in line or len(line) > MAX_REQUEST:
            raise ValueError(f"a request is one line of at most {MAX_REQUEST} bytes")
        lines: list[str] = []
        left = MAX_ANSWER
        try:
            self._socket.sendall(line + b"\n")
            while left > 0:
                received = self._file.readline(left)
                left -= len(received)
                if not received.endswith(b"\n"):
                    break
                text = received.decode("utf-8", "replace")[:-1]
                if text == "OK":
                    return Answer(tuple(lines), None)
                if text.startswith("ERROR: "):
                    return Answer(tuple(lines), text.removeprefix("ERROR: "))
                lines.append(text)
        except OSError as error:
            reason = error.strerror or str(error)
            raise NoServerError(f"the connection to {self.place} failed: {reason}") from None
        raise NoServerError(
            f"what answers at {self.place} ended in mid-answer: is it a CIG server?"
        )
