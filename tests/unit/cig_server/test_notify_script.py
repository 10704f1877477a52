# SPDX-License-Identifier: GPL-3.0-or-later
"""notify.sh: what it is given, and that nothing it does harms the server."""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
from pathlib import Path

import pytest

from cig_common.control.key_facts import KeysEnding
from cig_server.key_warnings import KeyWarnings
from cig_server.notify_script import MAX_WAITING, NotifyScript

SHIPPED = Path(__file__).parents[3] / "etc" / "scripts" / "notify.sh"
ENDING = KeysEnding("2026-11-1", 1_796_083_200.0, 14, "the last keys end in 14 days")


def script(folder: Path, body: str, mode: int = 0o755) -> Path:
    path = folder / "notify.sh"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(mode)
    return path


async def test_it_gets_the_event_and_a_clean_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CIG_SECRET_OF_THE_SERVICE", "x")
    seen = tmp_path / "seen"
    path = script(tmp_path, f'printf "%s|%s|" "$1" "$2" > {seen}; pwd >> {seen}; env >> {seen}')
    notify = NotifyScript(path)
    warnings = KeyWarnings(notify)
    warnings.take(ENDING)
    await notify.idle()
    first, *environment = seen.read_text().splitlines()
    assert first == "keys-ending|the last keys end in 14 days|/"
    assert set(environment) >= {
        "CIG_EVENT=keys-ending",
        "CIG_TEXT=the last keys end in 14 days",
        "CIG_DAYS=14",
        "CIG_PERIOD=2026-11-1",
        "CIG_ENDS=2026-12-01T00:00:00Z",
    }
    assert "SECRET" not in seen.read_text()
    assert warnings.all_counters() == {"warnings": 1, "notified": 1}


async def test_a_warning_is_passed_on_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    seen = tmp_path / "seen"
    notify = NotifyScript(script(tmp_path, f'echo "$CIG_DAYS" >> {seen}'))
    warnings = KeyWarnings(notify)
    again = KeysEnding(ENDING.period, ENDING.ends, ENDING.days, "the last keys end in 12 days")
    nearer = KeysEnding(ENDING.period, ENDING.ends, 7, "the last keys end in 7 days")
    with caplog.at_level(logging.WARNING):
        for warning in (ENDING, again, ENDING, nearer, None, None, ENDING):
            warnings.take(warning)
    await notify.idle()
    assert seen.read_text().split() == ["14", "7", "14"]
    assert caplog.messages == [ENDING.text, nearer.text, ENDING.text]
    assert warnings.standing == ENDING


async def test_a_script_that_hangs_is_killed_with_what_it_started(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    # Both hold the pipe open for writing; its end is seen when both are gone.
    body = f"exec 3>{pipe}; echo started >&3; sleep 1000 & while :; do sleep 1000; done"
    notify = NotifyScript(script(tmp_path, body), limit=0.5)
    notify.call("test", "text", {})
    said = await asyncio.to_thread(pipe.read_text)
    await notify.idle()
    assert said == "started\n"
    assert "took more than 0.5 s and was killed" in caplog.text
    assert notify.counters == {"notify_failed": 1}


async def test_what_it_leaves_running_is_let_be(tmp_path: Path) -> None:
    done = tmp_path / "done"
    os.mkfifo(done)
    body = f"(read go; echo late > {done}) < {tmp_path}/go &"
    os.mkfifo(tmp_path / "go")
    notify = NotifyScript(script(tmp_path, body))
    notify.call("test", "text", {})
    await notify.idle()
    assert notify.counters == {"notified": 1}
    await asyncio.to_thread((tmp_path / "go").write_text, "go\n")
    assert await asyncio.to_thread(done.read_text) == "late\n"


@pytest.mark.parametrize(
    ("body", "mode", "told"),
    [
        ("echo first; echo out of paper >&2; exit 3", 0o755, "it ended with 3: out of paper"),
        ("kill -9 $$", 0o755, "it ended with -9: it printed nothing"),
        (r"printf 'a\033[2Jb'; exit 1", 0o755, "it ended with 1: a?[2Jb"),
        ("exit 0", 0o644, "is it executable?"),
    ],
)
async def test_a_script_that_fails_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, body: str, mode: int, told: str
) -> None:
    notify = NotifyScript(script(tmp_path, body, mode))
    notify.call("test", "text", {})
    await notify.idle()
    assert told in caplog.text
    assert notify.counters == {"notify_failed": 1}


async def test_a_missing_script_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    notify = NotifyScript(tmp_path / "notify.sh")
    with caplog.at_level(logging.INFO):
        for _ in range(3):
            notify.call("test", "text", {})
        await notify.idle()
    assert len(caplog.messages) == 1
    assert "there is no" in caplog.text
    assert not notify.counters


async def test_too_many_calls_leave_the_oldest_out(tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    notify = NotifyScript(script(tmp_path, f'echo "$2" >> {seen}'))
    for number in range(MAX_WAITING + 3):
        notify.call("test", str(number), {})
    await notify.idle()
    assert seen.read_text().split() == [str(number) for number in range(3, MAX_WAITING + 3)]
    assert notify.counters == {"notify_left_out": 3, "notified": MAX_WAITING}


async def test_stopping_ends_a_running_script(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    notify = NotifyScript(script(tmp_path, f"exec 3>{pipe}; echo started >&3; sleep 1000"))
    notify.call("test", "text", {})
    with await asyncio.to_thread(pipe.open) as stream:
        assert await asyncio.to_thread(stream.readline) == "started\n"
        await notify.stop()
        assert await asyncio.to_thread(stream.read) == ""


def test_the_shipped_script_runs(tmp_path: Path) -> None:
    logger = tmp_path / "logger"
    logger.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {tmp_path}/logged\n')
    logger.chmod(0o755)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    done = subprocess.run(
        [SHIPPED, "keys-ending", "the last keys end"], env=environment, check=False, timeout=20
    )
    assert done.returncode == 0
    assert "keys-ending: the last keys end" in (tmp_path / "logged").read_text()
    assert subprocess.run([SHIPPED], env=environment, check=False, timeout=20).returncode != 0
