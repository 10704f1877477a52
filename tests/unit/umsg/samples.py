# SPDX-License-Identifier: GPL-3.0-or-later
"""Hypothesis strategies and fixed samples for every message."""

from hypothesis import strategies as st

from umsg.errors import ErrorCode
from umsg.messages import (
    Alive,
    Auth,
    Bang,
    Challenge,
    ErrorMessage,
    Growl,
    Hangup,
    Hello,
    Leg,
    Message,
    Ping,
    Pong,
    Receipt,
    ReceiptStatus,
    Resume,
    Stored,
    Talk,
    Text,
    Try,
    Welcome,
)
from umsg.reasons import Reason

_ID_CHARACTERS = "ABCXYZabcxyz0189+/"
IDS = st.text(_ID_CHARACTERS, min_size=16, max_size=16)
BARE_URIS = st.text("0123456789", min_size=1, max_size=15).map(lambda d: "tel:+" + d)
URIS = BARE_URIS | st.builds(
    lambda uri, ext: f"{uri};{ext}", BARE_URIS, st.text("019*#+._=-aZ", min_size=1, max_size=64)
)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=64)
COUNTERS = st.integers(0, 2**32 - 1)
TIMES = st.integers(0, 2**53 - 1)
CODECS = st.sampled_from(["PCMA/8000", "PCMU/8000", "L16/16000", "opus/48000"])
OFFERS = st.lists(CODECS, min_size=1, max_size=16).map(tuple)
PAYLOAD_TYPES = st.none() | st.integers(0, 127)
MIKEY = st.binary(min_size=1, max_size=200)
PERIODS = st.sampled_from(["2026-11-1", "1999-01-0", "2030-12-123456789"])
SIGNATURES = st.binary(min_size=129, max_size=129)
MACS = st.binary(min_size=32, max_size=32)
CREDENTIALS = st.text(_ID_CHARACTERS, min_size=24, max_size=24)
ID_LISTS = st.lists(IDS, max_size=20).map(tuple)
LEGS = st.builds(
    Leg,
    addr=st.ip_addresses().map(str),
    port=st.integers(1, 65535),
    ufrag=st.text(_ID_CHARACTERS, min_size=4, max_size=32),
    pwd=CREDENTIALS,
)
_FIRST_TEXTS = st.builds(
    Text,
    mid=IDS,
    seq=st.just(0),
    of=st.integers(1, 512),
    data=st.binary(max_size=100),
    from_uri=URIS,
    to_uri=URIS,
    mikey=MIKEY,
)
_LATER_TEXTS = st.builds(
    Text, mid=IDS, seq=st.integers(1, 511), of=st.just(512), data=st.binary(max_size=100)
)
_OPEN_GROWLS = st.builds(Growl, id=IDS, codec=CODECS, dtmf=PAYLOAD_TYPES, mac=st.none() | MACS)

STRATEGIES: dict[type[Message], st.SearchStrategy[Message]] = {
    Hello: st.builds(
        Hello, uri=BARE_URIS, agent=TEXTS, nonce=st.binary(min_size=16, max_size=16), v=st.just(1)
    ),
    Challenge: st.builds(
        Challenge, nonce=st.binary(min_size=32, max_size=32), time=TIMES, domain=TEXTS
    ),
    Auth: st.builds(Auth, period=PERIODS, sig=SIGNATURES),
    Welcome: st.builds(Welcome, time=TIMES, keepalive=st.integers(1, 3600), pending=COUNTERS),
    Resume: st.builds(Resume, ids=ID_LISTS),
    Alive: st.builds(Alive, ids=ID_LISTS),
    Ping: st.builds(Ping, n=COUNTERS),
    Pong: st.builds(Pong, n=COUNTERS),
    Bang: st.builds(
        Bang,
        id=IDS,
        from_uri=URIS,
        to_uri=URIS,
        mikey=MIKEY,
        offer=OFFERS,
        dtmf=PAYLOAD_TYPES,
        leg=st.none() | LEGS,
    ),
    Try: st.builds(Try, id=IDS, leg=LEGS),
    Growl: st.builds(Growl, id=IDS) | _OPEN_GROWLS,
    Talk: st.builds(Talk, id=IDS, codec=CODECS, dtmf=PAYLOAD_TYPES, mac=st.none() | MACS),
    Hangup: st.builds(Hangup, id=IDS, reason=st.sampled_from(Reason), text=st.none() | TEXTS),
    Text: _FIRST_TEXTS | _LATER_TEXTS,
    Stored: st.builds(Stored, mid=IDS),
    Receipt: st.builds(
        Receipt,
        mid=IDS,
        status=st.sampled_from(ReceiptStatus),
        period=PERIODS,
        sig=SIGNATURES,
        reason=st.none() | TEXTS,
    ),
    ErrorMessage: st.builds(
        ErrorMessage,
        code=st.sampled_from(ErrorCode),
        text=TEXTS,
        id=st.none() | IDS,
        mid=st.none() | IDS,
    ),
}
MESSAGES = st.one_of(*STRATEGIES.values())
