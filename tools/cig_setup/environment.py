# SPDX-License-Identifier: GPL-3.0-or-later
"""The virtual environment: made once, kept while it is good, filled from requirements.lock.

A stamp file in the environment tells what was installed from; while that is unchanged nothing
is done, so that a second set-up takes no time and no network.
"""

import hashlib
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from cig_setup.console import Console, SetupError

OLDEST, NEWEST = (3, 11), (3, 13)
PIP_OPTIONS = ["--disable-pip-version-check", "--no-input"]

# What says how the project is installed, besides the C sources in src.
PROJECT_FILES = ["pyproject.toml", "setup.py"]

# What a stamp holds from an installation's begin to its end.
PENDING = "pending"

# Prints what an environment is: its Python's version, the tag of its binary interface, and
# whether pip is there, without which the environment was never finished.
FACTS = (
    "import json, sys, sysconfig, importlib.util as u;"
    "print(json.dumps([list(sys.version_info[:3]),"
    " sysconfig.get_config_var('SOABI'), u.find_spec('pip') is not None]))"
)


class Environment:
    """A virtual environment at a path; ``ensure`` makes it usable."""

    def __init__(self, console: Console, path: Path, project: Path) -> None:
        """Take the environment's folder and the project's; nothing is touched yet."""
        self._console = console
        self._project = project
        self.path = path
        self.python = path / "bin/python"
        self.abi = ""
        self._version = ""

    def ensure(self) -> None:
        """Keep the environment if it is good, or make it with the Python that runs this."""
        if self.path.exists() and any(self.path.iterdir()):
            if not (self.path / "pyvenv.cfg").is_file():
                raise SetupError(
                    f"{self.path} is there, but is no virtual environment; "
                    "remove it, or choose another place with VENV="
                )
            if self._read_facts():
                return
            self._console.say(f"{self.path} does not work and is made anew")
        command = [sys.executable, "-m", "venv", "--clear", str(self.path)]
        version = ".".join(str(part) for part in sys.version_info[:3])
        self._console.run(f"making the environment {self.path} (Python {version})", command)
        if not self._read_facts():
            raise SetupError(f"the new environment {self.path} does not work")

    def install_lock(self) -> None:
        """Install everything from requirements.lock, each file checked against its hash."""
        lock = self._project / "requirements.lock"
        stamp = self._hash("lock", lock.read_bytes())
        if self._stamped("lock", stamp):
            return
        # setuptools first and alone: what comes as source is built with this checked setuptools
        # instead of one that pip would fetch unchecked.
        first = self.path / "setuptools.lock"
        first.write_text(_block(lock.read_text("utf-8"), "setuptools"), "utf-8")
        options = ["--require-hashes", "--no-build-isolation"]
        if self._stamped("lock", PENDING):
            # An interrupted pip may have left a package that looks whole and is not.
            options.append("--force-reinstall")
        self._stamp("lock", PENDING)
        self._pip("installing setuptools", [*options, "-r", str(first)])
        self._pip("installing the packages of requirements.lock", [*options, "-r", str(lock)])
        self._stamp("lock", stamp)

    def install_pjsua2(self, wheel: Path) -> None:
        """Install the project's own wheel of pjsua2."""
        stamp = self._hash("pjsua2", wheel.read_bytes())
        if self._stamped("pjsua2", stamp):
            return
        self._pip(f"installing {wheel.name}", ["--no-deps", "--force-reinstall", wheel])
        self._stamp("pjsua2", stamp)

    def install_project(self) -> None:
        """Install the project itself, editable: the commands run what lies in src.

        That compiles its extension module too, whose file lies beside its source. It is in no
        commit, so it may be gone, as in a folder that was cleaned, while the stamp is there.
        """
        modules = sorted((self._project / "src").rglob("*.c"))
        sources = [*(self._project / name for name in PROJECT_FILES), *modules]
        stamp = self._hash("project", b"\0".join(path.read_bytes() for path in sources))
        compiled = all(any(module.parent.glob(f"{module.stem}.*.so")) for module in modules)
        if compiled and self._stamped("project", stamp):
            return
        options = ["--no-deps", "--no-build-isolation", "--editable", str(self._project)]
        self._pip("installing the project itself", options)
        self._stamp("project", stamp)

    def _pip(self, what: str, arguments: Sequence[str | Path]) -> None:
        """Run ``pip install``; its network failures are tried again."""
        command = [self.python, "-m", "pip", "install", *PIP_OPTIONS, *arguments]
        self._console.run(what, command, attempts=3)

    def _read_facts(self) -> bool:
        """Learn the environment's version and binary interface; return whether it works."""
        try:
            answer = subprocess.run(
                [self.python, "-c", FACTS], capture_output=True, text=True, check=False
            )
        except OSError:
            return False
        if answer.returncode != 0:
            return False
        version, abi, has_pip = json.loads(answer.stdout)
        self._version = ".".join(str(part) for part in version)
        self.abi = abi
        if not OLDEST <= tuple(version[:2]) <= NEWEST:
            raise SetupError(
                f"the environment {self.path} has Python {self._version}, but the project needs "
                "3.11 to 3.13; remove it, or choose another place with VENV="
            )
        return bool(has_pip)

    def _hash(self, name: str, content: bytes) -> str:
        """Return what a stamp holds: the content, the Python and the places it is for."""
        text = f"{name} {self._version} {self.path} {self._project}\n".encode()
        return hashlib.sha256(text + content).hexdigest()

    def _stamped(self, name: str, stamp: str) -> bool:
        """Return whether this was installed from just this content."""
        path = self.path / f"cig-{name}.stamp"
        return path.is_file() and path.read_text("utf-8") == stamp

    def _stamp(self, name: str, stamp: str) -> None:
        """Remember what was installed, once it is."""
        (self.path / f"cig-{name}.stamp").write_text(stamp, "utf-8")


def _block(lock: str, name: str) -> str:
    """Return the lines of one package, with its hashes, from the text of requirements.lock."""
    lines: list[str] = []
    inside = False
    for line in lock.splitlines():
        if not line.startswith((" ", "#")):
            inside = line.startswith(f"{name}==")
        if inside:
            lines.append(line)
    if not lines:
        raise SetupError(f"requirements.lock does not hold {name}; write it anew with make lock")
    return "\n".join(lines) + "\n"
