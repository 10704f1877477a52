# SPDX-License-Identifier: GPL-3.0-or-later
"""`set-key` step by step: key material, passphrase, what was found, yes or no.

Until the last yes nothing is changed, and every way out says so. What is wrong is told and asked
again, three times at each step.
"""

from __future__ import annotations

from pathlib import Path

from cig_cli.keys_client import KeysClient, RefusedError
from cig_cli.setkey import preview as shown
from cig_cli.setkey.paste import TRIES, is_begin_line, read_block
from cig_cli.setkey.script import INSTALLED, NOTHING_NEW, REFUSED
from cig_cli.setkey.source import SourceError, as_file_name, sealed_from_file
from cig_cli.setkey.terminal import LeaveError, Terminal, wipe
from cig_common.control.keys import KeysPreview

WRONG_PASSPHRASE = "passphrase"
"""The relay's word for it; all else that it refuses, another passphrase does not mend."""

_PASTE_GAP_SECONDS = 0.3
_YES, _NO = ("yes", "y"), ("no", "n")


class Dialogue:
    """One conversation. ``replace`` allows to give up another identity's keys unasked."""

    def __init__(self, terminal: Terminal, socket: Path, *, replace: bool, dry_run: bool) -> None:
        self._terminal = terminal
        self._socket = socket
        self._replace = replace
        self._dry_run = dry_run

    def run(self, file: str | None) -> int:
        """Lead through all of it; return the exit code. Raises NoRelayError.

        ``file`` is the key material's, if it was named already.
        """
        # Whether there is a relay is better known before somebody types forty lines.
        with KeysClient(self._socket):
            pass
        self._terminal.say("This brings new keys to the gateway. Ctrl-C leaves at any time.")
        try:
            return self._steps(file)
        except (LeaveError, KeyboardInterrupt):
            return self._leave("\nYou left.")
        except SourceError as error:
            return self._leave(f"ERROR: {shown.sentence(error)}")
        except RefusedError as error:
            if error.detail == NOTHING_NEW:
                self._terminal.say(f"{error}\nOK")
                return INSTALLED
            return self._leave(f"ERROR: {shown.sentence(error)}")

    def _steps(self, file: str | None) -> int:
        sealed = self._material() if file is None else sealed_from_file(file)
        client, preview = self._opened(sealed)
        with client:
            self._terminal.say("\nStep 3 of 3: what was found.\n")
            for line in shown.describe(preview):
                self._terminal.say(line)
            self._terminal.say()
            if self._dry_run:
                self._terminal.say(f"Only shown. {shown.NOTHING_CHANGED}\nOK")
                return INSTALLED
            replace = self._may_replace(preview)
            if replace is None or not self._confirmed():
                return self._leave()
            done = client.install(preview.token, replace=replace)
        for line in ("", *shown.outcome(done), "OK"):
            self._terminal.say(line)
        return INSTALLED

    def _leave(self, why: str = "") -> int:
        self._terminal.say(f"{why} {shown.NOTHING_CHANGED}".strip(" "))
        return REFUSED

    # --- step 1 ---------------------------------------------------------------------------------

    def _material(self) -> bytes:
        """Ask for the key material until it can be read. Raises SourceError, LeaveError."""
        say = self._terminal.say
        say("\nStep 1 of 3: the key material.")
        say("Paste it, from its BEGIN to its END line, or enter the name of a file (text or PDF):")
        left = TRIES
        while True:
            typed = self._terminal.line("> ")
            if not typed.strip():
                continue
            try:
                if is_begin_line(typed):
                    return read_block(self._terminal, typed)
                return self._from_file(typed)
            except SourceError as error:
                left -= 1
                if not left:
                    raise
                say(shown.sentence(error))
                say("Paste the key material again, or enter the name of a file:")

    def _from_file(self, typed: str) -> bytes:
        try:
            return sealed_from_file(as_file_name(typed))
        except SourceError:
            # The rest of a paste that began too late would be taken for names of files.
            if self._terminal.drain(_PASTE_GAP_SECONDS):
                raise SourceError(
                    "more than one line was entered, and the first one is no BEGIN line"
                ) from None
            raise

    # --- step 2 ---------------------------------------------------------------------------------

    def _opened(self, sealed: bytes) -> tuple[KeysClient, KeysPreview]:
        """Ask for the passphrase until it opens the material. The caller closes the client.

        Raises RefusedError, NoRelayError, LeaveError.
        """
        say = self._terminal.say
        say(f"\nRead: {len(sealed)} octets, still sealed.\n")
        say("Step 2 of 3: the passphrase of the key material. It does not show while you type.")
        left = TRIES
        while True:
            passphrase = self._passphrase()
            say("Opening, and checking every key …")
            client = KeysClient(self._socket)
            try:
                return client, client.inspect(sealed, bytes(passphrase))
            except RefusedError as error:
                client.close()
                left -= 1
                if error.detail != WRONG_PASSPHRASE or not left:
                    raise
                say(f"{shown.sentence(error)} Try again ({left} left).")
            except BaseException:
                client.close()
                raise
            finally:
                wipe(passphrase)

    def _passphrase(self) -> bytearray:
        while not (typed := self._terminal.secret("Passphrase: ")):
            self._terminal.say("Nothing was typed.")
        return typed

    # --- step 3 ---------------------------------------------------------------------------------

    def _may_replace(self, preview: KeysPreview) -> bool | None:
        """Tell whether another identity's keys are given up; None if the operator will not."""
        if not preview.replaces:
            return False
        say = self._terminal.say
        say("That one would be given up: what needs its keys works no more.")
        if self._replace:
            return True
        old = shown.old_identity(preview)
        typed = self._terminal.line(f"To give it up, type {old} (Enter leaves): ").strip()
        if typed and typed != old:
            say("That is another text.")
        return True if typed == old else None

    def _confirmed(self) -> bool:
        for _ in range(TRIES):
            answer = self._terminal.line("Install these keys? [yes/no] ").strip().lower()
            if answer in _YES or answer in _NO:
                return answer in _YES
            self._terminal.say("Answer yes or no.")
        return False
