# SPDX-License-Identifier: GPL-3.0-or-later
import pytest

from cig_cli.check.names import MOST_NAMES, Lookup, judge, look_up, name_rows, pbx_names
from cig_cli.check.service import Service
from cig_common.config import Configuration, loads


def config(*targets: str) -> Configuration:
    entries = "".join(
        f'entry e{n} tel "tel:+8888;{{x{n}}}" sip "{target}";' for n, target in enumerate(targets)
    )
    return loads(
        f"map m {{ {entries} }} interfaces {{ tel {{ extension map m; }} sip {{ bind ::1; }} }}"
    )


def test_names_of_the_maps() -> None:
    found = pbx_names(
        config(
            "sip:{x0}@PBX.example.com:5062",
            "sip:{x1}@pbx.example.com;transport=tcp",
            "sip:{x2}@192.0.2.1",
            "sip:{x3}@[2001:db8::1]:5070",
            "sip:fixed.example.com",
            "sip:{x5}@{y}.example.com",
        )
    )
    assert found == ["pbx.example.com", "fixed.example.com"]


def test_only_so_many_names() -> None:
    many = config(*(f"sip:{{x{n}}}@pbx{n}.example.com" for n in range(MOST_NAMES + 5)))
    assert len(pbx_names(many)) == MOST_NAMES


def test_source_maps_name_nobody_who_is_called() -> None:
    text = 'map m { entry e sip "sip:{x}@who.example.com" tel "tel:+{x}"; }'
    assert pbx_names(loads(f"{text} interfaces {{ sip {{ bind ::1; source map m; }} }}")) == []


def test_looking_up() -> None:
    good, bad = look_up(["localhost", "no-such-host.invalid"])
    assert (good.name, good.error) == ("localhost", "")
    assert bad.error
    (strange,) = look_up(["a" * 64 + ".invalid"])
    assert strange.error


def test_a_resolver_that_does_not_answer() -> None:
    (late,) = look_up(["localhost"], patience=0.0)
    assert late.error in ("", "no answer within 0 s")


@pytest.mark.parametrize(
    ("lookups", "state", "found"),
    [
        ([Lookup("a", "", 0.01)], "ok", "a found"),
        ([Lookup("a", "", 0.01), Lookup("b", "", 0.0)], "ok", "all 2 found"),
        ([Lookup("a", "", 0.01), Lookup("b", "", 1.25)], "warn", "b took 1.2 s"),
        ([Lookup("a", "unknown", 0.01), Lookup("b", "", 2.0)], "fail", "a: unknown"),
        ([Lookup(str(n), "x", 0.0) for n in range(5)], "fail", "0: x; 1: x; 2: x; 2 more"),
    ],
)
def test_judging(lookups: list[Lookup], state: str, found: str) -> None:
    row = judge("names", lookups)
    assert (row.state, row.found) == (state, found)


@pytest.mark.parametrize(
    ("service", "state"),
    [
        (None, "skip"),
        (Service("2.7.0", "", False, "no keys"), "skip"),
        (Service("2.7.0", "192.0.2.1:5223", True, ""), "ok"),
        (Service("2.7.0", "[2001:db8::1]:5223", True, ""), "ok"),
        (Service("2.7.0", "localhost:5223", True, ""), "ok"),
        (Service("2.7.0", "192.0.2.1:5223", False, "refused"), "warn"),
        (Service("2.7.0", "no-such-host.invalid:5223", False, ""), "fail"),
    ],
)
def test_the_crs(service: Service | None, state: str) -> None:
    *_, row = name_rows(None, service)
    assert (row.name, row.state) == ("CRS", state)
