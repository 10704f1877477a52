# SPDX-License-Identifier: GPL-3.0-or-later
"""``cig-lab kms``: the key management system of tests and of the demo, on the command line.

Master keys lie in clear in the store's folder. What it issues is sealed with a passphrase.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from cig_common.errors import CigError
from cig_lab.kms import store
from cig_lab.kms.anchor import certificate_pin, certificates
from cig_lab.kms.ledger import AlreadyIssuedError, Issue, months_from
from cig_lab.kms.masters import Rendezvous
from cig_lab.kms.output import FORMS, render
from cig_lab.kms.phrase import new_passphrase
from cig_lab.process import LabError
from cig_material import document
from cig_material.material import MAX_PERIODS, PIN_OCTETS
from cig_material.seal import passphrase_from, seal
from cig_relay.keys.files import replace_durably
from mikey_sakke.errors import IdentifierError
from mikey_sakke.identifiers import check_month
from mikey_sakke.periods import month_of
from mikey_sakke.secret import Secret

_file = click.Path(path_type=Path, exists=True, dir_okay=False)
_dir_option = click.option(
    "--dir",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("kms"),
    show_default=True,
    help="Folder of the KMS; it holds master keys in clear.",
)


def _month(_context: click.Context, _option: click.Parameter, text: str | None) -> str | None:
    try:
        return None if text is None else check_month(text)
    except IdentifierError as error:
        raise click.BadParameter(str(error)) from None


def _pin(_context: click.Context, _option: click.Parameter, text: str | None) -> bytes | None:
    try:
        pin = None if text is None else bytes.fromhex(text.replace(":", ""))
    except ValueError:
        raise click.BadParameter("no hexadecimal number") from None
    if pin is not None and len(pin) != PIN_OCTETS:
        raise click.BadParameter(f"a SHA-256 has {PIN_OCTETS} octets, this has {len(pin)}")
    return pin


@contextmanager
def _told() -> Iterator[None]:
    """Turn what can go wrong into a sentence and exit code 1."""
    try:
        yield
    except (CigError, IdentifierError, LabError, ValueError) as error:
        raise click.ClickException(str(error)) from None


@click.group()
def kms() -> None:
    """Issue key material, as the CMS of a real security domain does. For laboratories."""


@kms.command()
@click.option("--domain", required=True, help="Name of the security domain.")
@click.option(
    "--crs",
    "crs",
    required=True,
    multiple=True,
    metavar="HOST:PORT",
    help="Rendezvous server; more than one in the order of preference.",
)
@click.option(
    "--pin", callback=_pin, metavar="HEX", help="SHA-256 of the CRS's certificate in DER."
)
@click.option("--pin-from-cert", type=_file, help="The CRS's certificate in PEM, to be pinned.")
@click.option("--ca", type=_file, help="CA certificates in PEM that the CRS's must be signed by.")
@click.option("--kms-uri", help="Name of the KMS.  [default: kms.DOMAIN.example]")
@_dir_option
def init(
    domain: str,
    crs: tuple[str, ...],
    pin: bytes | None,
    pin_from_cert: Path | None,
    ca: Path | None,
    kms_uri: str | None,
    folder: Path,
) -> None:
    """Make a new KMS: draw its master keys."""
    if pin is not None and pin_from_cert is not None:
        raise click.UsageError("give one of --pin and --pin-from-cert")
    if pin is None and pin_from_cert is None and ca is None:
        raise click.UsageError("give the CRS's trust anchor: --pin, --pin-from-cert or --ca")
    with _told():
        meeting = Rendezvous(
            crs=crs,
            pin=pin if pin_from_cert is None else certificate_pin(pin_from_cert),
            ca=None if ca is None else certificates(ca),
        )
        uri = kms_uri or f"kms.{domain.lower()}.example"
        store.create(folder, domain=domain, kms_uri=uri, meeting=meeting)
    click.echo(f"{folder} holds the KMS {uri} of the security domain {domain}.")


@kms.command()
@click.argument("uri")
@click.option(
    "--periods", type=click.IntRange(1, MAX_PERIODS), required=True, help="How many months."
)
@click.option(
    "--from",
    "start",
    callback=_month,
    metavar="YYYY-MM",
    help="The first month.  [default: the present one]",
)
@click.option("--text", "form", flag_value="text", default=True, help="Armoured text (default).")
@click.option("--pdf", "form", flag_value="pdf", help="A PDF with QR codes.")
@click.option("--sealed", "form", flag_value="sealed", help="The sealed octets as they are.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A new file for it.  [default: standard output]",
)
@click.option("--passphrase-file", type=_file, help="Its first line is the passphrase.")
@click.option(
    "--new-passphrase",
    "drawn",
    is_flag=True,
    help="Draw the passphrase and show it on standard error.",
)
@click.option("--reissue", is_flag=True, help="Issue again what is in use, as a new revision.")
@_dir_option
def issue(
    uri: str,
    periods: int,
    start: str | None,
    form: str,
    out: Path | None,
    passphrase_file: Path | None,
    drawn: bool,
    reissue: bool,
    folder: Path,
) -> None:
    """Issue keys of a tel URI, sealed with a passphrase.

    A month whose keys are in use is not issued again, unless they were revoked or --reissue says
    so; the new ones have a higher revision. Keys are not kept: what is lost is issued again.
    """
    if drawn and passphrase_file is not None:
        raise click.UsageError("give one of --passphrase-file and --new-passphrase")
    if out is None and FORMS[form].binary and sys.stdout.isatty():
        raise click.UsageError(f"--{form} is not for a terminal: give --out FILE")
    with _told():
        if out is not None:
            _require_new(out)
        months = months_from(start or month_of(time.time()), periods)
        with _opened_to_issue(folder) as held:
            held.kms.require_issuable(uri, months, reissue=reissue)
        passphrase = _passphrase(passphrase_file, drawn=drawn)
        with _opened_to_issue(folder) as held:
            material = held.kms.material(uri, months, held.meeting, reissue=reissue)
            # On disk before a key leaves here, so that no revision is ever issued twice.
            held.save()
        content = render(form, seal(document.encode(material), passphrase), material.identity)
        material.wipe()
        _put(content, out)
    names = ", ".join(keys.period for keys in material.periods)
    click.echo(f"Issued to {uri}: {names}.", err=True)


@kms.command()
@click.argument("uri", required=False)
@click.option(
    "--month",
    callback=_month,
    metavar="YYYY-MM",
    help="This month's keys alone.  [default: those of all months that still count]",
)
@click.option(
    "--kms",
    "compromised",
    is_flag=True,
    help="The KMS itself is compromised: draw new master keys, withdraw all keys.",
)
@_dir_option
def revoke(uri: str | None, month: str | None, compromised: bool, folder: Path) -> None:
    """Withdraw the keys of URI, or of everybody.

    The next issue has a higher revision. A CRS that is told by the KMS lets in nobody with keys
    that are withdrawn.
    """
    if compromised == (uri is not None) or (compromised and month is not None):
        raise click.UsageError("give a URI, with or without --month, or --kms alone")
    with _told(), store.opened(folder) as held:
        if uri is None:
            taken = held.kms.renew()
            click.echo(f"The KMS has new master keys, generation {held.kms.generation}.")
        else:
            taken = held.kms.revoke(uri, month=month)
            if not taken:
                raise LabError(f"{uri} has no keys in use that could be withdrawn")
        held.save()
    for entry in taken:
        click.echo(f"Withdrawn: {entry.uri} {entry.period}")


@kms.command()
@_dir_option
def show(folder: Path) -> None:
    """Show the KMS and what it has issued; no key is shown."""
    with _told(), store.opened(folder) as held:
        click.echo(f"Security domain  {held.kms.domain}")
        click.echo(f"KMS              {held.kms.kms_uri}")
        click.echo(f"Generation       {held.kms.generation}")
        click.echo(f"CRS              {', '.join(held.meeting.crs)}")
        entries = held.kms.ledger.issues
    if entries:
        click.echo(f"\n{'URI':<21} {'PERIOD':<12} GENERATION  {'ISSUED':<20} WITHDRAWN")
    for entry in entries:
        click.echo(_line(entry))


def _line(entry: Issue) -> str:
    withdrawn = "" if entry.withdrawn_at is None else _time(entry.withdrawn_at)
    return (
        f"{entry.uri:<21} {entry.period:<12} {entry.generation:<10}  {_time(entry.issued_at)} "
        f"{withdrawn}"
    ).rstrip()


def _time(utc: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(utc))


@contextmanager
def _opened_to_issue(folder: Path) -> Iterator[store.KmsStore]:
    with store.opened(folder) as held:
        try:
            yield held
        except AlreadyIssuedError as error:
            raise LabError(
                f"{error} already: give --from for other months, or --reissue for a new revision "
                "of these"
            ) from None


def _passphrase(file: Path | None, *, drawn: bool) -> Secret:
    if drawn:
        phrase = new_passphrase()
        click.echo(f"Passphrase: {phrase}", err=True)
        return passphrase_from(phrase)
    if file is None:
        _require_terminal()
        typed = click.prompt("Passphrase", hide_input=True, confirmation_prompt=True, err=True)
        return passphrase_from(typed)
    try:
        with file.open(encoding="utf-8", errors="surrogateescape", newline="") as stream:
            return passphrase_from(stream.readline())
    except OSError as error:
        raise LabError(f"{file} cannot be read: {error.strerror}") from None


def _require_terminal() -> None:
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        raise LabError(
            "there is no terminal to ask for a passphrase on: give --passphrase-file or "
            "--new-passphrase"
        ) from None


def _require_new(out: Path) -> None:
    if out.exists() or not out.parent.is_dir():
        raise LabError(f"{out} exists already, or its folder does not: name a new file with --out")


def _put(content: bytes, out: Path | None) -> None:
    try:
        if out is None:
            sys.stdout.buffer.write(content)
            sys.stdout.buffer.flush()
        else:
            replace_durably(out, content)
    except OSError as error:
        raise LabError(
            f"{out or 'standard output'} cannot be written: {error.strerror}. These revisions are "
            "lost: issue new ones with --reissue"
        ) from None
