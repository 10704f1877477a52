# SPDX-License-Identifier: GPL-3.0-or-later
"""The step that sees to the Debian packages: what is missing is installed, or told.

Apt is not touched when nothing is missing. On a system without dpkg the programs and libraries
themselves are looked for.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from cig_setup.console import Console, SetupError

# What compiles pjsua2, and our own module: with g++ comes gcc. uuid-dev: without it pjsip makes
# its tags and Call-IDs with rand(), which a stranger could guess.
BUILD_PACKAGES = [
    "ca-certificates",
    "g++",
    "libssl-dev",
    "make",
    "pkg-config",
    "swig",
    "uuid-dev",
    "xz-utils",
]

# The independent witnesses of the end-to-end tests: SIPp as PBX, tshark as reader.
TEST_PACKAGES = ["sip-tester", "tshark"]

PROGRAMS = {
    "g++": "a C++ compiler",
    "gcc": "a C compiler",
    "make": "make",
    "pkg-config": "pkg-config",
    "swig": "SWIG",
    "tar": "tar",
    "xz": "xz",
}
TEST_PROGRAMS = {"sipp": "SIPp", "tshark": "tshark"}
LIBRARIES = ["openssl", "uuid"]


def ensure(console: Console, *, tests: bool) -> None:
    """Install what is missing, or raise SetupError with the line that does it.

    ``tests`` asks for what the end-to-end tests need besides.
    """
    if shutil.which("dpkg-query") is None:
        _look_for_programs(tests=tests)
    else:
        missing = _missing(_python_packages() + BUILD_PACKAGES + (TEST_PACKAGES if tests else []))
        if missing:
            _install(console, missing)
    _check_python()


def _python_packages() -> list[str]:
    """Return the packages that complete Debian's own Python; another Python is complete."""
    if sys.base_prefix != "/usr":
        return []
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    return [f"{version}-venv", f"{version}-dev"]


def _missing(packages: list[str]) -> list[str]:
    """Return those of ``packages`` that dpkg does not have installed."""
    command = ["dpkg-query", "-W", "-f", "${binary:Package} ${db:Status-Status}\n", *packages]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    installed = set()
    for line in answer.stdout.splitlines():
        name, _, status = line.partition(" ")
        if status == "installed":
            installed.add(name.partition(":")[0])
    return [package for package in packages if package not in installed]


def _install(console: Console, missing: list[str]) -> None:
    """Install packages with apt-get as root or through sudo; raise SetupError if neither goes."""
    names = " ".join(missing)
    if os.geteuid() == 0:
        prefix = []
    elif _sudo_works():
        prefix = ["sudo", "-n"]
    else:
        raise SetupError(
            "these Debian packages are missing, and only root can install them. "
            "Run this line, then make again:\n"
            f"  sudo apt-get install --no-install-recommends {names}"
        )
    # noninteractive: tshark would ask who may capture; the answer stays at its safe default.
    apt_get = [*prefix, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get"]
    try:
        console.run("reading Debian's package lists", [*apt_get, "update"], attempts=3)
    except SetupError as error:
        # A foreign source that is down spoils the update, but not the packages needed here.
        console.say(f"{error}\nset-up: going on with the package lists that are there")
    options = ["--yes", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=120"]
    console.run(
        f"installing Debian packages: {names}",
        [*apt_get, "install", *options, *missing],
        attempts=3,
        let_finish=True,
    )


def _sudo_works() -> bool:
    """Return whether sudo lets us be root without asking for a password."""
    if shutil.which("sudo") is None:
        return False
    return subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False).returncode == 0


def _look_for_programs(*, tests: bool) -> None:
    """On a system that is not Debian: raise SetupError unless all that is needed is there."""
    wanted = PROGRAMS | (TEST_PROGRAMS if tests else {})
    missing = [text for program, text in wanted.items() if shutil.which(program) is None]
    if shutil.which("pkg-config") is not None:
        for library in LIBRARIES:
            if subprocess.run(["pkg-config", "--exists", library], check=False).returncode != 0:
                missing.append(f"the development files of {library}")
    if missing:
        raise SetupError(
            "this is not a Debian system, so nothing can be installed by itself. "
            f"Install these, then run make again: {', '.join(missing)}"
        )


def _check_python() -> None:
    """Raise SetupError if this Python cannot make environments or compile modules."""
    header = Path(sysconfig.get_path("include")) / "Python.h"
    if not header.is_file():
        raise SetupError(
            f"{sys.executable} has no {header}, so no module can be compiled for it; "
            "install its development files or choose another with PYTHON="
        )
