# SPDX-License-Identifier: GPL-3.0-or-later
"""From readings to the immutable Configuration, with every mistake of the file told at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypedDict, TypeVar

from cig_common.config.braces import rejoin
from cig_common.config.chains import build_chains
from cig_common.config.entries import Entries, EntryRun
from cig_common.config.errors import MAX_SHOWN
from cig_common.config.hints import address, calls, hours, port
from cig_common.config.host import Host
from cig_common.config.index import PatternIndex
from cig_common.config.lint import lint
from cig_common.config.lookup import undefined
from cig_common.config.model import (
    DEFAULT_MAX_CALLS,
    DEFAULT_PORT_RANGE,
    DEFAULT_RETRY_HOURS,
    DEFAULT_SIP_PORT,
    AddressOverride,
    Configuration,
    Mailbox,
    MailboxKind,
    MapUse,
    PortRange,
    Position,
    Rule,
    SipInterface,
    TelInterface,
    TranslateMap,
    UriMap,
)
from cig_common.config.notes import Notes
from cig_common.config.patterns import (
    Kind,
    Pattern,
    PatternError,
    compile_pattern,
    split_pattern,
)
from cig_common.config.reader import Reader, Reading
from cig_common.config.statements import Context
from cig_common.config.syntax import Word, parse

_Named = TypeVar("_Named", UriMap, TranslateMap)


class _Common(TypedDict):
    """The fields that both interfaces have."""

    extension_maps: tuple[MapUse, ...]
    source_maps: tuple[MapUse, ...]
    rtp_port_range: PortRange
    rtp_remote_addr_overrides: tuple[AddressOverride, ...]
    position: Position


def compile_text(text: str, filename: str, host: Host | None = None) -> Configuration:
    """Compile the text of a configuration file. Raises ConfigError, and nothing else.

    `host` answers what only the machine knows; None: warnings that need it are not looked for.
    """
    return _Compiler(Notes(filename, text)).file(text, host)


class _Compiler:
    """Compiles one file."""

    def __init__(self, notes: Notes) -> None:
        self._notes = notes
        self._reader = Reader(notes)
        self._maps: dict[str, UriMap] = {}
        self._translate_maps: dict[str, TranslateMap] = {}

    def file(self, text: str, host: Host | None) -> Configuration:
        size = len(text.rstrip())
        end = Word("", text.count("\n", 0, size) + 1, size - text.rfind("\n", 0, size))
        items = rejoin(parse(text), self._notes, end)
        readings = list(self._reader.read(items, Context.FILE))
        # Maps first: the manual has them on top, but nothing says that they must be.
        for reading in readings:
            if reading.spec.opens is Context.MAP:
                self._keep(self._maps, self._map(reading), reading)
            elif reading.spec.opens is Context.TRANSLATE_MAP:
                self._keep(self._translate_maps, self._translate_map(reading), reading)
        tel, sip = TelInterface(), SipInterface()
        mailboxes: list[Mailbox] = []
        max_calls, max_calls_position = DEFAULT_MAX_CALLS, None
        retry_hours = DEFAULT_RETRY_HOURS
        for reading in readings:
            if reading.spec.opens is Context.MAILBOXES:
                mailboxes, retry_hours = self._mailboxes(reading)
            elif reading.spec.opens is Context.INTERFACES:
                for block in self._reader.read(reading.items, Context.INTERFACES):
                    if block.spec.opens is Context.TEL:
                        tel = self._tel(block)
                    elif block.spec.opens is Context.SIP:
                        sip = self._sip(block)
                    else:
                        max_calls = calls(block.arguments[0]) or DEFAULT_MAX_CALLS
                        max_calls_position = block.position
        if self._notes.mistakes:
            # No warnings: what is left of the file would give many that are none.
            raise self._notes.refusal()
        config = Configuration(
            self._notes.filename,
            build_chains(tel, sip),
            tuple(self._maps.values()),
            tuple(self._translate_maps.values()),
            tel,
            sip,
            tuple(mailboxes),
            max_calls,
            max_calls_position,
            retry_hours,
        )
        opens = {reading.spec.opens: reading.position for reading in readings}
        lint(config, self._notes, interfaces=opens.get(Context.INTERFACES), host=host)
        warnings = sorted(self._notes.warnings, key=lambda warning: (warning.line, warning.column))
        return replace(
            config, warnings=tuple(warnings), untold_warnings=self._notes.untold_warnings
        )

    def _keep(self, maps: dict[str, _Named], made: _Named, reading: Reading) -> None:
        first = maps.setdefault(made.name, made)
        if first is not made:
            message = f"{reading.spec.keyword} `{made.name}` is defined a second time"
            hint = f"the first is in line {first.position.line}"
            self._notes.error(reading.arguments[0], message, hint)

    def _map(self, reading: Reading) -> UriMap:
        runs = [item for item in reading.items if isinstance(item, EntryRun)]
        others = tuple(item for item in reading.items if not isinstance(item, EntryRun))
        # An entry outside the runs is malformed in some way, which is noted: no map comes of it.
        for entry in self._reader.read(others, Context.MAP):
            for side, kind in (("sip", Kind.SIP), ("tel", Kind.TEL)):
                self._pattern(entry.sides[side], kind)
        entries = Entries.read(runs, self._refuse)
        return UriMap(reading.arguments[0].text, entries, _place(reading.arguments[0]))

    def _translate_map(self, reading: Reading) -> TranslateMap:
        rules = []
        for rule in self._reader.read(reading.items, Context.TRANSLATE_MAP):
            match = self._pattern(rule.sides["match"], Kind.TEXT)
            translation = self._pattern(rule.sides["translation"], Kind.TEXT)
            if match is not None and translation is not None:
                if match.text.startswith("tel:"):
                    match = split_pattern(match.text, Kind.TEL, match.line, match.column)
                rules.append(Rule(match, translation, rule.position))
        name = reading.arguments[0]
        index = PatternIndex.build(rule.match.literals for rule in rules)
        return TranslateMap(name.text, tuple(rules), _place(name), index)

    def _pattern(self, word: Word, kind: Kind) -> Pattern | None:
        try:
            return compile_pattern(word.text, kind, word.line, word.column)
        except PatternError as error:
            self._refuse(Position(word.line, word.column), error)
            return None

    def _refuse(self, start: Position, error: PatternError) -> None:
        """Note what is wrong in the pattern that begins at `start`."""
        place = Position(start.line, start.column + error.offset)
        self._notes.error(place, error.message, error.hint)

    def _tel(self, block: Reading) -> TelInterface:
        readings = list(self._reader.read(block.items, Context.TEL))
        return TelInterface(**self._common(block, readings))

    def _sip(self, block: Reading) -> SipInterface:
        readings = list(self._reader.read(block.items, Context.SIP))
        by_keyword = {reading.spec.keyword: reading for reading in readings}
        bind, number = by_keyword.get("bind"), by_keyword.get("port")
        messaging = by_keyword.get("messaging")
        return SipInterface(
            **self._common(block, readings),
            bind=None if bind is None else address(bind.arguments[0]),
            port=(number and port(number.arguments[0])) or DEFAULT_SIP_PORT,
            messaging=messaging is not None and messaging.arguments[0].text == "true",
            bind_position=None if bind is None else bind.position,
            port_position=None if number is None else number.position,
        )

    def _common(self, block: Reading, readings: Sequence[Reading]) -> _Common:
        uses: dict[str, list[MapUse]] = {"extension map": [], "source map": []}
        ports = DEFAULT_PORT_RANGE
        overrides: list[AddressOverride] = []
        for reading in readings:
            match reading.spec.keyword:
                case "extension map" | "source map" as keyword:
                    found = self._named(self._maps, reading.arguments[0], "map")
                    if found is not None:
                        uses[keyword].append(MapUse(found, _place(reading.arguments[0])))
                case "rtp_port_range":
                    ports = self._port_range(reading)
                case "rtp_remote_addr_override":
                    old, new = (address(word) for word in reading.arguments)
                    if old is not None and new is not None:
                        overrides.append(AddressOverride(old, new, reading.position))
        return {
            "extension_maps": tuple(uses["extension map"]),
            "source_maps": tuple(uses["source map"]),
            "rtp_port_range": ports,
            "rtp_remote_addr_overrides": tuple(overrides),
            "position": block.position,
        }

    def _port_range(self, reading: Reading) -> PortRange:
        low_word, high_word = reading.arguments
        low, high = port(low_word) or 0, port(high_word) or 0
        if low > high:
            hint = "write the lower port first"
            self._notes.error(low_word, f"port {low} is above port {high}", hint)
        elif low % 2:
            hint = f"write {low + 1}: RTP takes an even port and RTCP the next one (RFC 3550)"
            self._notes.error(low_word, f"the range begins at the odd port {low}", hint)
        elif low == high:
            hint = "a call needs two ports, one for RTP and one for RTCP"
            self._notes.error(high_word, "the range holds one port only", hint)
        return PortRange(low, high, reading.position)

    def _named(self, maps: dict[str, _Named], word: Word, what: str) -> _Named | None:
        found = maps.get(word.text)
        if found is None:
            others = self._translate_maps if maps is self._maps else self._maps
            if word.text not in self._notes.doubtful:
                # Looked for only where it will be seen: it takes a look at every map.
                shown = self._notes.mistakes < MAX_SHOWN
                hint = undefined(word.text, what, maps, others) if shown else None
                self._notes.error(word, f"{what} `{word.text}` is not defined", hint)
        return found

    def _mailboxes(self, reading: Reading) -> tuple[list[Mailbox], int]:
        """Return the mailboxes of the block, and for how many hours their texts are tried."""
        made, retry_hours = [], DEFAULT_RETRY_HOURS
        for item in self._reader.read(reading.items, Context.MAILBOXES):
            if item.spec.opens is None:
                retry_hours = hours(item.arguments[0]) or DEFAULT_RETRY_HOURS
            elif (mailbox := self._mailbox(item)) is not None:
                made.append(mailbox)
        return made, retry_hours

    def _mailbox(self, block: Reading) -> Mailbox | None:
        context = block.spec.opens or Context.READ
        before = self._notes.mistakes
        given = {
            reading.spec.keywords[0]: reading.arguments[0]
            for reading in self._reader.read(block.items, context)
        }
        known = {
            key: self._named(self._translate_maps, given[key], "translate_map")
            for key in ("map_from", "map_to")
            if key in given
        }
        missing = [key for key in ("path", "map_from", "map_to") if key not in given]
        if missing:
            # Not where a statement of the block was wrong: that was probably the missing one.
            if self._notes.mistakes == before:
                hint = "a mailbox needs `path`, `map_from` and `map_to`"
                message = f"`{missing[0]}` is missing in this `{context.value}` block"
                self._notes.error(block.position, message, hint)
            return None
        map_from, map_to = known["map_from"], known["map_to"]
        if map_from is None or map_to is None:
            return None
        kind, path = MailboxKind(context.value), given["path"]
        if not path.text.startswith("/") or not path.text.isprintable():
            hint = 'such as "/var/spool/cig/in"'
            self._notes.error(path, "a mailbox path must be absolute", hint)
        places = (_place(path), _place(given["map_from"]), _place(given["map_to"]))
        return Mailbox(kind, path.text, map_from, map_to, block.position, *places)


def _place(word: Word) -> Position:
    return Position(word.line, word.column)
