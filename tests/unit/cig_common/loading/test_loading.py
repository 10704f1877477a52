# SPDX-License-Identifier: GPL-3.0-or-later
"""Loading beside a running loop: small in a thread, big in a process, and what can go wrong."""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
import time
from pathlib import Path

import pytest

from cig_common.config import ConfigError, Configuration
from cig_common.loading import LoadFailedError, beside, load_beside, load_part

GOOD = "interfaces { sip { bind 192.0.2.1; } }\n"


def bind_of(configuration: Configuration) -> str:
    return str(configuration.sip.bind)


def dies(configuration: Configuration) -> str:
    os.kill(os.getpid(), signal.SIGKILL)
    return ""


def raises(configuration: Configuration) -> str:
    raise MemoryError("no room")


def never_ends(configuration: Configuration) -> str:
    Path(configuration.filename).with_name("pid").write_text(str(os.getpid()))
    time.sleep(60)
    return ""


def whole(configuration: Configuration) -> Configuration:
    return configuration


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "cig.conf"
    path.write_text(GOOD)
    return path


@pytest.fixture(params=["thread", "process"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each test below runs both ways; the size alone decides which one it is."""
    monkeypatch.setattr(beside, "THREAD_OCTETS", 1 << 30 if request.param == "thread" else -1)
    return str(request.param)


@pytest.fixture
def process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beside, "THREAD_OCTETS", -1)


@pytest.mark.usefixtures("way")
async def test_what_is_wanted_comes_back_with_the_files_digest(path: Path) -> None:
    loaded = await load_beside(path, bind_of)
    assert loaded.part == "192.0.2.1"
    assert loaded.digest == hashlib.sha256(GOOD.encode()).digest()


@pytest.mark.usefixtures("way")
async def test_a_whole_configuration_comes_back(path: Path) -> None:
    path.write_text('map m { entry e sip "sip:{x}@h" tel "tel:+{x}"; }' + GOOD)
    configuration = (await load_beside(path, whole)).part
    assert [entry.sip.text for entry in configuration.maps[0].entries] == ["sip:{x}@h"]
    assert [warning.code for warning in configuration.warnings] == ["W103"]


@pytest.mark.usefixtures("way")
async def test_every_mistake_comes_back(path: Path) -> None:
    path.write_text("interfaces { nonsense }\nmore;\n")
    with pytest.raises(ConfigError) as here:
        load_part(path, bind_of)
    with pytest.raises(ConfigError) as there:
        await load_beside(path, bind_of)
    assert there.value.problems == here.value.problems
    assert len(there.value.problems) == 2


@pytest.mark.usefixtures("way")
async def test_the_host_is_looked_at_only_where_that_is_wanted(path: Path) -> None:
    path.write_text(
        'translate_map t { rule match "tel:{x}" translation "tel:{x}"; }'
        'mailboxes { read { path "/no/such/box"; map_from translate_map t;'
        " map_to translate_map t; } }" + GOOD
    )
    for ask, expected in ((True, {"W114"}), (False, set())):
        configuration = (await load_beside(path, whole, ask_host=ask)).part
        assert {warning.code for warning in configuration.warnings} & {"W114"} == expected


@pytest.mark.parametrize("kind", ["absent", "folder", "pipe"])
@pytest.mark.usefixtures("way")
async def test_what_is_no_file_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / kind
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    with pytest.raises(ConfigError):
        await asyncio.wait_for(load_beside(path, bind_of), 20)


def test_a_file_that_keeps_changing_is_refused(path: Path) -> None:
    reads = 0

    def edits(configuration: Configuration) -> str:
        raise AssertionError("nothing may be made of it")

    class Edited(type(path)):  # type: ignore[misc]
        """Another editor writes between any two looks at the file."""

        def open(self, *arguments: object, **options: object) -> object:
            nonlocal reads
            reads += 1
            path.write_text(GOOD + f"// {reads}\n")
            return super().open(*arguments, **options)

    with pytest.raises(ConfigError, match="changes while it is read"):
        load_part(Edited(path), edits)


@pytest.mark.usefixtures("process")
async def test_a_compiler_that_is_killed_is_told(path: Path) -> None:
    with pytest.raises(LoadFailedError, match="signal 9"):
        await load_beside(path, dies)


@pytest.mark.usefixtures("process")
async def test_a_compiler_that_fails_is_told(path: Path) -> None:
    with pytest.raises(LoadFailedError, match="MemoryError: no room"):
        await load_beside(path, raises)


@pytest.mark.usefixtures("process")
async def test_a_compiler_that_hangs_is_ended(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beside, "LOAD_SECONDS", 1.0)
    with pytest.raises(LoadFailedError, match="within 1 s"):
        await load_beside(path, never_ends)


@pytest.mark.usefixtures("process")
async def test_who_is_cancelled_leaves_no_process_behind(path: Path) -> None:
    waiting = asyncio.create_task(load_beside(path, never_ends))
    note = path.with_name("pid")
    async with asyncio.timeout(20):
        while not (note.exists() and note.read_text()):
            await asyncio.sleep(0.01)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert not Path(f"/proc/{note.read_text()}").exists()
