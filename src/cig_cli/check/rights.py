# SPDX-License-Identifier: GPL-3.0-or-later
"""Users, groups, and who may do what with the gateway's files and folders.

Rights are worked out from mode, owner and groups of a path and of the folders above it, for the
users as whom the services run, who need not be the caller. Access lists (ACL) are not looked at.
"""

from __future__ import annotations

import grp
import os
import pwd
import shlex
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cig_cli.check.row import AS_ROOT, Row, fail, ok, skip, warn
from cig_common.config import Configuration
from cig_common.config.lint_mailboxes import GROUP as MAIL_GROUP

RELAY_USER, SERVER_USER, GROUP = "ciguser", "cigserver", "cig"
RUN_FOLDER, LOG_FOLDER = Path("/run/cig"), Path("/var/log/cig")
KEYSTORE = ".ks.tel:*"

_READ, _WRITE, _PASS = 4, 2, 1
_OWN_FOLDER, _OWN_FILE = 0o700, 0o600
_BAD_MAILBOX = "W114"


@dataclass(frozen=True, slots=True)
class Person:
    """A user, with all groups that it is in."""

    name: str
    uid: int
    groups: frozenset[int]

    @staticmethod
    def named(name: str) -> Person | None:
        """Look a user up; None if there is none of this name."""
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            return None
        groups = os.getgrouplist(name, entry.pw_gid)
        return Person(name, entry.pw_uid, frozenset(groups))

    @staticmethod
    def caller() -> Person:
        """Give the user who runs this program."""
        uid = os.geteuid()
        try:
            name = pwd.getpwuid(uid).pw_name
        except KeyError:
            name = f"uid {uid}"
        return Person(name, uid, frozenset((*os.getgroups(), os.getegid())))


@dataclass(frozen=True, slots=True)
class People:
    """As whom the two services run: the users of the package, or else the caller."""

    relay: Person
    server: Person

    @staticmethod
    def look() -> People:
        """Find them on this host."""
        caller = Person.caller()
        return People(Person.named(RELAY_USER) or caller, Person.named(SERVER_USER) or caller)


def user_rows(config: Configuration | None) -> Iterator[Row]:
    """Yield the rows about users and groups that the package makes."""
    users = [name for name in (RELAY_USER, SERVER_USER) if Person.named(name) is None]
    if users:
        advice = f"install the package again, or run: useradd -r -U -G {GROUP} {users[0]}"
        yield fail("users", f"there is no user {' and no user '.join(users)}", advice)
    else:
        yield ok("users", f"{RELAY_USER}, {SERVER_USER}")
    groups = [name for name in (GROUP, MAIL_GROUP) if not _has_group(name)]
    if not groups:
        yield ok("groups", f"{GROUP}, {MAIL_GROUP}")
        return
    found = f"there is no group {' and no group '.join(groups)}"
    advice = f"install the package again, or run: groupadd -r {groups[0]}"
    harmless = groups == [MAIL_GROUP] and config is not None and not config.mailboxes
    yield (warn if harmless else fail)("groups", found, advice)


def file_rows(config: Path, userdata: Path, people: People) -> Iterator[Row]:
    """Yield the rows about cig.conf, userdata, the keystore and the services' own folders."""
    yield config_file(config, people)
    folder = userdata_folder(userdata, people.relay)
    yield folder
    if folder.state == "ok":
        yield keystore(userdata, people.relay)
    yield service_folder("/run/cig", RUN_FOLDER, people, "systemd-tmpfiles --create cig.conf")
    made = f"install -d -o {RELAY_USER} -g {GROUP} -m 2770 {LOG_FOLDER}"
    yield service_folder("/var/log/cig", LOG_FOLDER, people, made)


def config_file(path: Path, people: People) -> Row:
    """Look whether both services may read the configuration."""
    try:
        shut = [person.name for person in _each(people) if not may(person, path, _READ)]
    except FileNotFoundError:
        return fail("cig.conf", f"there is no {path}", "write it, or name another: --config")
    except OSError as error:
        return skip("cig.conf", f"{path}: {error.strerror}", AS_ROOT)
    if shut:
        advice = f"run: chgrp {GROUP} {_word(path)} && chmod 640 {_word(path)}"
        return fail("cig.conf", f"{' and '.join(shut)} may not read {path}", advice)
    return ok("cig.conf", f"{path} is readable")


def userdata_folder(path: Path, relay: Person) -> Row:
    """Look whether userdata is the relay's, and nobody else's."""
    make = f"install -d -o {relay.name} -m 700 {_word(path)}"
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return fail("userdata", f"there is no {path}", f"run: {make}; or name another: --userdata")
    except OSError as error:
        return skip("userdata", f"{path}: {error.strerror}", AS_ROOT)
    return _private("userdata", path, status, relay, folder=True)


def keystore(userdata: Path, relay: Person) -> Row:
    """Look at the keystores' owner and mode."""
    try:
        paths = sorted(userdata.glob(KEYSTORE)) if os.access(userdata, os.R_OK) else None
        if paths is None:
            return skip("keystore", f"only {relay.name} and root may look", AS_ROOT)
        paths = [path for path in paths if path.suffix not in (".bak", ".old")]
        if not paths:
            return warn("keystore", "there are no keys yet", "run: cig-cli set-key")
        rows = [_private("keystore", path, path.lstat(), relay, folder=False) for path in paths]
    except OSError as error:
        return skip("keystore", f"{userdata}: {error.strerror}", AS_ROOT)
    return max(rows, key=lambda row: row.state == "fail")


def service_folder(name: str, path: Path, people: People, make: str) -> Row:
    """Look whether both services may write in a folder."""
    try:
        if not stat.S_ISDIR(path.stat().st_mode):
            return fail(name, "this is no folder", f"remove it, then run: {make}")
        shut = [one.name for one in _each(people) if not may(one, path, _WRITE | _PASS)]
    except FileNotFoundError:
        return fail(name, "there is no such folder", f"run: {make}")
    except OSError as error:
        return skip(name, f"{error.strerror}", AS_ROOT)
    if shut:
        advice = f"run: chgrp {GROUP} {path} && chmod g+rwx {path}"
        return fail(name, f"{' and '.join(shut)} may not write there", advice)
    return ok(name, "both services may write there")


def mailbox_row(config: Configuration) -> Row:
    """Give what the reading of cig.conf found about the mailboxes' folders."""
    if not config.mailboxes:
        return ok("mailboxes", "cig.conf has none")
    bad = [one for one in config.warnings if one.code == _BAD_MAILBOX]
    if bad:
        more = f" ({len(bad) - 1} more: cig-cli read)" if len(bad) > 1 else ""
        return warn("mailboxes", f"line {bad[0].line}: {bad[0].message}{more}", bad[0].hint or "")
    return ok("mailboxes", f"{len(config.mailboxes)} folders serve")


def may(person: Person, path: Path, want: int) -> bool:
    """Tell whether somebody may read, write or pass a path. Raises OSError."""
    path = path.resolve(strict=True)
    if person.uid == 0:
        return True
    above = all(_allows(person, folder.stat(), _PASS) for folder in path.parents)
    return above and _allows(person, path.stat(), want)


def _allows(person: Person, status: os.stat_result, want: int) -> bool:
    mode = stat.S_IMODE(status.st_mode)
    if status.st_uid == person.uid:
        mode >>= 6
    elif status.st_gid in person.groups:
        mode >>= 3
    return mode & want == want


def _private(name: str, path: Path, status: os.stat_result, owner: Person, *, folder: bool) -> Row:
    """Judge a folder or file that must be its owner's alone."""
    mode, best = stat.S_IMODE(status.st_mode), _OWN_FOLDER if folder else _OWN_FILE
    if (stat.S_ISDIR if folder else stat.S_ISREG)(status.st_mode) is False:
        return fail(name, f"{path} is no {'folder' if folder else 'file'}", "move it away")
    if status.st_uid != owner.uid:
        advice = f"run: chown {'-R ' if folder else ''}{owner.name}: {_word(path)}"
        return fail(name, f"{path} does not belong to {owner.name}", advice)
    if mode & ~best or mode & best != best:
        advice = f"run: chmod {best:o} {_word(path)}"
        grave = fail if mode & 0o022 or not folder or mode & best != best else warn
        return grave(name, f"{path} has mode {mode:04o}", advice)
    return ok(name, f"{path}, of {owner.name} alone")


def _each(people: People) -> tuple[Person, ...]:
    same = people.relay.uid == people.server.uid
    return (people.relay,) if same else (people.relay, people.server)


def _has_group(name: str) -> bool:
    try:
        grp.getgrnam(name)
    except KeyError:
        return False
    return True


def _word(path: Path) -> str:
    return shlex.quote(str(path))
