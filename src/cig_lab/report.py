# SPDX-License-Identifier: GPL-3.0-or-later
"""What the demo found: its JSON object, its table for people, its files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cig_lab import picture, wav
from cig_lab.analysis import Heard
from cig_lab.demo_texts import TextReport
from cig_lab.signals import RATE, Samples

SECURE_TO_SIP = "secure-to-sip"
SIP_TO_SECURE = "sip-to-secure"

_MARGIN = RATE // 5


@dataclass(frozen=True, slots=True)
class Hearing:
    """One direction of a call: who spoke to whom, what, what arrived, and the verdict."""

    name: str
    speaker: str
    listener: str
    sent: Samples
    heard: Samples
    verdict: Heard


@dataclass(slots=True)
class CallReport:
    """One call. ``state`` is the gateway's own word, as `cig-cli show call` prints it.

    ``dtmf`` are the digits that the callee saw, None where none were sent; ``expected_dtmf`` those
    that were. ``problem`` says why a call did not come about.
    """

    direction: str
    from_uri: str
    to_uri: str
    state: str = "FAILED"
    setup_ms: float | None = None
    by_caller: Hearing | None = None
    by_callee: Hearing | None = None
    dtmf: str | None = None
    expected_dtmf: str | None = None
    problem: str = ""

    @property
    def ok(self) -> bool:
        """Whether both sides heard everything, digits included."""
        heard = [side.verdict.ok for side in (self.by_caller, self.by_callee) if side]
        return heard == [True, True] and self.dtmf == self.expected_dtmf and not self.problem

    def to_map(self) -> dict[str, Any]:
        """Give the call as the JSON object has it."""
        return {
            "direction": self.direction,
            "from": self.from_uri,
            "to": self.to_uri,
            "state": self.state,
            "setup_ms": None if self.setup_ms is None else round(self.setup_ms, 1),
            "heard_by_caller": _verdict(self.by_caller),
            "heard_by_callee": _verdict(self.by_callee),
            "dtmf": self.dtmf,
        }


def _verdict(hearing: Hearing | None) -> dict[str, Any]:
    if hearing is None:
        return {"ok": False, "snr_db": None}
    verdict = hearing.verdict
    snr = verdict.snr_db
    return {
        "ok": verdict.ok,
        "snr_db": None if snr is None else round(snr, 1),
        "level_db": round(verdict.level_db, 1),
        "longest_gap_ms": round(verdict.longest_gap_ms, 1),
    }


@dataclass(slots=True)
class DemoReport:
    """All calls and texts of a demo."""

    calls: list[CallReport] = field(default_factory=list)
    texts: list[TextReport] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether there were calls and texts, and everything arrived."""
        found = [*(call.ok for call in self.calls), *(text.ok for text in self.texts)]
        return bool(self.calls) and bool(self.texts) and all(found)

    def to_map(self) -> dict[str, Any]:
        """Give the JSON object; it holds no secret."""
        return {
            "calls": [call.to_map() for call in self.calls],
            "texts": [text.to_map() for text in self.texts],
            "ok": self.ok,
        }

    def hearings(self) -> list[Hearing]:
        """Give all directions that were measured."""
        both = [side for call in self.calls for side in (call.by_callee, call.by_caller)]
        return [hearing for hearing in both if hearing is not None]

    def table(self) -> list[str]:
        """Give the short table for people, line by line."""
        lines: list[str] = []
        for number, call in enumerate(self.calls, 1):
            setup = "-" if call.setup_ms is None else f"{call.setup_ms:.0f} ms"
            lines.append(f"Call {number}: {call.from_uri} -> {call.to_uri}")
            lines.append(f"  state {call.state}, set up in {setup}")
            if call.expected_dtmf is not None:
                seen = "as sent" if call.dtmf == call.expected_dtmf else f"not {call.expected_dtmf}"
                lines.append(f"  DTMF seen: {call.dtmf or 'none'} ({seen})")
            if call.problem:
                lines.append(f"  FAILED: {call.problem}")
        lines += [text.line() for text in self.texts]
        return [*lines, "", *_hearing_table(self.hearings())]

    def write(self, folder: Path) -> list[Path]:
        """Write the WAV files and the picture; gives their paths. Raises OSError."""
        folder.mkdir(parents=True, exist_ok=True)
        paths: list[Path] = []
        directions: list[picture.Direction] = []
        for hearing in self.hearings():
            for what, samples in (("sent", hearing.sent), ("heard", hearing.heard)):
                paths.append(folder / f"{hearing.name}-{what}.wav")
                wav.write(paths[-1], samples)
            title = f"{hearing.name.partition('-')[0]}, {hearing.speaker} to {hearing.listener}"
            directions.append(picture.Direction(title, hearing.sent, _around(hearing)))
        if directions:
            paths.append(folder / "demo.png")
            picture.draw(paths[-1], directions)
        return paths


def _around(hearing: Hearing) -> Samples:
    """Cut the part of the recording that holds the signal, for the picture."""
    start = round(hearing.verdict.delay_ms * RATE / 1000)
    return hearing.heard[max(start - _MARGIN, 0) : max(start, 0) + len(hearing.sent) + _MARGIN]


def _hearing_table(hearings: Sequence[Hearing]) -> list[str]:
    head = ("SPOKEN BY", "HEARD BY", "LEVEL", "CHANGE", "SNR", "GAP", "")
    rows = [head, *(_row(hearing) for hearing in hearings)]
    widths = [max(len(row[column]) for row in rows) + 2 for column in range(len(head))]
    return [
        "".join(f"{cell:<{w}}" for cell, w in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _row(hearing: Hearing) -> tuple[str, ...]:
    verdict = hearing.verdict
    return (
        hearing.speaker,
        hearing.listener,
        f"{verdict.level_db:.1f} dB",
        f"{verdict.level_change_db:+.2f} dB",
        "-" if verdict.snr_db is None else f"{verdict.snr_db:.1f} dB",
        f"{verdict.longest_gap_ms:.0f} ms",
        "ok" if verdict.ok else "NOT HEARD",
    )
