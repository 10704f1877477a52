# SPDX-License-Identifier: GPL-3.0-or-later
"""The program ``cig-lab``: the demo, a lab that stays up, its phone's keypad, and its KMS."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from cig_lab.kms.commands import kms

MGMT_PORT = 8083
VERSION = "2.7.0"

_mgmt_option = click.option(
    "--mgmt-port",
    type=click.IntRange(1, 65535),
    default=MGMT_PORT,
    show_default=True,
    help="Management port of the gateway; another one is taken where it is in use.",
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, prog_name="cig-lab")
def main() -> None:
    """Try the gateway on this computer alone, with test peers for both of its sides."""


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on standard output.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("demo-out"),
    show_default=True,
    help="Folder for the recordings and the picture.",
)
@_mgmt_option
@click.option("--keep", is_flag=True, help="Keep the temporary folder with configuration and logs.")
def demo(as_json: bool, out: Path, mgmt_port: int, keep: bool) -> None:
    """Make a call and send a text each way through the gateway and check what arrived.

    Ends with 0 only if everything did.
    """
    from cig_lab.demo import main as run

    sys.exit(run(out, as_json=as_json, mgmt_port=mgmt_port, keep=keep))


@main.command()
@click.option(
    "--sip-port",
    type=click.IntRange(1, 65535),
    default=5060,
    show_default=True,
    help="Where the gateway takes SIP on 127.0.0.1.",
)
@_mgmt_option
def up(sip_port: int, mgmt_port: int) -> None:
    """Start everything and leave it running until Ctrl-C."""
    from cig_lab.up import main as run

    sys.exit(run(sip_port=sip_port, mgmt_port=mgmt_port))


@main.group()
def phone() -> None:
    """Use the secure phone of the lab that `cig-lab up` runs."""


@phone.command()
@click.argument("number")
def dial(number: str) -> None:
    """Call NUMBER, such as +8888w101, until Ctrl-C or the other side's end."""
    from cig_lab.remote import main as run

    sys.exit(run(number))


@phone.command()
@click.argument("number")
@click.argument("text")
@click.option(
    "--attach",
    "attachments",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    multiple=True,
    help="A file to send with it; may be repeated.",
)
def text(number: str, text: str, attachments: tuple[Path, ...]) -> None:
    """Send TEXT to NUMBER, such as +8888w101, and tell what becomes of it."""
    from cig_lab.remote import main_text as run

    sys.exit(run(number, text, attachments))


main.add_command(kms)


if __name__ == "__main__":
    main()
