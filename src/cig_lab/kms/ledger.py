# SPDX-License-Identifier: GPL-3.0-or-later
"""What a KMS has issued: to whom, for which month, in which revision, and what it took back.

The rules:

1. A revision of a URI's month is issued once; the next issue of that month has a higher one. So
   there are never two different SSKs under one ``YYYY-MM-REVISION``.
2. A month whose keys are in use is issued again only where that was asked for. The older revision
   then counts until the newer one has been used for a login.
3. What is withdrawn counts no more, at once.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from mikey_sakke.identifiers import check_month, check_tel_uri


class AlreadyIssuedError(Exception):
    """Keys of these months are in use: ``periods`` are their names."""

    def __init__(self, uri: str, periods: tuple[str, ...]) -> None:
        super().__init__(f"{uri} has keys of {', '.join(periods)}")
        self.periods = periods


@dataclass(frozen=True, slots=True)
class Issue:
    """One issue: ``generation`` of master keys, times in UTC seconds."""

    uri: str
    month: str
    revision: int
    generation: int
    issued_at: int
    withdrawn_at: int | None = None

    @property
    def period(self) -> str:
        """The period's name, ``YYYY-MM-REVISION``."""
        return f"{self.month}-{self.revision}"


class Ledger:
    """All issues of a KMS, oldest first."""

    def __init__(self, issues: Iterable[Issue] = ()) -> None:
        self._issues: dict[tuple[str, str, int], Issue] = {}
        for issue in issues:
            self._add(issue)

    @property
    def issues(self) -> tuple[Issue, ...]:
        """All of them, in the order in which they were made."""
        return tuple(self._issues.values())

    def find(self, uri: str, month: str, revision: int) -> Issue | None:
        """Give one issue, or None where there was no such."""
        return self._issues.get((uri, month, revision))

    def require_free(self, uri: str, months: Iterable[str]) -> None:
        """Raise AlreadyIssuedError if keys of one of these months are in use."""
        wanted = frozenset(months)
        taken = tuple(
            issue.period
            for issue in self._issues.values()
            if issue.uri == uri and issue.month in wanted and issue.withdrawn_at is None
        )
        if taken:
            raise AlreadyIssuedError(uri, taken)

    def record(self, uri: str, month: str, *, generation: int, at: int) -> Issue:
        """Enter the next revision of a month and give it."""
        held = [issue.revision for issue in self._of(uri, month)]
        issue = Issue(uri, month, max(held, default=0) + 1, generation, at)
        self._add(issue)
        return issue

    def withdraw(
        self, *, at: int, uri: str | None = None, month: str | None = None, since: str = ""
    ) -> tuple[Issue, ...]:
        """Take back what is in use: of ``uri`` or of all, of ``month`` or of all from ``since``."""
        taken = [
            replace(issue, withdrawn_at=at)
            for issue in self._issues.values()
            if issue.withdrawn_at is None
            and uri in (None, issue.uri)
            and (issue.month >= since if month is None else issue.month == month)
        ]
        for issue in taken:
            self._issues[(issue.uri, issue.month, issue.revision)] = issue
        return tuple(taken)

    def _of(self, uri: str, month: str) -> list[Issue]:
        return [i for i in self._issues.values() if (i.uri, i.month) == (uri, month)]

    def _add(self, issue: Issue) -> None:
        key = (check_tel_uri(issue.uri), check_month(issue.month), issue.revision)
        if key in self._issues:
            raise ValueError(f"{issue.period} of {issue.uri} was issued twice")
        self._issues[key] = issue


def months_from(month: str, count: int) -> tuple[str, ...]:
    """Give ``count`` months from ``month`` (YYYY-MM) on. Raises ValueError beyond year 9999."""
    year, number = (int(part) for part in check_month(month).split("-"))
    first = year * 12 + number - 1
    if first < 12 or first + count > 10_000 * 12:
        raise ValueError(f"there are no {count} months from {month} on")
    return tuple(f"{m // 12:04d}-{m % 12 + 1:02d}" for m in range(first, first + count))
