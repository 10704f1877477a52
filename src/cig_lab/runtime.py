# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a running lab can be found: one small file in a folder that only its user can enter."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

from cig_lab.process import LabError

_FILE = "cig-lab.path"
SOCKET = "phone.sock"
"""Name of the secure phone's socket inside the lab's temporary folder."""


def runtime_folder() -> Path:
    """Give the folder, made with mode 0700 where it is missing.

    ``XDG_RUNTIME_DIR``, or else ``/tmp/cig-lab-UID``. Raises LabError when it is not ours alone: in
    /tmp anybody could have laid it there.
    """
    wanted = os.environ.get("XDG_RUNTIME_DIR")
    folder = Path(wanted) if wanted else Path(f"/tmp/cig-lab-{os.getuid()}")
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o022:
        raise LabError(
            f"{folder} is not a folder of yours alone: remove it, or set XDG_RUNTIME_DIR"
        )
    return folder


def announce(folder: Path) -> Path:
    """Write down that the lab runs in ``folder``; gives the file, to be removed at the end."""
    file = runtime_folder() / _FILE
    fresh = file.with_name(f".{_FILE}.{os.getpid()}")
    fresh.write_text(f"{folder}\n")
    fresh.replace(file)
    return file


def withdraw(file: Path, folder: Path) -> None:
    """Remove the file, unless another lab has written it anew since."""
    with contextlib.suppress(OSError):
        if file.read_text().strip() == str(folder):
            file.unlink()


def find_socket() -> Path:
    """Give the socket of the running lab's phone; raises LabError when there is none."""
    try:
        folder = Path((runtime_folder() / _FILE).read_text().strip())
    except OSError:
        raise LabError(
            "no lab is running: start it with `cig-lab up` in another terminal"
        ) from None
    return folder / SOCKET
