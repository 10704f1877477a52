#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Puts the no-stream guard into pjsua: a call of cig-server never gets a media stream.

``no_stream.py TREE`` edits ``pjsip/src/pjsua-lib/pjsua_aud.c`` below TREE, an unpacked pjproject.
With ``CIG_NO_STREAM`` defined (config_site.h) ``pjsua_aud_channel_update`` then returns success
after its parameter checks, so that no codec, jitter buffer, conference port or RTP session is
made for a call. Sound goes through cig-relay; here it would only cost memory.

The place is found by its text. Unless that text is there exactly once the source is left as it
was and the exit status is 1, because a build without the guard must not pass for one with it.
"""

import re
import sys
from pathlib import Path

SOURCE = "pjsip/src/pjsua-lib/pjsua_aud.c"

# From the function's head to its last unused-argument mark: all of it declarations, so that a
# return statement is allowed right after.
HEAD = re.compile(
    r"^pj_status_t pjsua_aud_channel_update\([^)]*\)\n"
    r"\{\n"
    r"(?:[^{}]*\n)?"
    r"[ \t]*PJ_UNUSED_ARG\(remote_sdp\);\n",
    re.MULTILINE,
)

GUARD = """
#if defined(CIG_NO_STREAM) && CIG_NO_STREAM
    /* Signalling only: the sound of this call is carried by another program. */
    PJ_UNUSED_ARG(call);
    PJ_UNUSED_ARG(strm_idx);
    PJ_UNUSED_ARG(si);
    return status;
#endif
"""


def add_guard(text: str) -> str:
    """Return ``text``, the C source, with the guard in it.

    Raises ValueError when the place for it is not there exactly once.
    """
    places = list(HEAD.finditer(text))
    if len(places) != 1:
        raise ValueError(f"the head of pjsua_aud_channel_update was found {len(places)} times")
    end = places[0].end()
    return text[:end] + GUARD + text[end:]


def main(arguments: list[str]) -> int:
    """Edit the tree named by the one argument; return the exit status."""
    if len(arguments) != 1:
        print("usage: no_stream.py PJPROJECT-TREE", file=sys.stderr)
        return 2
    path = Path(arguments[0]) / SOURCE
    try:
        path.write_text(add_guard(path.read_text("utf-8")), "utf-8")
    except ValueError as error:
        print(f"no_stream.py: {path}: {error}; it must be found once", file=sys.stderr)
        return 1
    print(f"no_stream.py: guard added to {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
