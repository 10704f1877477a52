# SPDX-License-Identifier: GPL-3.0-or-later
"""``pdftoraw FILE > userdata/cig.raw``: from what a CMS issues to what a gateway imports.

FILE is a PDF with QR codes, a scan of one, or armoured text. What is written holds keys in clear,
so no octet of it goes to a terminal, or to a file that others may read; and all is read and opened
before the first one goes anywhere.
"""

from __future__ import annotations

import os
import resource
import stat
import sys
import termios
from contextlib import suppress
from pathlib import Path

import click

from cig_common.carrier import read_file
from cig_common.errors import CigError, LocalError
from cig_material import document, raw
from cig_material.errors import PassphraseError
from cig_material.material import KeyMaterial
from cig_material.seal import passphrase_from, unseal
from cig_material.terminal import ask_secretly
from mikey_sakke.secret import Secret

TRIES = 3
EXIT_ERROR = 1
MAX_PASSPHRASE_LINE = 4096

_OUTPUT = 1
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_LABEL_WIDTH = 20
_NEXT = """
The output holds the keys in clear: keep no copy of it. On the gateway, as root:
  chown ciguser:ciguser /opt/cig/userdata/cig.raw
  systemctl restart cig-server
The start imports it, overwrites it and removes it."""


class OutputError(LocalError):
    """Standard output is nowhere that keys may go, or takes no more."""

    log_code = "output"


class NoTerminalError(LocalError):
    """There is nobody to ask for the passphrase."""

    log_code = "terminal"


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--passphrase-file",
    type=click.Path(path_type=Path),
    help="Its first line opens FILE. [default: asked for at the terminal]",
)
@click.version_option(package_name="cig", prog_name="pdftoraw")
def main(file: Path, passphrase_file: Path | None) -> None:
    """Turn key material into a cig.raw: pdftoraw FILE > /opt/cig/userdata/cig.raw

    FILE is the PDF with QR codes that the CMS made, a scan of its print, or key material as text.
    Exit codes: 0 all is written; 1 nothing is; 2 wrong usage.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    sys.exit(_run(file, passphrase_file))


def _run(file: Path, passphrase_file: Path | None) -> int:
    try:
        _require_fit_output()
        sealed = read_file(file)
        material = _opened(sealed, passphrase_file)
        try:
            _write(raw.encode(material))
            _report(file, material)
        finally:
            material.wipe()
    except (CigError, KeyboardInterrupt) as error:
        _say(f"pdftoraw: {str(error) or 'interrupted'}")
        _say(f"Nothing was written.{_empty_file_note()}")
        return EXIT_ERROR
    return 0


def _say(text: str) -> None:
    with suppress(OSError):
        click.echo(text, err=True)


# --- the passphrase ---------------------------------------------------------------------------


def _opened(sealed: bytes, passphrase_file: Path | None) -> KeyMaterial:
    """Open the seal with the passphrase of the file or, else, of the terminal's operator."""
    if passphrase_file is not None:
        return _unsealed(sealed, _first_line(passphrase_file))
    for left in range(TRIES - 1, 0, -1):
        try:
            return _unsealed(sealed, _asked())
        except PassphraseError as error:
            _say(f"{error}. Try again ({left} left).")
    return _unsealed(sealed, _asked())


def _unsealed(sealed: bytes, typed: str) -> KeyMaterial:
    passphrase: Secret = passphrase_from(typed)
    try:
        return document.decode(unseal(sealed, passphrase))
    finally:
        passphrase.wipe()


def _asked() -> str:
    try:
        return ask_secretly("Passphrase of the key material: ")
    except (OSError, termios.error):
        raise NoTerminalError(
            "here is no terminal to ask for the passphrase: use --passphrase-file"
        ) from None


def _first_line(path: Path) -> str:
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            line = file.readline(MAX_PASSPHRASE_LINE + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "its name cannot be one"
        raise PassphraseError(f"{str(path)!r} cannot be read: {reason}") from None
    if len(line) > MAX_PASSPHRASE_LINE:
        raise PassphraseError(f"{str(path)!r} holds no passphrase: its first line is too long")
    if stat.S_ISREG(mode) and mode & _OTHERS:
        _say(f"pdftoraw: warning: others may read {str(path)!r}: chmod 600 it, or remove it")
    return line.decode("utf-8", "surrogateescape")


# --- the output -------------------------------------------------------------------------------


def _require_fit_output() -> None:
    """Raise `OutputError` if standard output is a terminal, closed, or a file with content."""
    try:
        status = os.fstat(_OUTPUT)
    except OSError:
        raise OutputError("standard output is closed: send it to a file with >") from None
    if os.isatty(_OUTPUT):
        raise OutputError(
            "the keys must not go to a terminal: send them to a file, "
            "pdftoraw FILE > /opt/cig/userdata/cig.raw"
        )
    if stat.S_ISREG(status.st_mode) and status.st_size:
        raise OutputError("the output file has content already: write to it with >, not with >>")


def _write(octets: bytes) -> None:
    """Write all of it; a file is made 0600 before, and synced after."""
    is_file = stat.S_ISREG(os.fstat(_OUTPUT).st_mode)
    try:
        if is_file:
            _keep_from_others()
        rest = memoryview(octets)
        while rest:
            rest = rest[os.write(_OUTPUT, rest) :]
        if is_file:
            os.fsync(_OUTPUT)
    except BaseException as error:
        if is_file:
            with suppress(OSError):
                os.ftruncate(_OUTPUT, 0)
        if isinstance(error, OSError):
            text = f"the output cannot be written: {error.strerror}"
            raise OutputError(text) from None
        raise


def _keep_from_others() -> None:
    """Make the output file 0600; some file systems take that and do nothing."""
    os.fchmod(_OUTPUT, stat.S_IRUSR | stat.S_IWUSR)
    if os.fstat(_OUTPUT).st_mode & _OTHERS:
        raise OutputError(
            "the output file lies where modes mean nothing, others could read it: "
            "write it into userdata"
        )


def _empty_file_note() -> str:
    """Tell of the file that the shell made or emptied before this program was started."""
    with suppress(OSError):
        status = os.fstat(_OUTPUT)
        if stat.S_ISREG(status.st_mode) and not status.st_size:
            return " The output file is empty: remove it before cig-server is started."
    return ""


def _report(file: Path, material: KeyMaterial) -> None:
    _say(f"Read from {str(file)!r}:")
    for label, value in (
        ("Public ID", material.uri),
        ("Security Domain", material.domain),
        ("Periods", ", ".join(keys.period for keys in material.periods)),
        ("CRS Address", ", ".join(material.crs)),
    ):
        _say(f"  {label:<{_LABEL_WIDTH}}{value}")
    _say(_NEXT)


if __name__ == "__main__":
    main()
