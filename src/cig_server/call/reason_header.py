# SPDX-License-Identifier: GPL-3.0-or-later
"""The SIP Reason header (RFC 3326) that tells a PBX in words why a call ended."""

from __future__ import annotations

import re

from cig_server.call.model import Ending
from cig_server.sif.reasons import sip_status_for
from umsg.reasons import Reason

_LONGEST = 120
_UNSAFE = re.compile(r'[^\x20-\x7e]|["\\]')


def reason_header(ending: Ending) -> str | None:
    """Give the header's value, ``SIP;cause=500;text="crypto: replayed: …"``; None for a plain end.

    The text is made printable ASCII without quotes and cut to 120 characters.
    """
    if ending.reason is Reason.NORMAL and not ending.text:
        return None
    words = f"{ending.reason.value}: {ending.text}" if ending.text else ending.reason.value
    text = _UNSAFE.sub("?", words)[:_LONGEST]
    cause = ending.sip_status or sip_status_for(ending.reason)
    return f'SIP;cause={cause};text="{text}"'
