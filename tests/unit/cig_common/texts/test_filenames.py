# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of attached files: what they are cleaned of, and how they are written and read."""

from __future__ import annotations

import email
import email.policy
import io
from email.message import EmailMessage

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cig_common.texts.filenames import clean, disposition, from_headers
from cig_common.texts.headers import Headers, has_control, read_headers
from unit.cig_common.texts.strategies import filenames

NASTY = {
    "": "",
    ".": "",
    "..": "",
    "/": "",
    "...": "...",
    " . ": "",
    "a/..": "",
    ".\0.": "",
    "../../etc/passwd": "passwd",
    "/etc/shadow": "shadow",
    "C:\\Users\\x\\a.doc": "a.doc",
    "\\\\host\\share\\a.doc": "a.doc",
    "a/b\\c/d.txt": "d.txt",
    "a\r\nX-Header: y.png": "aX-Header: y.png",
    "a\0.png": "a.png",
    "\x1b[2Ja.png": "[2Ja.png",
    "\x85\u2028a": "a",
    "photo\u202egnp.exe": "photognp.exe",
    "\ufeffa": "a",
    "  a b  ": "a b",
    ".bashrc": ".bashrc",
    "\u200e.\u200e.": "",
    "-rf": "-rf",
    "CON": "CON",
    "q\"u;o=t%e's*": "q\"u;o=t%e's*",
    "\ud800.png": "?.png",
    "x" * 300: "x" * 255,
    "x" * 300 + ".png": "x" * 251 + ".png",
    "ä" * 300 + ".png": "ä" * 125 + ".png",
    "\U0001f600" * 64: "\U0001f600" * 63,
    "a." + "x" * 300: "a." + "x" * 253,
    "." + " " * 300 + "a": "",
    "." * 300: "." * 255,
}


@pytest.mark.parametrize("name", NASTY)
def test_names_are_cleaned(name: str) -> None:
    assert clean(name) == NASTY[name]


@given(st.text(max_size=600))
def test_a_clean_name_is_one_for_any_folder(name: str) -> None:
    cleaned = clean(name)
    assert clean(cleaned) == cleaned
    assert len(cleaned.encode()) <= 255
    assert not has_control(cleaned)
    assert not set(cleaned) & {"/", "\\"}
    assert cleaned not in (".", "..")
    assert cleaned == cleaned.strip()


def read(octets: bytes) -> str:
    headers, _ = read_headers(io.BytesIO(octets), 0, len(octets), whole=False)
    return from_headers(headers)


def said(value: str) -> str:
    return from_headers(Headers([("Content-Disposition", value)]))


@given(filenames)
def test_what_is_written_is_read_again(name: str) -> None:
    octets = disposition(name)
    assert octets.isascii()
    assert max(map(len, octets.split(b"\n"))) <= 998
    assert read(octets) == name


@pytest.mark.parametrize("name", ["filename.png", "a b;c.txt", "Grüße €.pdf", "\U0001f600" * 63])
def test_the_email_package_reads_the_same(name: str) -> None:
    message = email.message_from_bytes(disposition(name) + b"\n", policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    assert message.get_filename() == name


def test_how_it_is_written() -> None:
    assert disposition("a.png") == b'Content-Disposition: attachment; filename="a.png"\n'
    assert disposition('a"b.png') == b'Content-Disposition: attachment; filename="a\\"b.png"\n'
    assert disposition("ä €.png") == (
        b"Content-Disposition: attachment;\n"
        b" filename*=UTF-8''%C3%A4%20%E2%82%AC.png;\n"
        b' filename="_ _.png"\n'
    )
    long = b"x" * 200
    assert disposition(long.decode()) == (
        b'Content-Disposition: attachment;\n filename="' + long + b'"\n'
    )


def test_a_name_that_looks_like_an_encoded_word_is_none() -> None:
    assert read(disposition("=?utf-8?q?x?=")) == "=?utf-8?q?x?="


def test_a_name_that_is_none_is_not_written() -> None:
    assert disposition("..") == b'Content-Disposition: attachment; filename="attachment"\n'


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ('attachment; filename="a b.txt"', "a b.txt"),
        ("attachment; filename=a b.txt ; size=3", "a b.txt"),
        ("ATTACHMENT;FILENAME = a.txt", "a.txt"),
        ('attachment; filename="a;b\\"c\\\\d.txt', "d.txt"),
        ('attachment; filename="a;b\\"c.txt"; x=y', 'a;b"c.txt'),
        ('attachment; filename="C:\\dir\\a.txt"', "a.txt"),
        ("attachment; x; y; filename=a.txt", "a.txt"),
        ("attachment; filename=a.txt; filename=b.txt", "a.txt"),
        ("attachment; filename*=utf-8'de'%c3%a4.txt; filename=b.txt", "ä.txt"),
        ("attachment; filename=b.txt; filename*=UTF-8''%c3%a4.txt", "ä.txt"),
        ("attachment; filename*=iso-8859-1''%e4.txt", "ä.txt"),
        ("attachment; filename*=%c3%a4.txt", "ä.txt"),
        ("attachment; filename*=utf-16''%ff.txt", "\ufffd.txt"),
        ("attachment; filename*=UTF-8''..%2F..%2Fx", "x"),
        ('attachment; filename*0="a b"; filename*1=c.txt', "a bc.txt"),
        ("attachment; filename*1*=%a4.txt; filename*0*=UTF-8''%c3", "ä.txt"),
        ("attachment; filename*0*=UTF-8''%c3%a4; filename*1=\".t%74\"; filename*3=x", "ä.t%74"),
        ('attachment; filename="=?utf-8?B?w6Q=?= =?UTF-8?q?_=C3=A4?="', "ä ä"),
        ('attachment; filename="=?utf-8?B?w6Q?=.txt"', "ä.txt"),
        ('attachment; filename="=?utf-8?B?w?=.txt"', ["=?utf-8?B?w?=.txt"][-1]),
        ('attachment; filename="=?utf-7?q?x?="', "=?utf-7?q?x?="),
        ("attachment; filename=", ""),
        ("attachment; filename", ""),
        ("", ""),
        (";;=;=", ""),
    ],
)
def test_ways_to_write_a_name(value: str, name: str) -> None:
    assert said(value) == name


def test_the_name_in_the_type_counts_where_there_is_no_other() -> None:
    kind = ("Content-Type", "image/png; name=b.png")
    assert from_headers(Headers([kind])) == "b.png"
    assert from_headers(Headers([kind, ("Content-Disposition", "x; filename=a.png")])) == "a.png"
    assert from_headers(Headers([kind, ("Content-Disposition", "x; filename=..")])) == "b.png"


@given(st.text(alphabet="abc;=\"'*0 \\%?filename", max_size=80))
def test_any_value_can_be_read(value: str) -> None:
    name = said("attachment; filename" + value)
    assert clean(name) == name
