# SPDX-License-Identifier: GPL-3.0-or-later
"""What must hold for any cig.conf whatever: the one function that all the fuzzing goes through."""

from contextlib import suppress
from pathlib import Path

from cig_common.config import ConfigError, Configuration, Diagnostic, Interface, load, loads
from cig_common.config.errors import MAX_SHOWN
from cig_common.config.routing import RouteRejected, route

MAX_WIDTH = 500
MAX_ROUTED = 20

ASKED = (
    (Interface.SIP, "sip:94670123456@secure.example.com;user=phone", "sip:101@pbx.example.com"),
    (Interface.SIP, "SIP:@h", "sip:"),
    (Interface.TEL, "tel:+8888;101", "tel:+46-70 1"),
    (Interface.TEL, "tel:+8888w1", "tel:+46701234567"),
)


def check(octets: bytes, path: Path) -> None:
    """Load a file of these octets, written to `path`; raise AssertionError if all is not well.

    Nothing but ConfigError may come out, what is told must be fit to be shown and point into the
    file, and what loads must be fit to be used.
    """
    path.write_bytes(octets)
    try:
        config = load(path, host=None)
    except ConfigError as refused:
        assert refused.problems
        check_order(refused.problems)
        shown = str(refused)
        assert shown.count("\n") <= 4 * MAX_SHOWN + 1
        told = (*refused.problems, *refused.warnings)
    else:
        check_use(config, octets)
        told = config.warnings
    lines = octets.decode("utf-8-sig", "replace").split("\n")
    for diagnostic in told:
        check_told(diagnostic, lines)


def check_order(told: tuple[Diagnostic, ...]) -> None:
    """Check that diagnostics stand in the order of the file."""
    places = [(diagnostic.line, diagnostic.column) for diagnostic in told]
    assert places == sorted(places)


def check_told(diagnostic: Diagnostic, lines: list[str]) -> None:
    """Check that a diagnostic points into the file and can be shown on any terminal."""
    text = diagnostic.render()
    shown = text.split("\n")
    # The first line has the path in it, of which nothing is known.
    assert all(line.isprintable() for line in shown)
    assert max(len(line) for line in shown) <= MAX_WIDTH + len(diagnostic.filename)
    if diagnostic.line == 0:
        return
    assert 1 <= diagnostic.line <= len(lines), text
    line = lines[diagnostic.line - 1]
    assert 1 <= diagnostic.column <= len(line) + 1, text
    assert diagnostic.source in line
    if len(shown) > 2 and shown[2].strip() == "^":
        assert shown[2].index("^") <= MAX_WIDTH


def check_use(config: Configuration, octets: bytes) -> None:
    """Check that a configuration can be used and is the same when it is read again."""
    check_order(config.warnings)
    again = loads(octets.decode("utf-8-sig"), config.filename)
    assert again == config
    for uri_map in config.maps:
        for entry, texts in zip(uri_map.entries, uri_map.entries.texts(), strict=True):
            assert (entry.sip.text, entry.tel.text) == texts
    for interface, to_uri, from_uri in ASKED:
        ask(config, interface, to_uri, from_uri)
    for entry in [entry for uri_map in config.maps for entry in uri_map.entries[:MAX_ROUTED]]:
        sip, tel = (
            pattern.substitute(dict.fromkeys(pattern.names, "5"))
            for pattern in (entry.sip, entry.tel)
        )
        ask(config, Interface.SIP, sip, sip)
        ask(config, Interface.TEL, tel, tel)


def ask(config: Configuration, interface: Interface, to_uri: str, from_uri: str) -> None:
    """Route a call; that it is rejected is one of the answers."""
    with suppress(RouteRejected):
        route(config, interface, to_uri, from_uri)
