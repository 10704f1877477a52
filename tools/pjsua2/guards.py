#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Puts the gateway's guards into the sources of pjsua, where no setting of its own would do.

``guards.py TREE`` edits files below TREE, an unpacked pjproject. Each guard returns from the head
of a function, and only where config_site.h defines its name:

- ``CIG_NO_STREAM``: a call of cig-server never gets a media stream, so no codec, jitter buffer,
  conference port or RTP session is made for it. Sound goes through cig-relay.
- ``CIG_NO_MESSAGE``: a MESSAGE is refused with 488 and an empty Accept. pjsua would answer 200
  before the gateway hears of it, and nobody shall be told that a text arrived that did not.

A place is found by its text. Unless each is there exactly once no file is changed and the exit
status is 1, because a build without the guards must not pass for one with them.
"""

import re
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Guard:
    """``code`` goes behind the one place in ``source`` that ``head`` finds, under ``name``."""

    name: str
    source: str
    head: re.Pattern[str]
    code: str

    def put_into(self, text: str) -> str:
        """Return ``text``, the C source, with the guard in it; ValueError unless found once."""
        places = list(self.head.finditer(text))
        if len(places) != 1:
            raise ValueError(f"the place for {self.name} was found {len(places)} times")
        end = places[0].end()
        guard = f"\n#if defined({self.name}) && {self.name}\n{self.code}#endif\n"
        return text[:end] + guard + text[end:]


GUARDS = (
    Guard(
        name="CIG_NO_STREAM",
        source="pjsip/src/pjsua-lib/pjsua_aud.c",
        # From the function's head to its last unused-argument mark: all of it declarations, so
        # that a return statement is allowed right after.
        head=re.compile(
            r"^pj_status_t pjsua_aud_channel_update\([^)]*\)\n"
            r"\{\n"
            r"(?:[^{}]*\n)?"
            r"[ \t]*PJ_UNUSED_ARG\(remote_sdp\);\n",
            re.MULTILINE,
        ),
        code="""\
    /* Signalling only: the sound of this call is carried by another program. */
    PJ_UNUSED_ARG(call);
    PJ_UNUSED_ARG(strm_idx);
    PJ_UNUSED_ARG(si);
    return status;
""",
    ),
    Guard(
        name="CIG_NO_MESSAGE",
        source="pjsip/src/pjsua-lib/pjsua_im.c",
        head=re.compile(r"^pj_bool_t pjsua_im_accept_pager\([^)]*\)\n\{\n", re.MULTILINE),
        code="""\
    if (p_accept_hdr)
        *p_accept_hdr = pjsip_accept_hdr_create(rdata->tp_info.pool);
    return PJ_FALSE;
""",
    ),
)


def main(arguments: list[str]) -> int:
    """Edit the tree named by the one argument; return the exit status."""
    if len(arguments) != 1:
        print("usage: guards.py PJPROJECT-TREE", file=sys.stderr)
        return 2
    edited = {}
    for guard in GUARDS:
        path = Path(arguments[0]) / guard.source
        try:
            edited[path] = guard.put_into(path.read_text("utf-8"))
        except ValueError as error:
            print(f"guards.py: {path}: {error}; it must be found once", file=sys.stderr)
            return 1
    for path, text in edited.items():
        path.write_text(text, "utf-8")
        print(f"guards.py: guard added to {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
