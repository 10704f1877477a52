# SPDX-License-Identifier: GPL-3.0-or-later
"""Hypothesis strategies for the payloads of an I_MESSAGE."""

from hypothesis import strategies as st

from mikey_sakke.header import EmptyMap, GenericCs, GenericIdMap, Header, SrtpCs, SrtpIdMap
from mikey_sakke.message import IMessage
from mikey_sakke.payloads import (
    GeneralExtension,
    Idr,
    IdRole,
    IdType,
    Rand,
    Sakke,
    SecurityPolicy,
    Sign,
    Timestamp,
    TimestampType,
)

octet = st.integers(0, 0xFF)
word = st.integers(0, 0xFFFFFFFF)
short = st.binary(max_size=20)

srtp_maps = st.lists(st.builds(SrtpCs, octet, word, word), max_size=4).map(
    lambda sessions: SrtpIdMap(tuple(sessions))
)
generic_maps = st.lists(
    st.builds(GenericCs, octet, octet, st.booleans(), short, short, short),
    max_size=4,
    unique_by=lambda session: session.cs_id,
).map(lambda sessions: GenericIdMap(tuple(sessions)))
maps = srtp_maps | generic_maps | st.builds(EmptyMap, octet)
headers = st.builds(Header, st.integers(0, 0x7F), word, maps, st.booleans())

timestamps = st.builds(Timestamp, st.integers(0, 2**64 - 1), st.sampled_from(TimestampType))
rands = st.builds(Rand, st.binary(min_size=16, max_size=40))
idrs = st.builds(Idr, st.sampled_from(IdRole), short, st.sampled_from(IdType))
parameters = st.lists(st.tuples(octet, short), max_size=5).map(tuple)
security_policies = st.builds(SecurityPolicy, octet, parameters, octet)
sakkes = st.builds(Sakke, st.binary(max_size=300), octet, octet)
extensions = st.builds(GeneralExtension, octet, short)
signs = st.builds(Sign, st.binary(max_size=140), st.integers(0, 15))

payloads = timestamps | rands | idrs | security_policies | sakkes | extensions


@st.composite
def messages(draw: st.DrawFn) -> IMessage:
    """Messages of all shapes that are allowed, payloads in any order."""
    parts = [draw(timestamps), draw(rands), draw(sakkes)]
    parts += draw(st.lists(idrs, max_size=4, unique_by=lambda idr: idr.role))
    parts += draw(st.lists(security_policies, max_size=3, unique_by=lambda sp: sp.policy_no))
    parts += draw(st.lists(extensions, max_size=3))
    return IMessage(draw(headers), tuple(draw(st.permutations(parts))), draw(signs))
