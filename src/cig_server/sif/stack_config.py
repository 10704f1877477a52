# SPDX-License-Identifier: GPL-3.0-or-later
"""Fills in the SIP stack's own settings: objects that `cig_server.sif.pjsua` makes."""

from __future__ import annotations

from typing import Any

from cig_server.sif.settings import Address, SipSettings, SipStartError, in_uri, named_as


def fill_endpoint(config: Any, settings: SipSettings) -> None:
    """Fill in a new EpConfig; raises SipStartError for a limit above the compiled one."""
    if not 0 < settings.max_calls < config.uaConfig.maxCalls:
        most = config.uaConfig.maxCalls - 1
        raise SipStartError(f"max_calls must be 1 to {most}: the SIP stack is made for that")
    config.uaConfig.threadCnt = 0
    config.uaConfig.userAgent = settings.user_agent
    config.medConfig.threadCnt = 0
    config.medConfig.hasIoqueue = False
    config.medConfig.clockRate = config.medConfig.sndClockRate = 8000
    config.logConfig.msgLogging = 0
    config.logConfig.level = config.logConfig.consoleLevel = 2
    config.logConfig.decor = 0


def fill_account(config: Any, settings: SipSettings, address: Address, ip_version: int) -> None:
    """Fill in a new AccountConfig; ``ip_version`` is the stack's word for the families."""
    # Where SIP is open on all addresses, the stack's Via over UDP is its way to this one.
    config.idUri = f"sip:trunk@{in_uri(named_as(address))}:{settings.bind_port}"
    config.sipConfig.ipv6Use = config.mediaConfig.ipv6Use = ip_version
    config.regConfig.registerOnAdd = False
    config.mediaConfig.useLoopMedTp = True
    config.mediaConfig.lockCodecEnabled = False
    config.natConfig.sipOutboundUse = 0
    config.natConfig.contactRewriteUse = config.natConfig.contactUseSrcPort = 0
    config.natConfig.viaRewriteUse = 0
