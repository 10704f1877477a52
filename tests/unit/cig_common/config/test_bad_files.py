# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of bad files: what an operator gets wrong, and the whole text of what is told.

`bad/` has a file for each mistake and beside it what `cig-cli read` says of it. What is no text
file, or none that a repository can hold, is made here.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from cig_common.config import ConfigError, load, loads

BAD = Path(__file__).parent / "bad"
FILES = sorted(BAD.glob("*.conf"))
WHOLE_FILE = {"map_not_defined_at_all", "mailbox_uses_map"}
"""These are about what the whole file defines."""

GOOD = """\
// A good part.
map of_before {
    entry before sip "sip:{n}@before.example" tel "tel:+1{n}";
}
translate_map of_before { rule match "{a}" translation "{a}"; }
"""


def told(refused: ConfigError) -> str:
    warnings = [warning.render() for warning in refused.warnings]
    return "\n".join([str(refused), *warnings]) + "\n"


def test_the_table_is_whole() -> None:
    assert len(FILES) >= 150
    assert {path.stem for path in FILES} == {path.stem for path in BAD.glob("*.txt")}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_bad_file(path: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        loads(path.read_bytes().decode(), path.name)
    assert told(refused.value) == path.with_suffix(".txt").read_text()


@pytest.mark.parametrize(
    "path", [path for path in FILES if path.stem not in WHOLE_FILE], ids=lambda path: path.stem
)
def test_bad_file_after_a_good_one(path: Path) -> None:
    """What is right before a mistake stays right, and moves the messages down by its lines."""
    text = path.read_bytes().decode()
    alone, among = problems(text), problems(GOOD + text)
    lines = GOOD.count("\n")
    moved = [(line + lines, column, message) for line, column, message in alone]
    assert among == moved


def problems(text: str) -> list[tuple[int, int, str]]:
    with pytest.raises(ConfigError) as refused:
        loads(text)
    return [(told.line, told.column, told.message) for told in refused.value.problems]


def latin_1(path: Path) -> None:
    path.write_bytes("// Büro\nmap büro { }\n".encode("latin-1"))


def latin_1_behind_a_mark(path: Path) -> None:
    path.write_bytes(b"\xef\xbb\xbfmap b\xfcro { }\n")


def utf_16(path: Path) -> None:
    path.write_text("map office { }\n", "utf-16")


def utf_16_without_a_mark(path: Path) -> None:
    path.write_text("map office { }\n", "utf-16-le")


def nul(path: Path) -> None:
    path.write_bytes(b"map office {\n    entry \0one;\n}\n")


def empty(path: Path) -> None:
    path.write_bytes(b"")


def blank(path: Path) -> None:
    path.write_bytes(b"\r\n \t\n")


def sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 30)


def directory(path: Path) -> None:
    path.mkdir()


def missing(path: Path) -> None:
    pass


def dangling_link(path: Path) -> None:
    path.symlink_to("nowhere.conf")


def link_to_itself(path: Path) -> None:
    path.symlink_to(path)


def pipe(path: Path) -> None:
    os.mkfifo(path)


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def file_for_a_folder(path: Path) -> None:
    path.parent.rmdir()
    path.parent.write_text("")


NO_FILES: list[tuple[Callable[[Path], None], str]] = [
    (
        latin_1,
        "F:1:5: error: byte 0xfc is not UTF-8\n"
        "    // B?ro\n"
        "        ^\n"
        "  save the file as UTF-8, or keep to ASCII",
    ),
    (
        latin_1_behind_a_mark,
        "F:1:6: error: byte 0xfc is not UTF-8\n"
        "    map b?ro { }\n"
        "         ^\n"
        "  save the file as UTF-8, or keep to ASCII",
    ),
    (utf_16, "F: error: the file is UTF-16 text\n  save it as UTF-8"),
    (
        utf_16_without_a_mark,
        "F:1:2: error: a NUL character: this is no text file\n"
        "    m?a?p? ?o?f?f?i?c?e? ?{? ?}?\n"
        "     ^",
    ),
    (
        nul,
        "F:2:11: error: a NUL character: this is no text file\n    entry ?one;\n          ^",
    ),
    (
        empty,
        "F: error: the file is empty\n"
        "  was it cut short? A configuration has at least an `interfaces` block",
    ),
    (
        blank,
        "F: error: the file is empty\n"
        "  was it cut short? A configuration has at least an `interfaces` block",
    ),
    (sparse, "F: error: the file is larger than 512 MB"),
    (directory, "F: error: the file is a directory"),
    (missing, "F: error: the file cannot be read: No such file or directory"),
    (
        dangling_link,
        "F: error: the file cannot be read: No such file or directory\n"
        "  it is a symbolic link to nowhere.conf",
    ),
    (link_to_itself, "F: error: the file cannot be read: Too many levels of symbolic links"),
    (pipe, "F: error: the file is not a regular file"),
    (device, "F: error: the file is not a regular file"),
    (file_for_a_folder, "F: error: the file cannot be read: Not a directory"),
]


@pytest.mark.parametrize(("make", "text"), NO_FILES, ids=lambda item: getattr(item, "__name__", ""))
def test_no_file(make: Callable[[Path], None], text: str, tmp_path: Path) -> None:
    path = tmp_path / "folder" / "cig.conf"
    path.parent.mkdir()
    make(path)
    with pytest.raises(ConfigError) as refused:
        load(path)
    shown = str(refused.value).replace("\ufffd", "?")
    assert shown == text.replace("F:", f"{path}:", 1)


def test_a_name_with_a_nul_character(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="its name holds a NUL character"):
        load(f"{tmp_path}/a\0b")


AS_NOBODY = """
import os, sys
from cig_common.config import ConfigError, load
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
try:
    load(sys.argv[1])
except ConfigError as refused:
    print(os.geteuid(), refused, sep="\\n")
"""


def test_no_permission(tmp_path: Path) -> None:
    path = tmp_path / "cig.conf"
    path.write_text("interfaces { }")
    path.chmod(0)
    run = subprocess.run(
        [sys.executable, "-c", AS_NOBODY, path],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    uid, *lines = run.stdout.splitlines()
    assert lines == [
        f"{path}: error: the file cannot be read: Permission denied",
        f"  uid {uid} needs the right to read it and to pass the folders above it",
    ]


def test_a_utf_8_mark_and_line_ends_of_windows_are_fine(tmp_path: Path) -> None:
    path = tmp_path / "cig.conf"
    path.write_bytes("\ufeff// fine\r\ninterfaces {\r\n sip { bind ::1; }\r\n}\r\n".encode())
    assert load(path).warnings == ()


def test_names_that_look_like_words_of_the_language_are_fine() -> None:
    for name in ("map", "entry", "sip", "interfaces", "true", "a.b-c_d9"):
        entry = f'entry {name} sip "sip:1@h" tel "tel:+1";'
        config = loads(
            f"map {name} {{ {entry} }} translate_map {name} {{ }}"
            f"interfaces {{ tel {{ extension map {name}; }} }}"
        )
        assert config.maps[0].name == name
