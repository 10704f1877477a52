# SPDX-License-Identifier: GPL-3.0-or-later
"""The demo's verdict, JSON object, table and files."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from cig_lab import analysis, demo_texts, signals
from cig_lab.demo_texts import TextReport
from cig_lab.phone.texts import TextRefusedError
from cig_lab.report import SECURE_TO_SIP, SIP_TO_SECURE, CallReport, DemoReport, Hearing

TEXT = TextReport("secure-to-mailbox", True, True, "delivered")


def hearing(name: str, *, heard: signals.Samples | None = None) -> Hearing:
    sent = signals.make("rise", 0.5)
    arrived = np.concatenate((np.zeros(400, np.int16), sent)) if heard is None else heard
    verdict = analysis.compare(sent, arrived)
    return Hearing(name, "secure phone", "SIP phone", sent, arrived, verdict)


def call(*, dtmf: str | None = "159*#") -> CallReport:
    return CallReport(
        SECURE_TO_SIP, "tel:+46701234567", "tel:+8888;101", "ANSWER", 19.24,
        hearing("call1-back"), hearing("call1-there"), dtmf, "159*#",
    )  # fmt: skip


def test_everything_heard() -> None:
    report = DemoReport([call()], [TEXT])
    assert report.ok
    facts = json.loads(json.dumps(report.to_map(), allow_nan=False))
    assert set(facts) == {"calls", "texts", "ok"}
    assert facts["texts"][0]["attachment"] is True
    assert set(facts["calls"][0]) == {
        "direction", "from", "to", "state", "setup_ms", "heard_by_caller", "heard_by_callee", "dtmf"
    }  # fmt: skip
    assert facts["calls"][0]["setup_ms"] == 19.2
    assert facts["calls"][0]["heard_by_caller"]["ok"] is True
    text = "\n".join(report.table())
    assert "DTMF seen: 159*# (as sent)" in text
    assert text.count(" ok") == 2


def test_each_fault_is_found() -> None:
    silent = hearing("x", heard=np.zeros(8000, np.int16))
    nothing_heard = call()
    nothing_heard.by_caller = silent
    failed = CallReport(SIP_TO_SECURE, "a", "b", problem="nobody answered")
    lost_digit = call(dtmf="159*")
    for bad in (nothing_heard, failed, lost_digit):
        report = DemoReport([call(), bad], [TEXT])
        assert not report.ok
        json.dumps(report.to_map(), allow_nan=False)
    assert not DemoReport().ok
    assert not DemoReport([call()]).ok
    for wrong in (replace(TEXT, attachment_ok=False), replace(TEXT, problem="lost")):
        assert not DemoReport([call()], [TEXT, wrong]).ok
    assert "FAILED: lost" in replace(TEXT, problem="lost").line()
    assert "picture NOT as sent" in replace(TEXT, attachment_ok=False).line()
    text = "\n".join(DemoReport([nothing_heard, failed, lost_digit]).table())
    assert "NOT HEARD" in text
    assert "FAILED: nobody answered" in text
    assert "159* (not 159*#)" in text
    assert failed.to_map()["heard_by_callee"] == {"ok": False, "snr_db": None}


def test_files_are_written(tmp_path: Path) -> None:
    paths = DemoReport([call()]).write(tmp_path / "out")
    assert sorted(path.name for path in paths) == [
        "call1-back-heard.wav", "call1-back-sent.wav", "call1-there-heard.wav",
        "call1-there-sent.wav", "demo.png",
    ]  # fmt: skip
    assert all(path.stat().st_size > 1000 for path in paths)


async def test_a_text_that_the_crs_refuses_is_a_failure_of_the_demo() -> None:
    async def refused(lab: object, say: object, report: TextReport) -> None:
        raise TextRefusedError("not-found: nobody has that number")

    report = await demo_texts._guarded("secure-to-mailbox", refused, None, print)  # type: ignore[arg-type]
    assert not report.ok
    assert "nobody has that number" in report.line()
