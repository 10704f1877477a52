# SPDX-License-Identifier: GPL-3.0-or-later
"""Shows a MIKEY-SAKKE message as text: `python -m mikey_sakke [FILE|-]`.

FILE (standard input where it is `-` or left out) holds the message as octets, hexadecimal
digits, base64, or a session description with an `a=key-mgmt:mikey` attribute. The exit code is
0 where the message can be read whole, 1 where something is wrong with its form, 2 where there
is no message. Nothing is decrypted or verified.
"""

import sys

from mikey_sakke.dump import dump, fault, recognise
from mikey_sakke.errors import MikeySakkeError

_USAGE = "usage: python -m mikey_sakke [FILE|-]\n"
_STANDARD_INPUT = 0
_MOST = 65_537
"""Octets that are read: one more than any text that can hold a message."""


def main(arguments: list[str]) -> int:
    """Show the message that the arguments name; gives the exit code."""
    if arguments in (["-h"], ["--help"]):
        sys.stdout.write(_USAGE + (__doc__ or ""))
        return 0
    if len(arguments) > 1 or (arguments and arguments[0].startswith("-") and arguments[0] != "-"):
        sys.stderr.write(_USAGE)
        return 2
    name = arguments[0] if arguments else "-"
    try:
        message = recognise(_read(name))
    except OSError as error:
        sys.stderr.write(f"cannot read {name!r}: {error.strerror}\n")
        return 2
    except MikeySakkeError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    # A URI may have characters that the terminal's encoding lacks.
    sys.stdout.buffer.write(dump(message).encode(sys.stdout.encoding, "backslashreplace"))
    return 0 if fault(message) is None else 1


def _read(name: str) -> bytes:
    is_input = name == "-"
    source = _STANDARD_INPUT if is_input else name
    with open(source, "rb", closefd=not is_input) as file:
        return file.read(_MOST)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
