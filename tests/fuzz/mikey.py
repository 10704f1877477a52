# SPDX-License-Identifier: GPL-3.0-or-later
"""What must hold for any MIKEY message: the one function that all the fuzzing goes through.

Nothing but a `MikeySakkeError` may come out of the library, what can be read must be written
again octet by octet, and any octets must be fit to be shown.
"""

from contextlib import suppress

from mikey_sakke import mcx, profile, receiver, sdp
from mikey_sakke.dump import dump, fault, recognise
from mikey_sakke.errors import MikeySakkeError
from mikey_sakke.identity import TEL_MONTHLY, HashedUid, IdentityScheme
from mikey_sakke.message import IMessage
from mikey_sakke.periods import from_ntp
from mikey_sakke.policy import SrtpPolicy

KMS = "kms.example.org"
UID_SCHEME = HashedUid(KMS, 2_592_000)
OWN = {TEL_MONTHLY: "tel:+8888", UID_SCHEME: "sip:bob@example.org"}
PROFILES = (
    (profile.UMSG, TEL_MONTHLY),
    (profile.RFC6509, TEL_MONTHLY),
    (mcx.PROFILE, UID_SCHEME),
)
NEAR = 1_794_900_000.0
MOST_LINES = 6_000


def check(octets: bytes) -> None:
    """Read, show and precheck these octets; raise AssertionError if all is not well."""
    check_text(octets)
    check_dump(octets)
    try:
        message = IMessage.parse(octets)
    except MikeySakkeError:
        assert fault(octets) is not None
        return
    assert fault(octets) is None
    assert message.encode() == octets
    for extension in message.extensions:
        with suppress(MikeySakkeError):
            extension.key_ids()
    for payload in message.policies:
        with suppress(MikeySakkeError):
            policy = SrtpPolicy.from_payload(payload)
            policy.check_acceptable()
            assert SrtpPolicy.from_payload(policy.to_payload(payload.policy_no)) == policy
    # At the message's own time, so that no clock stops what comes after it.
    now = from_ntp(message.timestamp.ntp, near=NEAR)
    for demands, scheme in PROFILES:
        check_precheck(octets, now, demands, scheme)


def check_precheck(
    octets: bytes, now: float, demands: profile.Profile, scheme: IdentityScheme
) -> None:
    """Take a message as far as it goes without a key."""
    with suppress(MikeySakkeError):
        parsed = receiver.precheck(
            octets, now=now, own_uri=OWN[scheme], profile=demands, scheme=scheme
        )
        assert octets.startswith(parsed.signed_prefix)
        assert len(parsed.replay_key) == 32
        assert parsed.binding is None or len(parsed.binding) == 32
        assert len(demands.crypto_sessions(parsed.message.header)) >= demands.min_sessions
        demands.policy(parsed.message)


def check_dump(octets: bytes) -> None:
    """Show the octets: every line can be printed on any terminal."""
    lines = dump(octets).split("\n")
    assert lines[-1] == ""
    assert len(lines) < MOST_LINES
    assert all(line.isprintable() for line in lines)


def check_text(octets: bytes) -> None:
    """Take the octets for a text in which a message may be, and for a session description."""
    with suppress(MikeySakkeError):
        recognise(octets)
    text = octets.decode("latin-1")
    for description in (text, "a=key-mgmt:" + text):
        with suppress(MikeySakkeError):
            offer = sdp.parse(description)
            for attribute in (*offer.session, *(one for level in offer.media for one in level)):
                with suppress(MikeySakkeError):
                    found = attribute.octets()
                    if 0 < len(found) <= 4096:
                        line = sdp.make_line(found, protocol=attribute.protocol)
                        assert sdp.parse_line(line).octets() == found
