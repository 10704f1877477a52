# SPDX-License-Identifier: GPL-3.0-or-later
"""The set-up as a whole: its settings, its lock, and the order of its steps.

The environment variables VENV, CIG_CACHE and CIG_PJPROJECT_TARBALL are read here.
"""

import argparse
import fcntl
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cig_setup import debian, wheel
from cig_setup.console import Console, SetupError
from cig_setup.environment import Environment

PROJECT = Path(__file__).resolve().parents[2]


def setting(name: str, default: Path) -> Path:
    """Return an environment variable as an absolute path; unset and empty mean the default."""
    return Path(os.environ.get(name) or default).expanduser().resolve()


@contextmanager
def alone(console: Console, cache: Path) -> Iterator[None]:
    """Hold the cache folder's lock, so that one set-up works with it at a time."""
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "setup.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            console.say("another set-up is at work; waiting for its end")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def set_up(console: Console, cache: Path, *, tests: bool) -> None:
    """Take all the steps, in order; raise SetupError at the first that fails."""
    given = os.environ.get("CIG_PJPROJECT_TARBALL")
    tarball = setting("CIG_PJPROJECT_TARBALL", Path()) if given else None
    debian.ensure(console, tests=tests)
    environment = Environment(console, setting("VENV", PROJECT / ".venv"), PROJECT)
    environment.ensure()
    environment.install_lock()
    recipe = PROJECT / "tools/pjsua2"
    environment.install_pjsua2(wheel.get(console, environment, recipe, cache, tarball))
    environment.install_project()


def main() -> int:
    """Run the set-up; return the exit status."""
    parser = argparse.ArgumentParser(description="Sets the project up in a virtual environment.")
    parser.add_argument("--tests", action="store_true", help="install what the tests need too")
    arguments = parser.parse_args()
    # A termination unwinds like Ctrl-C, so that no build is left half-way.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    cache = setting("CIG_CACHE", Path("~/.cache/cig"))
    # Pip's own cache would lie elsewhere in the home folder.
    os.environ["PIP_CACHE_DIR"] = str(cache / "pip")
    console = Console(cache / "log")
    try:
        with alone(console, cache):
            set_up(console, cache, tests=arguments.tests)
    except SetupError as error:
        console.say(str(error))
        return 1
    except KeyboardInterrupt:
        console.say("interrupted; run make again to go on")
        return 130
    except OSError as error:
        console.say(f"failed: {error}")
        return 1
    return 0
