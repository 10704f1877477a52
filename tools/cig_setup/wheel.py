# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds the wheel of pjsua2, or finds the one that was built before.

A wheel is kept in the cache folder below the hash of its recipe: everything in tools/pjsua2,
the binary interface of the Python it is for, the system it was built on, and the source if one
was given. So the question whether there is one takes no network, and any change of the recipe
builds a new one.
"""

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

from cig_setup import sources
from cig_setup.console import Console, SetupError
from cig_setup.environment import Environment

# Proves that the wheel links, starts, and was compiled with our sizes and not with pjsip's. The
# number of calls is clamped to the compiled one in silence, so it is asked for one more.
CHECK = """
import pjsua2
endpoint = pjsua2.Endpoint()
endpoint.libCreate()
config = pjsua2.EpConfig()
config.logConfig.level = config.logConfig.consoleLevel = 0
config.uaConfig.maxCalls = 2001
config.uaConfig.threadCnt = config.medConfig.threadCnt = 0
endpoint.libInit(config)
version = endpoint.libVersion().full
endpoint.libDestroy()
print("pjsua2", version, "starts")
"""


def get(
    console: Console, environment: Environment, recipe: Path, cache: Path, given: Path | None
) -> Path:
    """Return the path of the wheel for an environment, built if the cache has none.

    ``recipe`` is the folder tools/pjsua2, ``cache`` the cache folder, ``given`` a source tarball
    to build from instead of Debian's.
    """
    folder = cache / "wheels" / _key(recipe, environment.abi, given)
    for wheel in folder.glob("*.whl"):
        return wheel
    source = sources.get(console, cache / "sources", recipe / "known-sources", given)
    with tempfile.TemporaryDirectory(dir=_emptied(cache / "tmp"), prefix="pjsua2-") as work:
        built = _build(console, environment, recipe, source, Path(work))
        record = f"pjproject {source.version}, SHA-256 {source.sha256}, from {source.origin}\n"
        (built.parent / "SOURCE").write_text(record, "utf-8")
        folder.parent.mkdir(exist_ok=True)
        shutil.rmtree(folder, ignore_errors=True)
        built.parent.replace(folder)
    return folder / built.name


def _key(recipe: Path, abi: str, given: Path | None) -> str:
    """Return the name of the recipe's folder in the cache."""
    digest = hashlib.sha256()
    for path in sorted(recipe.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            digest.update(f"{path.relative_to(recipe)}\n".encode() + path.read_bytes())
    release = Path("/etc/os-release")
    if release.is_file():
        lines = release.read_text("utf-8").splitlines()
        digest.update("\n".join(x for x in lines if x.startswith(("ID=", "VERSION_ID="))).encode())
    if given is not None:
        try:
            digest.update(given.read_bytes())
        except OSError as error:
            raise SetupError(f"CIG_PJPROJECT_TARBALL={given} cannot be read: {error}") from error
    return f"pjsua2-{abi}-{digest.hexdigest()[:16]}"


def _emptied(folder: Path) -> Path:
    """Return the folder for builds, rid of what killed set-ups left; the caller has the lock."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder


def _build(
    console: Console, environment: Environment, recipe: Path, source: sources.Source, work: Path
) -> Path:
    """Compile the source below ``work``; return the wheel, alone in its folder."""
    tree = work / "pjproject"
    tree.mkdir()
    # The environment's own Python must be the one that build.sh and pjproject's scripts find.
    env = {"PATH": f"{environment.path}/bin:{os.environ['PATH']}", "PJPROJECT_TREE": str(tree)}
    unpack = ["tar", "-x", "--no-same-owner", "--strip-components=1", "-C", str(tree)]
    console.run(f"unpacking pjproject {source.version}", [*unpack, "-f", source.path])
    script = recipe / "build.sh"
    console.run("pjproject: configuring", ["sh", script, "configure", tree], env=env)
    console.run(
        "pjproject: compiling the libraries, about 1 minute",
        ["sh", script, "libraries", tree],
        env=env,
    )
    shutil.copytree(recipe / "wheel", work / "wheel")
    options = ["--no-deps", "--no-build-isolation", "--no-cache-dir", "--verbose"]
    console.run(
        "pjsua2: compiling the Python module, about 1 minute",
        [environment.python, "-m", "pip", "wheel", *options, "-w", work / "out", work / "wheel"],
        env=env,
    )
    wheel = next((work / "out").glob("*.whl"))
    _check(console, environment, wheel, work / "check")
    return wheel


def _check(console: Console, environment: Environment, wheel: Path, folder: Path) -> None:
    """Start the wheel's pjsua2 once, from an unpacked copy; raise SetupError if it fails."""
    shutil.unpack_archive(wheel, folder, "zip")
    console.run(
        "pjsua2: checking that it starts",
        [environment.python, "-c", CHECK],
        env={"PYTHONPATH": str(folder)},
    )
