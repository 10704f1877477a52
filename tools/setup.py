#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sets the project up: Debian packages, virtual environment, pjsua2, the project itself.

``make setup`` runs it, and so do all targets that need an environment. It may be run as often
as one likes: what is done already is not done again. docs/building.md tells the rest.

Only the version of Python is looked at here, in words that an older one can read as well.
"""

import sys


def main() -> int:
    """Run the set-up if this Python can; return the exit status."""
    if not (3, 11) <= sys.version_info[:2] <= (3, 13):
        version = ".".join(str(part) for part in sys.version_info[:3])
        sys.stderr.write(
            f"set-up: Python 3.11 to 3.13 is needed, but {sys.executable} is {version}. "
            "Choose another with PYTHON=, as in: make setup PYTHON=python3.12\n"
        )
        return 1
    from cig_setup.main import main as set_up

    return set_up()


if __name__ == "__main__":
    sys.exit(main())
