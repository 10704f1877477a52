# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever ends a write of the keystore (kill, power, a full disk), a whole one is there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import chain, combinations
from pathlib import Path

import pytest

from cig_relay.keys.keystore import Keystore
from unit.cig_relay.keys import crashes
from unit.cig_relay.keys.lab import material

HERE = Path(crashes.__file__)
PROJECT = HERE.parents[4]
OLD = ("tel:+8888", "2026-10-1")
NEW = {
    "again": ("tel:+8888", "2026-11-1"),
    "copied": ("tel:+8888", "2026-11-1"),
    "other": ("tel:+7777", "2026-11-1"),
    "back": ("tel:+8888", "2026-12-1"),
    "move": OLD,
}


def run(*arguments: str | Path, program: tuple[str, ...] = (sys.executable,)) -> None:
    done = subprocess.run(
        [*program, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": f"{PROJECT / 'src'}:{PROJECT / 'tests'}"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def held(folder: Path, environment: dict[str, str] | None = None) -> tuple[str, str] | None:
    loaded = Keystore(folder, environment=environment or {}).read()
    return None if loaded is None else (loaded.uri, *loaded.identity.periods)


def begun(folder: Path, action: str) -> Path:
    """A folder with a keystore and its back-up, and what the action needs."""
    folder.mkdir(mode=0o700)
    store = Keystore(folder, environment={})
    for month in ("2026-09-1", "2026-10-1"):
        store.save(material(month))
    if action == "move":
        (folder / "cig-keystore-key").write_bytes(os.urandom(32))
        (folder / "cig-keystore-key").chmod(0o400)
    return folder


def environment(action: str, folder: Path) -> dict[str, str]:
    return crashes.moved_environment(folder) if action == "move" else {}


# --- killed -------------------------------------------------------------------------------------


@pytest.mark.parametrize("action", ["again", "other", "move", "copied"])
def test_killed_at_any_step(tmp_path: Path, action: str) -> None:
    begun(tmp_path / "start", action)
    run(HERE, tmp_path, action)
    folders = sorted((tmp_path / "left").iterdir())
    assert len(folders) > 6
    seen = []
    for folder in folders:
        keys = held(folder, environment(action, folder))
        assert keys in (OLD, NEW[action]), folder
        seen.append(keys)
        again = Keystore(folder, environment=environment(action, folder))
        again.save(material("2026-12-1"))
        assert [n for n in names(folder) if n.startswith(".ks") and n != ".ks.key"] == [
            f".ks-previous.{keys[0]}",
            ".ks.tel:+8888",
        ]
        assert not [name for name in names(folder) if name.startswith(".new.")]
    assert seen[0] == OLD
    assert seen[-1] == NEW[action]
    assert seen == sorted(seen, key=lambda keys: keys == NEW[action])


def test_killed_at_the_first_save(tmp_path: Path) -> None:
    (tmp_path / "start").mkdir(mode=0o700)
    run(HERE, tmp_path, "again")
    seen = [held(folder) for folder in sorted((tmp_path / "left").iterdir())]
    assert seen[0] is None
    assert seen[-1] == NEW["again"]
    assert set(seen) == {None, NEW["again"]}


def test_killed_twice_while_the_identity_changes(tmp_path: Path) -> None:
    begun(tmp_path / "start", "other")
    run(HERE, tmp_path, "other", "back")
    folders = list((tmp_path / "left").iterdir())
    assert len(folders) > 100
    seen = {held(folder) for folder in folders}
    assert seen == {OLD, NEW["other"], NEW["back"]}


# --- the power fails ----------------------------------------------------------------------------

Names = dict[str, int]


class Disk:
    """Records what a process does to a folder, and tells what a power failure may leave of it.

    The worst is supposed: what was written to a file is lost until the file is synced, and of the
    changes of names since the folder was synced any may be lost and any other not.
    """

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._folder = folder
        self._content: dict[int, bytes] = {}
        self._live: Names = {}
        for path in folder.iterdir():
            known = [n for n, i in self._live.items() if path.samefile(folder / n)]
            self._live[path.name] = self._live[known[0]] if known else self._new(path.read_bytes())
        self._durable = dict(self._live)
        self._pending: list[Callable[[Names], object]] = []
        self.states: list[tuple[Names, dict[int, bytes]]] = []
        self._real = {name: getattr(os, name) for name in crashes.CHANGING}
        self._keep_states()
        for name in ("open", "fsync", "link", "rename", "unlink"):
            monkeypatch.setattr(os, name, getattr(self, name))

    def _new(self, content: bytes) -> int:
        self._content[len(self._content)] = content
        return len(self._content) - 1

    def open(self, path: Path, flags: int, mode: int = 0o777) -> int:
        descriptor: int = self._real["open"](path, flags, mode)
        if flags & os.O_CREAT:
            number = self._new(b"")
            self._change(lambda n: n.update({path.name: number}))
        return descriptor

    def fsync(self, descriptor: int) -> None:
        self._real["fsync"](descriptor)
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        if path == self._folder:
            self._durable, self._pending = dict(self._live), []
        else:
            self._content[self._live[path.name]] = path.read_bytes()
        self._keep_states()

    def link(self, path: Path, copy: Path, *, follow_symlinks: bool) -> None:
        self._real["link"](path, copy, follow_symlinks=follow_symlinks)
        number = self._live[path.name]
        self._change(lambda n: n.update({copy.name: number}))

    def rename(self, path: Path, target: Path) -> None:
        self._real["rename"](path, target)
        number = self._live[path.name]
        if self._live.get(target.name) == number:
            return  # names of one file: nothing happens

        def change(names: Names) -> None:
            names.pop(path.name, None)
            names[target.name] = number

        self._change(change)

    def unlink(self, path: Path) -> None:
        self._real["unlink"](path)
        self._change(lambda n: n.pop(path.name, None))

    def _change(self, change: Callable[[Names], object]) -> None:
        change(self._live)
        self._pending.append(change)
        self._keep_states()

    def _keep_states(self) -> None:
        count = range(len(self._pending) + 1)
        for survivors in chain.from_iterable(combinations(self._pending, n) for n in count):
            left = dict(self._durable)
            for change in survivors:
                change(left)
            self.states.append((left, dict(self._content)))

    def folders(self, work: Path) -> Iterator[Path]:
        """Each state once, as a folder."""
        unique = {
            tuple(sorted((name, n, content[n]) for name, n in left.items()))
            for left, content in self.states
        }
        for index, state in enumerate(sorted(unique)):
            folder = work / str(index)
            folder.mkdir(mode=0o700, parents=True)
            first: dict[int, Path] = {}
            for name, number, octets in state:
                path = first.setdefault(number, folder / name)
                if path.exists():
                    (folder / name).hardlink_to(path)
                else:
                    path.write_bytes(octets)
                    path.chmod(0o600)
            yield folder


@pytest.mark.parametrize("action", ["again", "other", "move"])
def test_the_power_fails_at_any_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, action: str
) -> None:
    userdata = begun(tmp_path / "userdata", action)
    with monkeypatch.context() as patched:
        disk = Disk(userdata, patched)
        crashes.ACTIONS[action](userdata)
    folders = list(disk.folders(tmp_path / "left"))
    assert len(folders) > 3
    seen = {held(folder, environment(action, folder)) for folder in folders}
    assert seen == {OLD, NEW[action]}


def test_the_power_fails_at_the_first_save(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    userdata = tmp_path / "userdata"
    userdata.mkdir(mode=0o700)
    with monkeypatch.context() as patched:
        disk = Disk(userdata, patched)
        crashes.ACTIONS["again"](userdata)
    seen = {held(folder) for folder in disk.folders(tmp_path / "left")}
    assert seen == {None, NEW["again"]}


# --- the disk is full ---------------------------------------------------------------------------

FILL = """
import sys
from pathlib import Path
from cig_relay.keys.keystore import Keystore
from unit.cig_relay.keys import crashes

folder = Path(sys.argv[1])
save = crashes.ACTIONS["again"]
if sys.argv[2] == "limit":
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (512, 512))
else:
    crashes.save("2026-10-1")(folder)
    with (folder / "filler").open("wb", buffering=0) as filler:
        try:
            while filler.write(bytes(4096)):
                pass
        except OSError:
            pass
before = (folder / ".ks.tel:+8888").read_bytes()
listing = sorted(folder.iterdir())
try:
    save(folder)
except OSError as error:
    print(error.strerror)
else:
    raise SystemExit("it was written")
assert (folder / ".ks.tel:+8888").read_bytes() == before
assert sorted(folder.iterdir()) == listing
read = Keystore(folder, environment={}).read()
assert read is not None and read.identity.periods == ("2026-10-1",)
if sys.argv[2] != "limit":
    (folder / "filler").unlink()
    save(folder)
"""
IN_SMALL_DISK = 'mount -t tmpfs -o size=64k,mode=700 none "$1" && exec "$2" -c "$3" "$1" disk'
UNSHARE = ("unshare", "--mount", "--map-root-user")


def can_mount(folder: Path) -> bool:
    """Whether a process of ours may mount a small disk that nobody else sees."""
    if shutil.which(UNSHARE[0]) is None:
        return False
    command = [*UNSHARE, "mount", "-t", "tmpfs", "none", str(folder)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def test_a_full_disk_leaves_the_old_keystore(tmp_path: Path) -> None:
    if not can_mount(tmp_path):
        pytest.skip("no disk can be mounted here")
    run("sh", "-c", IN_SMALL_DISK, "sh", tmp_path, sys.executable, FILL, program=UNSHARE)


def test_a_limit_on_files_leaves_the_old_keystore(tmp_path: Path) -> None:
    run("-c", FILL, begun(tmp_path / "userdata", "again"), "limit")
