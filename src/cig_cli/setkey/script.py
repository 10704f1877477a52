# SPDX-License-Identifier: GPL-3.0-or-later
"""`set-key --file F --passphrase-file P`: no question is asked, so that a script can run it.

Keys that the gateway has already are no error: a script may run twice.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from cig_cli.keys_client import KeysClient, NoRelayError, RefusedError
from cig_cli.setkey import preview as shown
from cig_cli.setkey.source import SourceError, passphrase_from_file, sealed_from_file
from cig_cli.setkey.terminal import harmless, wipe

INSTALLED, REFUSED, NO_RELAY = 0, 1, 2

NOTHING_NEW = "nothing-new"
"""The relay's word for material that would change nothing."""


class Script:
    """One run. ``dry_run`` shows what would be done; ``as_json`` prints one JSON object."""

    def __init__(self, socket: Path, *, replace: bool, dry_run: bool, as_json: bool) -> None:
        self._socket = socket
        self._replace = replace
        self._dry_run = dry_run
        self._as_json = as_json
        self._facts: dict[str, Any] = {"ok": False, "installed": False}

    def run(self, file: str, passphrase_file: str) -> int:
        """Do it all; return the exit code."""
        try:
            code = self._install(file, passphrase_file)
        except NoRelayError as error:
            return self._end(NO_RELAY, "no-relay", str(error))
        except SourceError as error:
            return self._end(REFUSED, "source", f"{shown.sentence(error)} {shown.NOTHING_CHANGED}")
        except RefusedError as error:
            if error.detail == NOTHING_NEW:
                return self._end(INSTALLED, error.detail, str(error))
            return self._end(
                REFUSED, error.detail, f"{shown.sentence(error)} {shown.NOTHING_CHANGED}"
            )
        return code

    def _install(self, file: str, passphrase_file: str) -> int:
        sealed = sealed_from_file(file)
        passphrase, warning = passphrase_from_file(passphrase_file)
        try:
            if warning:
                self._facts["warning"] = warning
                click.echo(f"warning: {warning}", err=True)
            with KeysClient(self._socket) as client:
                preview = client.inspect(sealed, bytes(passphrase))
                self._facts |= shown.facts(preview)
                self._say(shown.describe(preview))
                if self._dry_run:
                    text = f"Only shown. {shown.NOTHING_CHANGED}"
                    return self._end(INSTALLED, "dry-run", text)
                done = client.install(preview.token, replace=self._replace)
        finally:
            wipe(passphrase)
        self._facts |= {"installed": True, **shown.installed_facts(done)}
        self._say(("", *shown.outcome(done)))
        return self._end(INSTALLED)

    def _say(self, lines: Iterable[str]) -> None:
        if not self._as_json:
            for line in lines:
                click.echo(harmless(line))

    def _end(self, code: int, detail: str = "", text: str = "") -> int:
        """Tell how it ended; return the exit code."""
        if self._as_json:
            self._facts["ok"] = code == INSTALLED
            if text:
                self._facts["note" if code == INSTALLED else "error"] = text
                self._facts["detail"] = detail
            click.echo(json.dumps(self._facts))
            return code
        if code != INSTALLED:
            click.echo(f"ERROR: {harmless(text)}", err=True)
            return code
        if text:
            click.echo(harmless(text))
        click.echo("OK")
        sys.stdout.flush()
        return code
