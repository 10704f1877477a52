#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Puts the gateway's guards into the sources of pjsua, where no setting of its own would do.

``guards.py TREE`` edits files below TREE, an unpacked pjproject. What a guard adds counts only
where config_site.h defines its name:

- ``CIG_NO_STREAM``: a call of cig-server never gets a media stream, so no codec, jitter buffer,
  conference port or RTP session is made for it. Sound goes through cig-relay.
- ``CIG_MESSAGE``: pjsua would answer a MESSAGE with 200 before the gateway hears of it, and nobody
  shall be told that a text arrived that did not. Outside a call ``cig_message.c``, which is put
  beside pjsua's own file and included there, hands it to the gateway, who answers later. Inside a
  call it is refused with 488 and an empty Accept.

A place is found by its text. Unless each is there exactly once no file is changed and the exit
status is 1, because a build without the guards must not pass for one with them.
"""

import re
import shutil
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


TEXTS = "pjsip/src/pjsua-lib/pjsua_im.c"
OURS = "cig_message.c"

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
        name="CIG_MESSAGE",
        source=TEXTS,
        head=re.compile(r"^pj_bool_t pjsua_im_accept_pager\([^)]*\)\n\{\n", re.MULTILINE),
        code="""\
    if (p_accept_hdr)
        *p_accept_hdr = pjsip_accept_hdr_create(rdata->tp_info.pool);
    return PJ_FALSE;
""",
    ),
    Guard(
        name="CIG_MESSAGE",
        source=TEXTS,
        head=re.compile(
            r"^static pj_bool_t im_on_rx_request\(pjsip_rx_data \*rdata\);\n", re.MULTILINE
        ),
        code=f'#include "{OURS}"\n',
    ),
    Guard(
        name="CIG_MESSAGE",
        source=TEXTS,
        head=re.compile(
            r"^[ \t]*status = pjsip_endpt_register_module\(pjsua_var\.endpt, &mod_pjsua_im\);\n"
            r"[ \t]*if \(status != PJ_SUCCESS\)\n"
            r"[ \t]*return status;\n",
            re.MULTILINE,
        ),
        code="""\
    status = cig_message_init();
    if (status != PJ_SUCCESS)
        return status;
""",
    ),
)


def main(arguments: list[str]) -> int:
    """Edit the tree named by the one argument; return the exit status."""
    if len(arguments) != 1:
        print("usage: guards.py PJPROJECT-TREE", file=sys.stderr)
        return 2
    tree = Path(arguments[0])
    edited: dict[Path, str] = {}
    for guard in GUARDS:
        path = tree / guard.source
        try:
            edited[path] = guard.put_into(edited.get(path) or path.read_text("utf-8"))
        except ValueError as error:
            print(f"guards.py: {path}: {error}; it must be found once", file=sys.stderr)
            return 1
    shutil.copyfile(Path(__file__).with_name(OURS), (tree / TEXTS).with_name(OURS))
    for path, text in edited.items():
        path.write_text(text, "utf-8")
        print(f"guards.py: guards added to {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
