# SPDX-License-Identifier: GPL-3.0-or-later
"""create_cig_maildir: makes a mailbox for texts, with the rights that its users need.

It walks to the place from the root folder by folder and follows no symbolic link: nobody who may
write on the way can have root make or change folders elsewhere. Exit codes: 0 made; 1 refused or
failed, nothing is left of it; 2 wrong usage.
"""

from __future__ import annotations

import grp
import os
import shlex
import stat
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass

import click

GROUP = "cigmail"
"""The group of those who read and write messages."""
SERVER_USER = "cigserver"
"""The user that cig-server runs as."""
FOLDERS = ("new", "cur", "tmp", "failed")
MODE = 0o2770
"""Of the mailbox and its folders: all for owner and group; what is made there is the group's."""

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class RefusedError(Exception):
    """No mailbox was made. The text says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Made:
    """A mailbox that was made; ``shut`` are the folders above it that its group may not pass."""

    path: str
    shut: tuple[str, ...]


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("path")
@click.option(
    "--group", default=GROUP, show_default=True, help="Group whose members read and write messages."
)
def main(path: str, group: str) -> None:
    """Make a mailbox for text messages at the absolute path PATH.

    It has the folders new, cur, tmp and failed; all belong to the group, with mode 2770. The
    folder above PATH must exist. An existing PATH is used only if it is an empty folder.
    """
    try:
        made = create(path, group)
    except RefusedError as error:
        click.echo(f"create_cig_maildir: {error}", err=True)
        sys.exit(1)
    click.echo(_report(made, group))


def create(path: str, group: str = GROUP) -> Made:
    """Make a mailbox for a group. Raises RefusedError; then nothing is left of it."""
    parts = _parts(path)
    number = _group_number(group)
    if os.geteuid() != 0:
        raise RefusedError(f"only root may do this: sudo create_cig_maildir {shlex.quote(path)}")
    place = "/" + "/".join(parts)
    with ExitStack() as stack:
        try:
            above, shut = _walk(parts[:-1], number, stack)
            _make(above, parts[-1], place, number, stack)
        except OSError as error:
            raise RefusedError(f"{place} cannot be made: {error.strerror or error}") from None
    return Made(place, tuple(shut))


def _parts(path: str) -> list[str]:
    """Return the names of a path, at least one. Raises RefusedError."""
    if not path.startswith("/"):
        raise RefusedError(f"{path!r} is relative: give the whole path, from / on")
    if "\0" in path:
        raise RefusedError(f"{path!r} is no path")
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if not parts or ".." in parts:
        raise RefusedError(f"{path} is no place for a mailbox: give its path without ..")
    return parts


def _group_number(group: str) -> int:
    """Return a group's number by its name or number. Raises RefusedError."""
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        with suppress(KeyError, ValueError, OverflowError):
            return grp.getgrgid(int(group)).gr_gid
    raise RefusedError(
        f"there is no group {group}: make it with: addgroup --system {shlex.quote(group)}"
    )


def _walk(parts: list[str], group: int, stack: ExitStack) -> tuple[int, list[str]]:
    """Open the folder above the mailbox; also give the folders that the group may not pass."""
    folder, place, shut = _opened(stack, "/", None), "", []
    for part in parts:
        place += f"/{part}"
        try:
            folder = _opened(stack, part, folder)
        except FileNotFoundError:
            quoted = shlex.quote(place)
            raise RefusedError(
                f"{place} does not exist: make it first, with: mkdir -m 755 {quoted}"
            ) from None
        except OSError as error:
            raise _no_folder(part, folder, place, error) from None
        found = os.fstat(folder)
        if not found.st_mode & (stat.S_IXGRP if found.st_gid == group else stat.S_IXOTH):
            shut.append(place)
    return folder, shut


def _no_folder(name: str, above: int, place: str, error: OSError) -> RefusedError:
    """Return what to say of something that cannot be opened as a folder."""
    with suppress(OSError):
        mode = os.stat(name, dir_fd=above, follow_symlinks=False).st_mode
        if stat.S_ISLNK(mode):
            return RefusedError(
                f"{place} is a symbolic link: give the path that it leads to, which cig.conf must "
                "have as well"
            )
        if not stat.S_ISDIR(mode):
            return RefusedError(f"{place} is no folder")
    return RefusedError(f"{place} cannot be opened: {error.strerror or error}")


def _make(above: int, name: str, place: str, group: int, stack: ExitStack) -> None:
    """Make the mailbox, or use the empty folder there. Raises RefusedError, OSError."""
    with _undoing() as undo:
        is_ours = True
        try:
            os.mkdir(name, 0o700, dir_fd=above)
            undo.callback(os.rmdir, name, dir_fd=above)
        except FileExistsError:
            is_ours = False
        try:
            top = _opened(stack, name, above)
        except OSError as error:
            raise _no_folder(name, above, place, error) from None
        if os.listdir(top):  # noqa: PTH208 - of a descriptor, not a path
            raise RefusedError(f"{place} exists and is not empty: name another place, or empty it")
        if not is_ours:
            before = os.fstat(top)
            undo.callback(os.fchmod, top, stat.S_IMODE(before.st_mode))
            undo.callback(os.fchown, top, -1, before.st_gid)
        for each in FOLDERS:
            os.mkdir(each, 0o700, dir_fd=top)
            undo.callback(os.rmdir, each, dir_fd=top)
            _give(_opened(stack, each, top), group)
        _give(top, group)
        os.fsync(above)


@contextmanager
def _undoing() -> Iterator[ExitStack]:
    """Do the callbacks of what is given, the last one first, if what follows fails."""
    with ExitStack() as undo:
        yield undo
        undo.pop_all()


def _give(folder: int, group: int) -> None:
    """Give an open folder its group and rights, for good."""
    os.fchown(folder, -1, group)
    os.fchmod(folder, MODE)  # after the owner: a new one takes the setgid bit away
    os.fsync(folder)


def _opened(stack: ExitStack, name: str, above: int | None) -> int:
    """Open a folder until the stack ends; never through a symbolic link. Raises OSError."""
    folder = os.open(name, _FOLDER, dir_fd=above)
    stack.callback(os.close, folder)
    return folder


def _report(made: Made, group: str) -> str:
    """Return what was made and what is left to do."""
    name = shlex.quote(group)
    lines = [
        f"Made the mailbox {made.path} with {', '.join(FOLDERS)}: group {group}, mode {MODE:o}.",
        "What is left to do:",
    ]
    for folder in made.shut:
        lines.append(f"  chmod o+x {shlex.quote(folder)}  (or its members cannot get there)")
    lines += [
        f"  adduser {SERVER_USER} {name}  (unless it is a member; then: systemctl restart "
        "cig-server)",
        f"  adduser USER {name}  (each reader or writer; it counts from the next login on)",
        f'  name "{made.path}" in a read or write block of mailboxes in /opt/cig/cig.conf, then: '
        "cig-cli reload",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main(prog_name="create_cig_maildir")
