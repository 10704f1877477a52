# SPDX-License-Identifier: GPL-3.0-or-later
"""The set-up's parts that can go wrong without a network: reports, sources, keys, lock."""

import io
import os
import re
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from typing import ClassVar

import pytest
from cig_setup import sources, wheel
from cig_setup.console import Console, SetupError
from cig_setup.environment import Environment, _block

PROJECT = Path(__file__).resolve().parents[3]
RECIPE = PROJECT / "tools/pjsua2"


@pytest.fixture
def console(tmp_path: Path) -> Console:
    return Console(tmp_path / "log")


def tarball(path: Path, version: str, folder: str = "pjproject") -> Path:
    """Make a source tarball that is as much of pjproject as the set-up looks at."""
    major, minor = version.split(".")
    text = f"export PJ_VERSION_MAJOR  := {major}\nexport PJ_VERSION_MINOR  := {minor}\n"
    text += "export PJ_VERSION_REV    :=\n"
    with tarfile.open(path, "w:xz") as archive:
        member = tarfile.TarInfo(f"{folder}/version.mak")
        member.size = len(text)
        archive.addfile(member, io.BytesIO(text.encode()))
    return path


class TestConsole:
    def test_failure_shows_what_failed_and_the_end_of_the_log(
        self, console: Console, capfd: pytest.CaptureFixture[str]
    ) -> None:
        program = "import sys; print('\\n'.join(map(str, range(40)))); sys.exit('it broke')"
        with pytest.raises(SetupError) as caught:
            console.run("breaking", [sys.executable, "-c", program])
        text = str(caught.value)
        assert "this step failed: breaking" in text
        assert "exit status 1" in text
        assert text.count("\n  | ") == 15
        assert "  | it broke" in text or "  | 39" in text
        log = Path(text.rpartition("the whole log: ")[2])
        assert "it broke" in log.read_text()
        written = capfd.readouterr()
        assert written.out == ""
        assert written.err == "set-up: breaking\n"

    def test_a_missing_program_is_told_like_any_failure(self, console: Console) -> None:
        with pytest.raises(SetupError, match="no-such-program") as caught:
            console.run("looking", ["no-such-program"])
        assert "exit status 127" in str(caught.value)

    def test_only_the_last_logs_are_kept(self, tmp_path: Path) -> None:
        for number in range(14):
            (tmp_path / f"setup-2026010{number // 10}-{number % 10:06}-1.log").touch()
        Console(tmp_path).run("working", [sys.executable, "-c", ""])
        assert len(list(tmp_path.glob("*.log"))) == 10

    def test_termination_ends_the_command_and_its_children(self, tmp_path: Path) -> None:
        child = f"import pathlib, os, time; pathlib.Path({str(tmp_path / 'pid')!r}).write_text("
        child += "str(os.getpid())); time.sleep(60)"
        program = (
            "import signal, sys; from pathlib import Path\n"
            "from cig_setup.console import Console\n"
            "signal.signal(signal.SIGTERM, signal.default_int_handler)\n"
            f"command = ['sh', '-c', 'exec \"$@\"', 'sh', {sys.executable!r}, '-c', {child!r}]\n"
            f"Console(Path({str(tmp_path)!r})).run('sleeping', command)\n"
        )
        env = {**os.environ, "PYTHONPATH": str(PROJECT / "tools")}
        setup = subprocess.Popen([sys.executable, "-c", program], env=env, stderr=subprocess.PIPE)
        pid = _when(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text())
        setup.send_signal(signal.SIGTERM)
        setup.communicate(timeout=20)
        with pytest.raises(ProcessLookupError):
            os.kill(int(pid), 0)


def _when(condition):
    """Wait until a condition holds; return what it gave."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.01)
    raise AssertionError("waited in vain")


class TestSource:
    def test_a_given_source_is_taken_and_an_unknown_one_warned_of(
        self, console: Console, tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        given = tarball(tmp_path / "pj.tar.xz", "2.16")
        source = sources.get(console, tmp_path / "cache", RECIPE / "known-sources", given)
        assert (source.path, source.version) == (given, "2.16")
        assert f"warning: pjproject 2.16 from the given file {given}" in capfd.readouterr().err

    def test_a_known_source_passes_in_silence(
        self, console: Console, tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        given = tarball(tmp_path / "pj.tar.xz", "2.17")
        known = tmp_path / "known"
        known.write_text(f"# comment\n{sources._examine(given, '').sha256} 2.17 here\n")
        sources.get(console, tmp_path / "cache", known, given)
        assert capfd.readouterr().err == ""

    def test_the_cached_source_needs_no_network(self, console: Console, tmp_path: Path) -> None:
        kept = tmp_path / "cache/0123"
        kept.mkdir(parents=True)
        path = tarball(kept / "pj.tar.xz", "2.17")
        assert sources.get(console, tmp_path / "cache", RECIPE / "known-sources", None).path == path

    def test_an_old_source_is_refused(self, console: Console, tmp_path: Path) -> None:
        given = tarball(tmp_path / "pj.tar.xz", "2.14")
        with pytest.raises(SetupError, match=r"is pjproject 2\.14, but 2\.15 or later is needed"):
            sources.get(console, tmp_path, RECIPE / "known-sources", given)

    def test_something_else_is_refused(self, console: Console, tmp_path: Path) -> None:
        given = tarball(tmp_path / "pj.tar.xz", "2.17", folder="a/b")
        with pytest.raises(SetupError, match="is not pjproject"):
            sources.get(console, tmp_path, RECIPE / "known-sources", given)
        given.write_bytes(b"no archive")
        with pytest.raises(SetupError, match="cannot be read"):
            sources.get(console, tmp_path, RECIPE / "known-sources", given)


class TestWheelKey:
    def test_every_ingredient_changes_it(self, tmp_path: Path) -> None:
        recipe = tmp_path / "recipe"
        recipe.mkdir()
        (recipe / "config_site.h").write_text("#define A 1\n")
        given = tarball(tmp_path / "pj.tar.xz", "2.17")
        keys = {wheel._key(recipe, "cpython-311", None), wheel._key(recipe, "cpython-312", None)}
        keys.add(wheel._key(recipe, "cpython-311", given))
        (recipe / "config_site.h").write_text("#define A 2\n")
        keys.add(wheel._key(recipe, "cpython-311", None))
        assert len(keys) == 4

    def test_compiled_python_does_not(self, tmp_path: Path) -> None:
        before = wheel._key(tmp_path, "cpython-311", None)
        (tmp_path / "__pycache__").mkdir()
        (tmp_path / "__pycache__/setup.cpython-311.pyc").write_bytes(b"x")
        assert wheel._key(tmp_path, "cpython-311", None) == before

    def test_a_missing_tarball_is_told(self, tmp_path: Path) -> None:
        with pytest.raises(SetupError, match="CIG_PJPROJECT_TARBALL="):
            wheel._key(tmp_path, "cpython-311", tmp_path / "none")


class TestEnvironment:
    def test_a_folder_of_something_else_is_left_alone(
        self, console: Console, tmp_path: Path
    ) -> None:
        (tmp_path / "venv").mkdir()
        (tmp_path / "venv/letter.txt").write_text("dear")
        with pytest.raises(SetupError, match="is no virtual environment"):
            Environment(console, tmp_path / "venv", PROJECT).ensure()
        assert (tmp_path / "venv/letter.txt").read_text() == "dear"

    def test_one_package_is_cut_out_of_the_lock(self) -> None:
        lock = (
            "# comment\na==1 ; sys_platform == 'linux' \\\n    --hash=sha256:aa\n    # via cig\n"
            "setuptools==84.0 \\\n    --hash=sha256:bb \\\n    --hash=sha256:cc\n"
            "setuptools-scm==1 \\\n    --hash=sha256:dd\n"
        )
        expected = "setuptools==84.0 \\\n    --hash=sha256:bb \\\n    --hash=sha256:cc\n"
        assert _block(lock, "setuptools") == expected
        with pytest.raises(SetupError, match="make lock"):
            _block(lock, "scm")

    def test_the_real_lock_names_no_registry_and_no_place(self) -> None:
        lock = (PROJECT / "requirements.lock").read_text()
        assert _block(lock, "setuptools")
        assert "://" not in lock
        assert "\npjsua2" not in lock
        assert str(PROJECT) not in lock


class TestProject:
    FILES = ("pyproject.toml", "setup.py", "src/package/_module.c")

    @pytest.fixture
    def project(self, tmp_path: Path) -> Path:
        for name in self.FILES:
            path = tmp_path / "project" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("1\n")
        return tmp_path / "project"

    @pytest.fixture
    def environment(self, console: Console, tmp_path: Path, project: Path) -> Environment:
        """An environment whose Python notes that it was called, and compiles."""
        environment = Environment(console, tmp_path / "venv", project)
        environment.python.parent.mkdir(parents=True)
        module = project / "src/package/_module.abi3.so"
        environment.python.write_text(f'#!/bin/sh\necho "$*" >> {tmp_path}/calls\ntouch {module}\n')
        environment.python.chmod(0o755)
        return environment

    def calls(self, tmp_path: Path) -> int:
        return len((tmp_path / "calls").read_text().splitlines())

    def test_it_is_installed_once(self, environment: Environment, tmp_path: Path) -> None:
        environment.install_project()
        environment.install_project()
        assert self.calls(tmp_path) == 1

    @pytest.mark.parametrize("name", FILES)
    def test_a_change_of_what_it_is_made_from_installs_it_anew(
        self, environment: Environment, project: Path, tmp_path: Path, name: str
    ) -> None:
        environment.install_project()
        (project / name).write_text("2\n")
        environment.install_project()
        assert self.calls(tmp_path) == 2

    def test_a_module_that_is_gone_is_compiled_anew(
        self, environment: Environment, project: Path, tmp_path: Path
    ) -> None:
        environment.install_project()
        (project / "src/package/_module.abi3.so").unlink()
        environment.install_project()
        assert self.calls(tmp_path) == 2

    def test_the_real_module_is_compiled_from_its_source_alone(self, tmp_path: Path) -> None:
        for name in ("pyproject.toml", "setup.py", "src/cig_relay/randomness/_rdrand.c"):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_bytes((PROJECT / name).read_bytes())
        command = [sys.executable, "setup.py", "build_ext", "--inplace"]
        answer = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert answer.returncode == 0, answer.stderr
        assert "warning" not in answer.stderr
        (module,) = (tmp_path / "src/cig_relay/randomness").glob("*.so")
        assert module.name == "_rdrand.abi3.so"


class TestGuards:
    AUDIO = "pjsip/src/pjsua-lib/pjsua_aud.c"
    TEXTS = "pjsip/src/pjsua-lib/pjsua_im.c"
    PLACES: ClassVar[list[tuple[str, str, str]]] = [
        (
            AUDIO,
            "CIG_NO_STREAM",
            "pj_status_t pjsua_aud_channel_update(pjsua_call_media *call_med,\n"
            "                                     const pjmedia_sdp_session *remote_sdp)\n"
            "{\n"
            "    pj_status_t status = PJ_SUCCESS;\n\n"
            "    PJ_UNUSED_ARG(remote_sdp);\n",
        ),
        (
            TEXTS,
            "CIG_MESSAGE",
            "static pj_bool_t im_on_rx_request(pjsip_rx_data *rdata);\n",
        ),
        (
            TEXTS,
            "CIG_MESSAGE",
            "pj_bool_t pjsua_im_accept_pager(pjsip_rx_data *rdata,\n"
            "                                pjsip_accept_hdr **p_accept_hdr)\n"
            "{\n",
        ),
        (
            TEXTS,
            "CIG_MESSAGE",
            "    status = pjsip_endpt_register_module(pjsua_var.endpt, &mod_pjsua_im);\n"
            "    if (status != PJ_SUCCESS)\n"
            "        return status;\n",
        ),
    ]

    def run(self, tree: Path, odd: int = -1, times: int = 1) -> tuple[int, dict[str, str]]:
        """Edit a tree where each place is there once, and number ``odd`` so many times."""
        sources = {self.AUDIO: "int a;\n", self.TEXTS: "int a;\n"}
        for number, (source, _, place) in enumerate(self.PLACES):
            sources[source] += f"{place}    work();\n" * (times if number == odd else 1)
        for source, text in sources.items():
            (tree / source).parent.mkdir(parents=True, exist_ok=True)
            (tree / source).write_text(text)
        command = [sys.executable, RECIPE / "guards.py", tree]
        status = subprocess.run(command, capture_output=True, check=False).returncode
        return status, {source: (tree / source).read_text() for source in sources}

    def test_each_goes_in_behind_its_place(self, tmp_path: Path) -> None:
        status, texts = self.run(tmp_path)
        assert status == 0
        for source, name, place in self.PLACES:
            assert f"{place}\n#if defined({name}) && {name}\n" in texts[source]
        assert "".join(texts.values()).count("#endif\n    work();\n") == len(self.PLACES)

    def test_the_code_that_one_includes_is_beside_it(self, tmp_path: Path) -> None:
        _, texts = self.run(tmp_path)
        assert '\n#include "cig_message.c"\n' in texts[self.TEXTS]
        copied = (tmp_path / self.TEXTS).with_name("cig_message.c")
        assert copied.read_bytes() == (RECIPE / "cig_message.c").read_bytes()

    @pytest.mark.parametrize("number", range(4))
    @pytest.mark.parametrize("times", [0, 2])
    def test_nothing_is_changed_unless_each_place_is_there_once(
        self, tmp_path: Path, number: int, times: int
    ) -> None:
        status, texts = self.run(tmp_path, number, times)
        assert status == 1
        assert "CIG_" not in "".join(texts.values())

    def test_the_configuration_switches_each_on(self) -> None:
        config = (RECIPE / "config_site.h").read_text()
        for _, name, _ in self.PLACES:
            assert re.search(rf"^#define {name} +1$", config, re.MULTILINE)


def test_an_unknown_python_is_refused_in_words() -> None:
    program = (
        "import runpy, sys; sys.version_info = (3, 10, 4);"
        f"runpy.run_path({str(PROJECT / 'tools/setup.py')!r}, run_name='__main__')"
    )
    answer = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert answer.returncode == 1
    assert "Python 3.11 to 3.13 is needed" in answer.stderr
    assert "3.10.4" in answer.stderr
