# SPDX-License-Identifier: GPL-3.0-or-later
"""etc/cig.conf, the configuration that is installed: it is right, and so is what it switches off.

In it `//` with a space begins a comment, `//` right before a statement switches that off; four
spaces are the indentation of a line in a block that is switched off.
"""

import re
from pathlib import Path

import pytest

from cig_common.config import Configuration, Interface, MailboxKind, load, loads
from cig_common.config.patterns import Kind, subject
from cig_common.config.routing import route
from cig_common.config.statements import STATEMENTS

INSTALLED = Path(__file__).resolve().parents[4] / "etc" / "cig.conf"
TEXT = INSTALLED.read_text("utf-8")
ALL_ON = re.sub(r"^( *)//(?=\S| {4})", r"\1", TEXT, flags=re.MULTILINE)


@pytest.fixture(params=["as installed", "all switched on"])
def config(request: pytest.FixtureRequest) -> Configuration:
    return load(INSTALLED) if request.param == "as installed" else loads(ALL_ON)


def test_it_says_whose_configuration_it_is() -> None:
    first = TEXT.splitlines()[0]
    assert first == "// Cryptify Interconnect Gateway main configuration file."


def test_it_loads_without_a_warning(config: Configuration) -> None:
    assert config.warnings == ()


def test_calls_reach_both_sides(config: Configuration) -> None:
    for dialled in ("sip:+4670123456@gw:5060", "sip:4670123456@10.0.0.2;user=phone"):
        found = route(config, Interface.SIP, dialled, "sip:101@10.0.0.1")
        assert (found.to_uri, found.from_uri) == ("tel:+4670123456", "tel:+8888;101")
    found = route(config, Interface.TEL, "tel:+8888w101", "tel:+4670123456")
    assert (found.to_uri, found.from_uri) == (
        "sip:101@pbx.example.com",
        "sip:4670123456@secure.example.com",
    )


def test_the_ranges_of_ports_are_apart(config: Configuration) -> None:
    tel, sip = config.tel.rtp_port_range, config.sip.rtp_port_range
    assert tel.high < sip.low


def test_every_statement_is_in_it() -> None:
    for specs in STATEMENTS.values():
        for spec in specs:
            assert re.search(rf"^ *{spec.keyword}\b", ALL_ON, re.MULTILINE), spec.keyword


def test_what_is_switched_on_is_used() -> None:
    config = loads(ALL_ON)
    assert [box.kind for box in config.mailboxes] == [MailboxKind.READ, MailboxKind.WRITE]
    for interface in Interface:
        assert len(config.interface(interface).rtp_remote_addr_overrides) == 1


@pytest.mark.parametrize(
    ("box", "sender", "recipient", "made"),
    [
        (
            0,
            "sip:101@pbx.example.com",
            "sip:4670123456@secure.example.com",
            ["tel:+8888;101", "tel:+4670123456"],
        ),
        (
            1,
            "tel:+4670123456",
            "tel:+8888;101",
            ["sip:4670123456@secure.example.com", "sip:101@pbx.example.com"],
        ),
    ],
)
def test_mailboxes_translate(box: int, sender: str, recipient: str, made: list[str]) -> None:
    mailbox = loads(ALL_ON).mailboxes[box]
    translated = []
    for rules, text in ((mailbox.map_from, sender), (mailbox.map_to, recipient)):
        (rule,) = rules.rules
        values = rule.match.match(subject(text, Kind.TEXT))
        assert values is not None
        translated.append(rule.translation.substitute(values))
    assert translated == made
