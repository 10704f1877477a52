# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes the wheel ``pjsua2`` from a pjproject tree whose static libraries are compiled.

The environment variable PJPROJECT_TREE names the tree. SWIG writes the Python module and its C++
side from pjproject's own interface file and ours, cig.i; one extension module links the archives,
so that the wheel needs nothing of pjproject at run time. Run it through ``pip wheel`` in a copy of
this folder, because SWIG's output lands beside it.
"""

import os
import re
import subprocess
from pathlib import Path

from setuptools import Extension, setup

TREE = Path(os.environ["PJPROJECT_TREE"]).resolve()
SWIG_DIR = TREE / "pjsip-apps/src/swig"
HERE = Path(__file__).resolve().parent
INCLUDES = [str(TREE / part / "include") for part in ("pjlib", "pjlib-util", "pjnath")]
INCLUDES += [str(TREE / part / "include") for part in ("pjmedia", "pjsip")]


def source_version() -> str:
    """Return pjproject's version, such as "2.17", from its version.mak."""
    text = (TREE / "version.mak").read_text("utf-8")
    found = dict(re.findall(r"^export PJ_VERSION_(\w+)[ \t]*:=[ \t]*(\S*)", text, re.MULTILINE))
    numbers = [found["MAJOR"], found["MINOR"], found.get("REV", "")]
    return ".".join(number for number in numbers if number)


def build_setting(target: str) -> list[str]:
    """Return the words that pjproject's helper makefile prints for cflags, libs or ldflags."""
    command = ["make", "-s", "--no-print-directory", "-f", "helper.mak", target]
    return subprocess.check_output(command, cwd=SWIG_DIR / "python", text=True).split()


def wrap() -> str:
    """Let SWIG write pjsua2.py here and its C++ side; return the name of the latter."""
    # -threads: the interpreter lock is released while libHandleEvents waits.
    # -w312: nested unions of pjsip's C headers, which SWIG leaves out and Python never needs.
    includes = [f"-I{folder}" for folder in [*INCLUDES, str(SWIG_DIR)]]
    options = ["-c++", "-threads", "-python", "-w312", "-outdir", str(HERE)]
    output = "pjsua2_wrap.cpp"
    interface = str(HERE / "cig.i")
    subprocess.check_call(["swig", *includes, *options, "-o", str(HERE / output), interface])
    return output


def link_arguments() -> list[str]:
    """Return the linker's arguments: pjproject's archives whole, the system's libraries by name."""
    archives = {path.stem.removeprefix("lib"): str(path) for path in TREE.glob("*/lib/lib*.a")}
    names = list(dict.fromkeys(build_setting("libs")))
    inside = [archives[name] for name in names if name in archives]
    system = [f"-l{name}" for name in names if name not in archives]
    return [
        "-Wl,--start-group",
        *inside,
        "-Wl,--end-group",
        "-Wl,--exclude-libs,ALL",
        "-Wl,-z,relro,-z,now",
        "-s",
        *system,
    ]


compile_arguments = [flag for flag in build_setting("cflags") if flag != "-g"]
setup(
    name="pjsua2",
    version=f"{source_version()}+cig",
    description="pjproject's pjsua2, compiled for signalling alone",
    license="GPL-2.0-or-later",
    py_modules=["pjsua2"],
    ext_modules=[
        Extension(
            "_pjsua2",
            [wrap()],
            include_dirs=INCLUDES,
            extra_compile_args=[
                *compile_arguments,
                "-std=c++17",
                "-g0",
                "-fvisibility=hidden",
                "-Wno-deprecated-declarations",
            ],
            extra_link_args=link_arguments(),
        )
    ],
)
