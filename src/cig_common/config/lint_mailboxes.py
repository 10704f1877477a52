# SPDX-License-Identifier: GPL-3.0-or-later
"""Warnings about mailboxes.

Folders that cannot serve as one (W114), maps that never match (W115), two in one folder (W116).

The manual, Text message interface: a mailbox has the folders `new`, `cur` and `tmp`, and its
readers and writers are members of the group `cigmail`. Messages lie in it unencrypted.
"""

from __future__ import annotations

import posixpath
import shlex
from collections.abc import Iterable, Iterator

from cig_common.config.host import Found, Host, Stands
from cig_common.config.lint_tel import may_be_tel
from cig_common.config.model import (
    Configuration,
    Mailbox,
    MailboxKind,
    Rule,
)
from cig_common.config.notes import Notes
from cig_common.config.patterns import Pattern

GROUP = "cigmail"
"""The group of those who read and write messages."""
CREATE = "/opt/cig/bin/create_cig_maildir"
"""The script that makes a mailbox; it takes the absolute path."""

_TOP = ""
_SUBFOLDERS = ("new", "cur", "tmp")
_GROUP_PASS, _GROUP_ALL = 0o010, 0o070
_OTHERS_PASS, _OTHERS_ALL = 0o001, 0o007


def lint_mailboxes(config: Configuration, notes: Notes, host: Host | None) -> None:
    """Add the warnings about mailboxes. Without `host` no folder is looked at."""
    for mailbox in config.mailboxes:
        # A path that is not absolute is an error of its own.
        if host is not None and mailbox.path.startswith("/"):
            for message, hint in _folder_faults(mailbox.path, host):
                notes.warn("W114", mailbox.path_position, message, hint)
        _maps(mailbox, notes)
    _shared_folders(config.mailboxes, notes)


def _folder_faults(path: str, host: Host) -> Iterator[tuple[str, str]]:
    """Yield what keeps the folder at `path` from serving as a mailbox, and what to do."""
    make = f"make it with: {CREATE} {shlex.quote(path)}"
    top = host.look(path)
    match top.stands:
        case Stands.NOTHING:
            yield "this folder does not exist", make
        case Stands.OTHER:
            yield "this is no folder", "name a folder of its own for this mailbox"
        case Stands.HIDDEN:
            yield _hidden(host)
        case Stands.FOLDER:
            inner = {name: host.look(f"{path.rstrip('/')}/{name}") for name in _SUBFOLDERS}
            lacking = [name for name, at in inner.items() if at.stands is not Stands.FOLDER]
            if any(at.stands is Stands.HIDDEN for at in inner.values()):
                yield _hidden(host)
            elif lacking:
                yield f"this folder has no {_listed(lacking)} in it", make
            else:
                yield from _rights(shlex.quote(path), {_TOP: top, **inner})


def _hidden(host: Host) -> tuple[str, str]:
    user = host.user()
    message = f"user `{user}` may not look into this folder"
    return message, f"let a member of the group look, or run: adduser {user} {GROUP}"


def _rights(path: str, folders: dict[str, Found]) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with the rights of the folders of a mailbox that is complete."""
    top = folders[_TOP]
    strange = [name for name, at in folders.items() if at.group != GROUP]
    if strange:
        message = f"group `{GROUP}` does not own {_listed(strange)}"
        yield message, f"run: chgrp -R {GROUP} {path}"
    shut = [
        name
        for name, at in folders.items()
        if (at.mode & _GROUP_ALL != _GROUP_ALL if name else not at.mode & _GROUP_PASS)
    ]
    if shut:
        modes = _listed(dict.fromkeys(f"{folders[name].mode:04o}" for name in shut))
        message = f"mode {modes} keeps the members of `{GROUP}` out of {_listed(shut)}"
        yield message, f"run: chmod -R g+rwX {path}"
    if top.mode & _OTHERS_PASS and any(
        at.mode & _OTHERS_ALL for name, at in folders.items() if name
    ):
        message = "every user of this machine can get at the messages, which are not encrypted"
        yield f"{message}: mode `{top.mode:04o}`", f"run: chmod o= {path}"


def _listed(names: Iterable[str]) -> str:
    """Return `a`, `b` and `c`."""
    *first, last = [f"`{name}`" if name else "this folder" for name in names]
    return f"{', '.join(first)} and {last}" if first else last


def _shared_folders(mailboxes: Iterable[Mailbox], notes: Notes) -> None:
    """Warn where a folder that is watched belongs to another mailbox too."""
    firsts: dict[str, Mailbox] = {}
    for mailbox in mailboxes:
        first = firsts.setdefault(posixpath.normpath(mailbox.path), mailbox)
        if first is mailbox or MailboxKind.READ not in (first.kind, mailbox.kind):
            continue
        line = first.position.line
        message = f"the `{first.kind}` mailbox in line {line} has the same folder"
        if first.kind is mailbox.kind:
            message += ": only one of the two would send what is put there"
        else:
            message += ": what is received there would be sent again"
        notes.warn("W116", mailbox.path_position, message, "give each its own folder")


def _maps(mailbox: Mailbox, notes: Notes) -> None:
    """Warn where one of a mailbox's two maps can match nothing, so that the two never both do."""
    for made, place in (
        (mailbox.map_from, mailbox.map_from_position),
        (mailbox.map_to, mailbox.map_to_position),
    ):
        is_read = mailbox.kind is MailboxKind.READ
        if any(_serves_read(rule) if is_read else _serves_write(rule) for rule in made.rules):
            continue
        told = f"translate_map `{made.name}`"
        if not made.rules:
            what, hint = f"{told} has no rule", "add a rule to it"
        elif is_read:
            what = f"no `translation` of {told} can give a tel: URI"
            hint = 'a message is sent from and to tel: URIs, such as translation "tel:+{number}"'
        else:
            what = f"no `match` of {told} can meet a tel: URI"
            hint = 'a message is received from and for tel: URIs, such as match "tel:+{number}"'
        does = "sends" if is_read else "gets"
        notes.warn("W115", place, f"{what}: this mailbox never {does} a message", hint)


def _serves_read(rule: Rule) -> bool:
    """Tell whether some header value becomes a tel URI (a value has neither `<` nor `>`)."""
    return not _bracketed(rule.match) and may_be_tel(rule.translation, rule.match.names)


def _serves_write(rule: Rule) -> bool:
    """Tell whether some tel URI becomes a header value."""
    return not _bracketed(rule.translation) and may_be_tel(rule.match, rule.match.names)


def _bracketed(pattern: Pattern) -> bool:
    return any("<" in literal or ">" in literal for literal in pattern.literals)
