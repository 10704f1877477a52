# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of cig.conf: which statement and block may stand where, and what it takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType


class Context(Enum):
    """A place where statements stand: the file itself or a kind of block."""

    FILE = "the file"
    MAP = "map"
    TRANSLATE_MAP = "translate_map"
    INTERFACES = "interfaces"
    TEL = "tel"
    SIP = "sip"
    MAILBOXES = "mailboxes"
    READ = "read"
    WRITE = "write"


class Arg(Enum):
    """What a word after the keywords must be; the value says it in an error message."""

    NAME = "a name"
    MAP = "the name of a map"
    TRANSLATE_MAP = "the name of a translate_map"
    STRING = 'a text in quotes "…"'
    ADDRESS = "an IP address"
    PORT = "a port number, 1 to 65535"
    BOOL = "true or false"


@dataclass(frozen=True, slots=True)
class Spec:
    """One statement or block.

    `keywords` open it, `arguments` follow; then, for `sides`, each of these words followed by a
    text, in either order. `once`: at most one in a block. `opens` is the context of a block's
    body. `lax_end`: a missing `;` is a warning and no error. `usage` and `text` are for people.
    """

    keywords: tuple[str, ...]
    arguments: tuple[Arg, ...]
    usage: str
    text: str
    sides: tuple[str, ...] = ()
    once: bool = False
    opens: Context | None = None
    lax_end: bool = False

    @property
    def keyword(self) -> str:
        """The keywords as written."""
        return " ".join(self.keywords)


def _block(context: Context, keyword: str, *arguments: Arg, once: bool, text: str) -> Spec:
    usage = " ".join([keyword, *("NAME" for _ in arguments), "{ … }"])
    return Spec((keyword,), arguments, usage, text, once=once, opens=context)


_EXTENSION = Spec(
    ("extension", "map"),
    (Arg.MAP,),
    "extension map NAME;",
    "what may be dialled on this interface, and what it becomes on the other",
)
_SOURCE = Spec(
    ("source", "map"),
    (Arg.MAP,),
    "source map NAME;",
    "how callers are shown on this interface; without one its extension maps are read backwards",
)
_RANGE = Spec(
    ("rtp_port_range",),
    (Arg.PORT, Arg.PORT),
    "rtp_port_range LOW HIGH;",
    "the UDP ports for media, both included (default 16384 32767)",
    once=True,
)
_OVERRIDE = Spec(
    ("rtp_remote_addr_override",),
    (Arg.ADDRESS, Arg.ADDRESS),
    "rtp_remote_addr_override OLD NEW;",
    "send media to NEW where the other side names OLD",
)
_BIND = Spec(
    ("bind",),
    (Arg.ADDRESS,),
    "bind ADDRESS;",
    "the local address for SIP and its media (default: all addresses)",
    once=True,
    lax_end=True,
)
_PORT = Spec(("port",), (Arg.PORT,), "port NUMBER;", "the local SIP port (default 5060)", once=True)
_MESSAGING = Spec(
    ("messaging",), (Arg.BOOL,), "messaging BOOL;", "SIP text messages (default false)", once=True
)
_ENTRY = Spec(
    ("entry",),
    (Arg.NAME,),
    'entry NAME sip "SIP-URI" tel "TEL-URI";',
    "a SIP URI and a tel URI that stand for each other",
    sides=("sip", "tel"),
)
_RULE = Spec(
    ("rule",),
    (),
    'rule match "TEXT" translation "TEXT";',
    "what an address in a message becomes",
    sides=("match", "translation"),
)
_PATH = Spec(("path",), (Arg.STRING,), 'path "/FOLDER";', "the mailbox's folder", once=True)
_MAP_FROM = Spec(
    ("map_from", "translate_map"),
    (Arg.TRANSLATE_MAP,),
    "map_from translate_map NAME;",
    "between the source URI and the From header",
    once=True,
)
_MAP_TO = Spec(
    ("map_to", "translate_map"),
    (Arg.TRANSLATE_MAP,),
    "map_to translate_map NAME;",
    "between the target URI and the To header",
    once=True,
)

STATEMENTS: Mapping[Context, tuple[Spec, ...]] = MappingProxyType(
    {
        Context.FILE: (
            _block(Context.MAP, "map", Arg.NAME, once=False, text="SIP and tel URIs, paired"),
            _block(
                Context.TRANSLATE_MAP,
                "translate_map",
                Arg.NAME,
                once=False,
                text="rules for the addresses of text messages",
            ),
            _block(Context.INTERFACES, "interfaces", once=True, text="the two interfaces"),
            _block(Context.MAILBOXES, "mailboxes", once=True, text="the mailboxes"),
        ),
        Context.MAP: (_ENTRY,),
        Context.TRANSLATE_MAP: (_RULE,),
        Context.INTERFACES: (
            _block(Context.TEL, "tel", once=True, text="towards the secure domain"),
            _block(Context.SIP, "sip", once=True, text="towards the SIP network"),
        ),
        Context.TEL: (_EXTENSION, _SOURCE, _RANGE, _OVERRIDE),
        Context.SIP: (_EXTENSION, _SOURCE, _BIND, _PORT, _MESSAGING, _RANGE, _OVERRIDE),
        Context.MAILBOXES: (
            _block(Context.READ, "read", once=False, text="watched for messages to send"),
            _block(Context.WRITE, "write", once=False, text="where received messages are put"),
        ),
        Context.READ: (_PATH, _MAP_FROM, _MAP_TO),
        Context.WRITE: (_PATH, _MAP_FROM, _MAP_TO),
    }
)
"""Every statement of the language, by the place where it may stand."""
