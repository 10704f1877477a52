# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks for a cig.conf that breaks what must hold for any: `make fuzz`.

All arguments are libFuzzer's: folders of files to begin with, and options such as
`-max_total_time=60`. What it finds interesting goes into the first folder; a file that breaks
something is named in its last lines, and gets into corpus/cig_conf/ with the fix.
"""

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["cig_common"]):
    from fuzz.cig_conf import check


def main() -> None:
    """Fuzz until the time is over or something breaks."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cig.conf"
        atheris.Setup(sys.argv, lambda octets: check(octets, path))
        atheris.Fuzz()


if __name__ == "__main__":
    main()
