# SPDX-License-Identifier: GPL-3.0-or-later
"""Gets pjproject's source: from the cache, a file that was given, or Debian's archive.

PyPI has no usable pjsua2 and Debian no binary package of pjproject, but Debian's source
archive has it: as a component of the source package ``asterisk`` and, at times, as a package of
its own. Apt is asked with lists and sources of its own below the cache folder, so that the
system's are neither changed nor needed. It checks the archive's signature.
"""

import hashlib
import os
import re
import shutil
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path

from cig_setup.console import Console, SetupError

OLDEST = (2, 15)
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
APT_HELPER = "/usr/lib/apt/apt-helper"

# Suite, source package, and how the wanted file of that package is named. An asterisk of a
# stable suite stays, one of forky or sid changes with every upload; so more than one is tried.
CANDIDATES = [
    ("forky", "asterisk", r"asterisk_.*\.orig-Xpjproject\.tar\.\w+"),
    ("sid", "asterisk", r"asterisk_.*\.orig-Xpjproject\.tar\.\w+"),
    ("trixie", "asterisk", r"asterisk_.*\.orig-Xpjproject\.tar\.\w+"),
    ("sid", "pjproject", r"pjproject_.*\.orig\.tar\.\w+"),
    ("experimental", "pjproject", r"pjproject_.*\.orig\.tar\.\w+"),
]


@dataclass(frozen=True)
class Source:
    """A source tarball: where it lies, its SHA-256 in hexadecimal, its version and origin."""

    path: Path
    sha256: str
    version: str
    origin: str


def get(console: Console, cache: Path, known: Path, given: Path | None) -> Source:
    """Return pjproject's source, 2.15 or later.

    ``cache`` is the folder to keep it in, ``known`` the list of checksums that pass without a
    warning, ``given`` a tarball to take instead of Debian's. Raises SetupError when there is none.
    """
    if given is not None:
        source = _examine(given, f"the given file {given}")
    else:
        source = _cached(cache) or _download(console, cache)
    checksums = {line.split()[0] for line in known.read_text().splitlines() if line[:1] != "#"}
    if source.sha256 not in checksums:
        console.say(
            f"warning: pjproject {source.version} from {source.origin}, "
            f"SHA-256 {source.sha256}, has not been tested with this project"
        )
    return source


def _cached(cache: Path) -> Source | None:
    """Return the source that an earlier set-up fetched; the youngest, should there be several."""
    found = sorted(cache.glob("*/*.tar.*"), key=lambda path: path.stat().st_mtime)
    if not found:
        return None
    return _examine(found[-1], f"the cached file {found[-1]}")


def _examine(path: Path, origin: str) -> Source:
    """Return what a tarball is; raise SetupError if it is not pjproject 2.15 or later."""
    try:
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        text = _version_file(path)
    except (OSError, EOFError, tarfile.TarError) as error:
        raise SetupError(f"{origin} cannot be read: {error}") from error
    found = dict(re.findall(r"^export PJ_VERSION_(\w+)[ \t]*:=[ \t]*(\d+)", text, re.MULTILINE))
    if not {"MAJOR", "MINOR"} <= found.keys():
        raise SetupError(f"{origin} is not pjproject: it has no version.mak with a version")
    numbers = [found[name] for name in ("MAJOR", "MINOR", "REV") if name in found]
    version = ".".join(numbers)
    if (int(numbers[0]), int(numbers[1])) < OLDEST:
        raise SetupError(f"{origin} is pjproject {version}, but 2.15 or later is needed")
    return Source(path, sha256, version, origin)


def _version_file(path: Path) -> str:
    """Return the text of a tarball's version.mak, or an empty one."""
    with tarfile.open(path) as tarball:
        for member in tarball:
            if re.fullmatch(r"(\./)?[^/]+/version\.mak", member.name):
                content = tarball.extractfile(member)
                return content.read().decode(errors="replace") if content else ""
    return ""


def _download(console: Console, cache: Path) -> Source:
    """Try Debian's suites in turn; return the first good source, kept in the cache folder."""
    if shutil.which("apt-get") is None:
        raise SetupError(
            "pjproject's source comes from Debian's archive, and there is no apt-get here. "
            "Give the source, 2.15 or later, as CIG_PJPROJECT_TARBALL=FILE"
        )
    tried = []
    for mirror in _mirrors():
        for suite, package, pattern in CANDIDATES:
            origin = f"source package {package} in {suite}"
            apt = _Apt(console, cache / "apt" / suite, mirror, suite)
            try:
                return apt.fetch(package, pattern, cache, origin)
            except SetupError as error:
                tried.append(f"- {origin}, from {mirror}: {error.gist}")
    raise SetupError(
        "no source of pjproject 2.15 or later was found. What was looked for:\n"
        + "\n".join(tried or ["- nothing: apt's configuration names no Debian mirror"])
        + "\nGive the source as CIG_PJPROJECT_TARBALL=FILE, or see to the network."
    )


def _mirrors() -> list[str]:
    """Return the archives that this system's apt is set to, the security archive left out."""
    # What an update would fetch is told without lists, rights or network.
    answer = subprocess.run(
        ["apt-get", "--print-uris", "update"], capture_output=True, text=True, check=False
    )
    found = re.findall(r"^'([a-z+]+:[^']*?)/dists/([^'/]+)/", answer.stdout, re.MULTILINE)
    return list(dict.fromkeys(uri for uri, suite in found if not suite.endswith("-security")))


class _Apt:
    """Apt with one suite's sources, and with its state below a folder of ours."""

    def __init__(self, console: Console, folder: Path, mirror: str, suite: str) -> None:
        """Write the sources; nothing is fetched yet."""
        self._console = console
        self._folder = folder
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "lists/partial").mkdir(parents=True)
        (folder / "archives/partial").mkdir(parents=True)
        signed_by = f"[signed-by={KEYRING}] " if KEYRING.is_file() else ""
        sources = folder / "sources.list"
        sources.write_text(f"deb-src {signed_by}{mirror} {suite} main\n", "utf-8")
        settings = {
            "Dir::Etc::sourcelist": str(sources),
            "Dir::Etc::sourceparts": "-",
            "Dir::State::lists": str(folder / "lists"),
            "Dir::Cache": str(folder),
            "APT::Default-Release": "",
            "APT::Update::Error-Mode": "any",
            "Acquire::Languages": "none",
            # A mirror may be a copy of a day past. Its signature is checked all the same.
            "Acquire::Check-Valid-Until": "false",
        }
        if os.geteuid() == 0:
            # Apt's own user may not be able to write below the cache folder.
            settings["APT::Sandbox::User"] = "root"
        self._options = [word for key in settings for word in ("-o", f"{key}={settings[key]}")]

    def fetch(self, package: str, pattern: str, cache: Path, origin: str) -> Source:
        """Fetch the file of a source package whose name matches; keep it in the cache folder."""
        self._console.run(
            f"looking for pjproject in {origin}",
            ["apt-get", *self._options, "update"],
            attempts=2,
        )
        uri, name, sha256 = self._look_up(package, pattern)
        target = self._folder / name
        self._console.run(
            f"fetching {name}",
            [APT_HELPER, *self._options, "download-file", uri, target, f"SHA256:{sha256}"],
            attempts=3,
        )
        source = _examine(target, origin)
        kept = cache / source.sha256 / name
        kept.parent.mkdir(exist_ok=True)
        target.replace(kept)
        shutil.rmtree(self._folder)
        return Source(kept, source.sha256, source.version, origin)

    def _look_up(self, package: str, pattern: str) -> tuple[str, str, str]:
        """Return address, name and SHA-256 of the wanted file, from the signed index."""
        command = ["apt-get", *self._options, "source", "--print-uris", "-qq", package]
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
        for line in answer.stdout.splitlines():
            entry = re.fullmatch(r"'([^']+)' (\S+) \d+ SHA256:([0-9a-f]{64})", line.strip())
            if entry and re.fullmatch(pattern, entry[2]):
                return entry[1], entry[2], entry[3]
        raise SetupError(answer.stderr.strip() or "no such file in the source package")
