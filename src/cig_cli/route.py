# SPDX-License-Identifier: GPL-3.0-or-later
"""`cig-cli route URI`: where a call would go, and by which entry, or precisely why nowhere.

The running server is asked, or, with a file, the same is worked out here without a server.
"""

from __future__ import annotations

import json
from collections.abc import Callable

from cig_cli.client import Answer
from cig_cli.readfile import patient_load, refused

MOST_COMPARED = 200_000
"""Here nobody else waits: so many entries are compared to find what came nearest."""


def prepare(uri: str) -> str:
    """Return a URI as it is asked for, without display name. Raises ValueError, says why not."""
    # Here and not above: the configuration's machinery takes longer to load than other commands.
    from cig_common.config.trace import given_uri

    return given_uri(uri)[1]


def request(uri: str, caller: str | None, *, as_json: bool) -> str:
    """Return the line that asks the running server."""
    words = ["route", *(["--json"] if as_json else []), _word(uri)]
    words += [] if caller is None else ["--from", _word(caller)]
    return " ".join(words)


def route_in_file(
    path: str, uri: str, caller: str | None, *, as_json: bool, say: Callable[[str], None]
) -> Answer | None:
    """Follow a call through a file; None if that does not load, which is then told like `read`."""
    from cig_common.config import ConfigError
    from cig_common.config.trace import trace
    from cig_common.config.trace_text import facts, rejection, text_lines

    try:
        config = patient_load(path)
    except ConfigError as error:
        refused(error, as_json=as_json, say=say)
        return None
    found = trace(config, uri, caller, MOST_COMPARED)
    lines = [json.dumps(facts(found))] if as_json else text_lines(found)
    return Answer(tuple(lines), None if found.rejected is None else rejection(found))


def _word(uri: str) -> str:
    """Return a URI as one word of a request; what a line cannot hold, as a JSON string."""
    if uri.isprintable() and " " not in uri:
        return uri
    return json.dumps(uri).replace(" ", "\\u0020")
