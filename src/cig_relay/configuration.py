# SPDX-License-Identifier: GPL-3.0-or-later
"""The relay's part of cig.conf, and how it is taken anew without losing a call.

The rules:

1. A file that does not load changes nothing.
2. The server reloads in two steps, so that both daemons take a file or none does: it has the relay
   `prepare` the very file that it has compiled itself (the digests must agree), and then `commit`.
   The second step only swaps one object for another.
3. What was prepared and never committed is forgotten when the next file is prepared or taken.
4. Calls that are open keep what they began with; the media engine sees to that.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from cig_common.config import ConfigError
from cig_common.errors import LocalError
from cig_common.loading import Loaded, LoadFailedError, load_beside
from cig_common.logs import INIT
from cig_relay.config_view import MediaPart, media_part
from cig_relay.media.engine import MediaSettings

_log = logging.getLogger("Relay")

_TELL_AT_ONCE = 100


class ReloadRefusedError(LocalError):
    """The relay does not take the cig.conf that the server wants it to take."""

    log_code = "reload"


class RelayConfiguration:
    """What the relay uses of ``path``. ``configure`` hands new settings to the media engine."""

    def __init__(self, path: Path, loaded: Loaded[MediaPart]) -> None:
        self._path = path
        self._loaded = loaded
        self._prepared: Loaded[MediaPart] | None = None
        self._one_at_a_time = asyncio.Lock()
        self.configure: Callable[[MediaSettings], None] = lambda settings: None

    @property
    def part(self) -> MediaPart:
        """What is in use."""
        return self._loaded.part

    @property
    def digest(self) -> bytes:
        """The SHA-256 of the file that is in use."""
        return self._loaded.digest

    async def prepare(self, digest: bytes) -> None:
        """Compile the file and keep it ready. Raises ReloadRefusedError with the reason."""
        async with self._one_at_a_time:
            self._prepared = None
            try:
                loaded = self._loaded
                if loaded.digest != digest:
                    loaded = await load_beside(self._path, media_part, ask_host=False)
            except ConfigError as error:
                first = error.problems[0]
                text = f"{first.place}: {first.message}"
                raise ReloadRefusedError(f"cig-relay cannot load it: {text}") from None
            except LoadFailedError as error:
                raise ReloadRefusedError(f"cig-relay: {error}") from None
            if loaded.digest != digest:
                raise ReloadRefusedError(
                    f"cig-relay finds another file in {self._path} than cig-server has compiled: "
                    "was it just edited, or do the two have different --config? Reload again"
                )
            self._prepared = loaded

    def commit(self, digest: bytes) -> None:
        """Use what was prepared. Raises ReloadRefusedError where that was another file."""
        prepared, self._prepared = self._prepared, None
        if prepared is None or prepared.digest != digest:
            raise ReloadRefusedError("cig-relay has not prepared this file")
        self._use(prepared)

    async def reload(self) -> bool:
        """Take the file for the relay alone; tells whether that went well, and the log why not."""
        async with self._one_at_a_time:
            self._prepared = None
            try:
                loaded = await load_beside(self._path, media_part, ask_host=False)
            except (ConfigError, LoadFailedError) as error:
                _log.warning("cig.conf was not taken, the old one is still in use")
                for line in str(error).split("\n"):
                    _log.warning("%s", line)
                return False
            self._use(loaded)
            await self.tell()
            return True

    async def tell(self) -> None:
        """Write to the log what is in use."""
        for number, warning in enumerate(self.part.warnings, 1):
            for line in warning.render().split("\n"):
                _log.warning("%s", line)
            if number % _TELL_AT_ONCE == 0:
                await asyncio.sleep(0)  # packets go first
        for line in self.part.lines:
            _log.log(INIT, "%s", line)

    def _use(self, loaded: Loaded[MediaPart]) -> None:
        old, self._loaded = self._loaded, loaded
        self.configure(loaded.part.settings)
        for line in loaded.part.lines:
            if line not in old.part.lines:
                _log.info("new calls use %s", line)
        if loaded.part.bind != old.part.bind:
            _log.warning(
                "sip bind %s is taken when cig-server is restarted: until then SIP and its media "
                "stay where they are",
                loaded.part.bind or "(none)",
            )
