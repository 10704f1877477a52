# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of cig.conf: which statement and block may stand where, and what it takes.

The reader, the messages about mistakes, the reference in docs/configuration.md and the man page
cig.conf(5) all go by this one table. In the texts for people words of the language stand in
backticks.
"""

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
    CALLS = "a number of calls, 1 to 1400"
    HOURS = "a number of hours, 1 to 168"


@dataclass(frozen=True, slots=True)
class Spec:
    """One statement or block.

    `keywords` open it, `arguments` follow; then, for `sides`, each of these words followed by a
    text, in either order. `once`: at most one in a block. `opens` is the context of a block's
    body. `lax_end`: a missing `;` is a warning and no error.

    For people: `usage`, `text` (a line), `details` (sentences), `default`, `example`, and `added`:
    the version in which this gateway added the statement to the manual's language, or nothing.
    """

    keywords: tuple[str, ...]
    arguments: tuple[Arg, ...]
    usage: str
    text: str
    sides: tuple[str, ...] = ()
    once: bool = False
    opens: Context | None = None
    lax_end: bool = False
    default: str = ""
    added: str = ""
    details: str = ""
    example: str = ""

    @property
    def keyword(self) -> str:
        """The keywords as written."""
        return " ".join(self.keywords)


_MAP = Spec(
    ("map",),
    (Arg.NAME,),
    "map NAME { … }",
    "a list of entries that pair SIP and tel URIs",
    opens=Context.MAP,
    details="The first entry that matches decides. A map does nothing by itself: an interface names"
    " it, before or after it in the file. No two maps may have the same name.",
    example="""\
map maptel2sip {
    entry pbx tel "tel:+8888;{ext}" sip "sip:{ext}@pbx.example.com";
}""",
)
_ENTRY = Spec(
    ("entry",),
    (Arg.NAME,),
    'entry NAME sip "SIP-URI" tel "TEL-URI";',
    "a SIP URI and a tel URI that stand for each other",
    sides=("sip", "tel"),
    details="The two sides stand in either order. One side is matched and the other one produced;"
    " which one depends on where the map is used. The name is for people: traces and warnings show"
    " it, and it need not be unique.",
    example="""\
entry reception
    sip "sip:100@pbx.example.com:5080;transport=tcp"
    tel "tel:+8888;0";""",
)
_TRANSLATE_MAP = Spec(
    ("translate_map",),
    (Arg.NAME,),
    "translate_map NAME { … }",
    "a list of rules for the addresses of text messages",
    opens=Context.TRANSLATE_MAP,
    details="The first rule that matches decides. No two translate_maps may have the same name; a"
    " map and a translate_map may.",
    example="""\
translate_map users {
    rule match "{number}@secure.example.com" translation "tel:+{number}";
}""",
)
_RULE = Spec(
    ("rule",),
    (),
    'rule match "TEXT" translation "TEXT";',
    "what an address in a text message becomes",
    sides=("match", "translation"),
    details="The two sides stand in either order; only `match` is ever matched. Upper and lower"
    " case differ, and spaces may stand in the texts. A `match` that begins with `tel:` is compared"
    " as tel URIs are: separators in the number do not count, and `w` after it is the same as `;`.",
    example='rule match "tel:+8888;{ext}" translation "{ext}@pbx.example.com";',
)
_INTERFACES = Spec(
    ("interfaces",),
    (),
    "interfaces { … }",
    "the two sides of the gateway",
    once=True,
    opens=Context.INTERFACES,
    details="Without it no call can be routed.",
    example="""\
interfaces {
    tel { extension map maptel2sip; }
    sip { extension map mapsip2tel; bind 192.168.1.1; }
}""",
)
_MAX_CALLS = Spec(
    ("max_calls",),
    (Arg.CALLS,),
    "max_calls NUMBER;",
    "how many calls there may be at once, 1 to 1400",
    once=True,
    default="1000",
    added="2.7.0",
    details="A call beyond them is refused, and the caller may try again.",
    example="max_calls 200;",
)
_TEL = Spec(
    ("tel",),
    (),
    "tel { … }",
    "the side of the secure domain",
    once=True,
    opens=Context.TEL,
    details="It has no `bind`: the local address is the one by which the host reaches the CRS.",
    example="tel { extension map maptel2sip; rtp_port_range 16384 24575; }",
)
_SIP = Spec(
    ("sip",),
    (),
    "sip { … }",
    "the side of the SIP network",
    once=True,
    opens=Context.SIP,
    example="sip { extension map mapsip2tel; bind 192.168.1.1; }",
)
_EXTENSION = Spec(
    ("extension", "map"),
    (Arg.MAP,),
    "extension map NAME;",
    "what may be dialled on this side, and what it becomes on the other",
    details="With several the maps are searched in the order of the statements. A side without any"
    " takes no calls.",
    example="extension map maptel2sip;",
)
_SOURCE = Spec(
    ("source", "map"),
    (Arg.MAP,),
    "source map NAME;",
    "how callers from the other side are shown on this side",
    default="the extension maps of this side, read backwards",
    details="With several the maps are searched in the order of the statements. Where there is one,"
    " the extension maps are not searched for callers.",
    example="source map srctel2sip;",
)
_RANGE = Spec(
    ("rtp_port_range",),
    (Arg.PORT, Arg.PORT),
    "rtp_port_range LOW HIGH;",
    "the local UDP ports for media, both ends included",
    once=True,
    default="16384 32767",
    details="LOW must be even. A call takes two ports of the sip side's range, RTP and RTCP, and"
    " one of the tel side's. Ranges on one address must not overlap.",
    example="rtp_port_range 24576 32767;",
)
_OVERRIDE = Spec(
    ("rtp_remote_addr_override",),
    (Arg.ADDRESS, Arg.ADDRESS),
    "rtp_remote_addr_override OLD NEW;",
    "sends media to the address NEW where the other end names OLD",
    details="For a CRS that stands next to the gateway and yet names its public address: one"
    " statement for each of its instances. The first one for an OLD counts. The port stays.",
    example="rtp_remote_addr_override 46.16.234.56 192.168.1.15;",
)
_BIND = Spec(
    ("bind",),
    (Arg.ADDRESS,),
    "bind ADDRESS;",
    "the local IP address for SIP and its media",
    once=True,
    lax_end=True,
    default="all addresses, with a warning",
    details="IPv4 or IPv6, without brackets; `0.0.0.0` is all of IPv4, `::` all of both. Its `;`"
    " may be missing, with a warning: the manual prints it so. A change needs a restart.",
    example="bind 192.168.1.1;",
)
_PORT = Spec(
    ("port",),
    (Arg.PORT,),
    "port NUMBER;",
    "the local SIP port, UDP and TCP",
    once=True,
    default="5060",
    added="2.7.0",
    details="A change needs a restart.",
    example="port 5062;",
)
_MESSAGING = Spec(
    ("messaging",),
    (Arg.BOOL,),
    "messaging BOOL;",
    "SIP text messages, `true` or `false`",
    once=True,
    default="false",
    details="With `true` they come and go as SIP MESSAGE (RFC 3428), plain text only, and the maps"
    " say from and to whom, as for calls. With `false` a MESSAGE is refused with 405.",
    example="messaging false;",
)
_MAILBOXES = Spec(
    ("mailboxes",),
    (),
    "mailboxes { … }",
    "the mailboxes for text messages",
    once=True,
    opens=Context.MAILBOXES,
    details="Another system reads and writes the messages there as files. They are not encrypted.",
    example="""\
mailboxes {
    write {
        path "/var/spool/cig/received";
        map_from translate_map users;
        map_to translate_map extensions;
    }
}""",
)
_RETRY_HOURS = Spec(
    ("retry_hours",),
    (Arg.HOURS,),
    "retry_hours NUMBER;",
    "how long a text that the network does not take is tried again, 1 to 168 hours",
    once=True,
    default="72",
    added="2.7.0",
    details="Then it goes to the folder `failed` of its mailbox, with the reason beside it.",
    example="retry_hours 24;",
)
_MAILBOX_DETAILS = "All three statements are needed in it. The block may be repeated."
_READ = Spec(
    ("read",),
    (),
    "read { … }",
    "a mailbox that is watched for messages to send",
    opens=Context.READ,
    details="Both headers of a message must be translated, each to a tel URI: From to one of the"
    " gateway's own, To to a secure user's. " + _MAILBOX_DETAILS,
    example="""\
read {
    path "/var/spool/cig/send";
    map_from translate_map extensions;
    map_to translate_map users;
}""",
)
_WRITE = Spec(
    ("write",),
    (),
    "write { … }",
    "a mailbox where received messages are put",
    opens=Context.WRITE,
    details="A message goes to every such mailbox whose two translate_maps match it. "
    + _MAILBOX_DETAILS,
    example="""\
write {
    path "/var/spool/cig/received";
    map_from translate_map users;
    map_to translate_map extensions;
}""",
)
_PATH = Spec(
    ("path",),
    (Arg.STRING,),
    'path "/FOLDER";',
    "the mailbox's folder, an absolute path",
    once=True,
    details="It holds the folders `new`, `cur` and `tmp`.",
    example='path "/var/spool/cig/send";',
)
_MAP_FROM = Spec(
    ("map_from", "translate_map"),
    (Arg.TRANSLATE_MAP,),
    "map_from translate_map NAME;",
    "translates the sender, between the source URI and the From header",
    once=True,
    details="In `read` from the header to the URI, in `write` from the URI to the header.",
    example="map_from translate_map users;",
)
_MAP_TO = Spec(
    ("map_to", "translate_map"),
    (Arg.TRANSLATE_MAP,),
    "map_to translate_map NAME;",
    "translates the recipient, between the target URI and the To header",
    once=True,
    details="In `read` from the header to the URI, in `write` from the URI to the header.",
    example="map_to translate_map users;",
)

STATEMENTS: Mapping[Context, tuple[Spec, ...]] = MappingProxyType(
    {
        Context.FILE: (_MAP, _TRANSLATE_MAP, _INTERFACES, _MAILBOXES),
        Context.MAP: (_ENTRY,),
        Context.TRANSLATE_MAP: (_RULE,),
        Context.INTERFACES: (_TEL, _SIP, _MAX_CALLS),
        Context.TEL: (_EXTENSION, _SOURCE, _RANGE, _OVERRIDE),
        Context.SIP: (_EXTENSION, _SOURCE, _BIND, _PORT, _MESSAGING, _RANGE, _OVERRIDE),
        Context.MAILBOXES: (_READ, _WRITE, _RETRY_HOURS),
        Context.READ: (_PATH, _MAP_FROM, _MAP_TO),
        Context.WRITE: (_PATH, _MAP_FROM, _MAP_TO),
    }
)
"""Every statement of the language, by the place where it may stand."""
