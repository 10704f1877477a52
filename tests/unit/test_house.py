# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules of the house that no linter knows: who imports what, and how long things may be."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
SRC = PROJECT / "src"
SOURCES = sorted(SRC.rglob("*.py"))
SPDX = "# SPDX-License-Identifier: GPL-3.0-or-later"
MOST_LINES_OF_FILE = 420
MOST_LINES_OF_FUNCTION = 60

# Imports every module of cig_server in a fresh process and prints all modules that are loaded.
IMPORT_SERVER = """
import importlib, pkgutil, sys
import cig_server
for module in pkgutil.walk_packages(cig_server.__path__, "cig_server."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
print("\\n".join(sys.modules))
"""


def name(path: Path) -> str:
    return str(path.relative_to(PROJECT))


def imported(path: Path) -> Iterator[str]:
    """Every module name in an import statement of the file, those inside functions too."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """The lines of a function, its docstring left out."""
    lines = (function.end_lineno or function.lineno) - function.lineno + 1
    first = function.body[0]
    if ast.get_docstring(function) is not None:
        lines -= (first.end_lineno or first.lineno) - first.lineno + 1
    return lines


def test_exactly_one_file_imports_pjsua2() -> None:
    importers = [
        name(path)
        for path in SOURCES
        if any(module.partition(".")[0] in ("pjsua2", "_pjsua2") for module in imported(path))
    ]
    assert importers == ["src/cig_server/sif/pjsua.py"]


def test_the_server_loads_neither_keys_nor_the_relay() -> None:
    answer = subprocess.run(
        [sys.executable, "-c", IMPORT_SERVER],
        env={**os.environ, "PYTHONPATH": str(SRC)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    loaded = set(answer.stdout.split())
    assert "cig_server" in loaded
    packages = {module.partition(".")[0] for module in loaded}
    assert not packages & {"mikey_sakke", "cig_material", "cig_relay"}


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_files_and_functions_stay_short(path: Path) -> None:
    text = path.read_text("utf-8")
    assert len(text.splitlines()) <= MOST_LINES_OF_FILE
    long = {
        node.name: body_lines(node)
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and body_lines(node) > MOST_LINES_OF_FUNCTION
    }
    assert not long


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_source_names_its_licence_and_itself(path: Path) -> None:
    text = path.read_text("utf-8")
    assert text.splitlines()[:1] == [SPDX]
    assert ast.get_docstring(ast.parse(text))
