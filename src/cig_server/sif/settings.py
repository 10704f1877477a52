# SPDX-License-Identifier: GPL-3.0-or-later
"""What the SIP trunk is told at start."""

from __future__ import annotations

from dataclasses import dataclass

from cig_common.errors import LocalError

USER_AGENT = "CIG/2.7.0"


class SipStartError(LocalError):
    """The SIP stack cannot be set up; the text says which address or limit is to blame."""

    log_code = "sip-start"


@dataclass(frozen=True, slots=True)
class SipSettings:
    """The trunk's settings.

    ``bind_addr`` is an IPv4 address; Via, Contact and Record-Route follow it, and ``0.0.0.0``
    leaves their address to the host's routes. UDP and TCP share ``bind_port``. ``max_calls`` must
    stay below what the SIP stack was compiled for. An INVITE that got no response at all within
    ``first_response_timeout`` seconds ends the call as unreachable, because RFC 3261
    section 8.2.6.1 has even a slow server send 100 within 200 ms; a PBX that is down would
    otherwise cost its caller the 32 s of timer B.
    """

    bind_addr: str
    bind_port: int = 5060
    max_calls: int = 1500
    first_response_timeout: float = 2.0
    user_agent: str = USER_AGENT
