# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks for a content of a text that breaks what must hold for any: `make fuzz`.

All arguments are libFuzzer's: folders of files to begin with, and options such as
`-max_total_time=60`. What it finds interesting goes into the first folder; a file that breaks
something is named in its last lines, and gets into corpus/text_content/ with the fix.
"""

import sys

import atheris

with atheris.instrument_imports(include=["cig_common.texts", "cig_server.texts"]):
    from fuzz.text_content import check


def main() -> None:
    """Fuzz until the time is over or something breaks."""
    atheris.Setup(sys.argv, check)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
