# SPDX-License-Identifier: GPL-3.0-or-later
"""Secure phone to secure phone through the lab's CRS, with keys of the lab's KMS."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import pytest

from cig_lab import analysis, signals
from cig_lab.crs import CrsServer
from cig_lab.kms import LabKms, months_for
from cig_lab.phone.binding import LegBinding
from cig_lab.phone.call import SecureCall, SecureCallEndedError
from cig_lab.phone.crypto import BindingError, PhoneCrypto
from cig_lab.phone.phone import SecurePhone, dialled_uri
from mikey_sakke.errors import IdentityError, MikeySakkeError, PeriodError, ReplayError
from mikey_sakke.keys import UserKeys
from umsg.messages import Bang, Leg, Message, Talk
from umsg.reasons import Reason

ALICE, BOB = "tel:+46701234567", "tel:+46707654321"
Keys = dict[str, dict[str, UserKeys]]
MONTHS = months_for(time.time())


@pytest.fixture(scope="module")
def kms() -> LabKms:
    return LabKms()


@pytest.fixture(scope="module")
def keys(kms: LabKms) -> Keys:
    return {uri: dict(kms.user_keys(uri, MONTHS)) for uri in (ALICE, BOB)}


@dataclass
class Lab:
    crs: CrsServer
    alice: SecurePhone
    bob: SecurePhone

    async def connect(self) -> tuple[SecureCall, SecureCall]:
        calling = await self.alice.dial("+46707654321")
        called = await self.bob.incoming()
        await calling.growled
        await called.accept()
        await calling.up
        return calling, called


@pytest.fixture
async def lab(kms: LabKms, keys: Keys) -> AsyncIterator[Lab]:
    async with CrsServer(kpak=kms.kpak, domain=kms.domain) as crs:
        phones = [
            SecurePhone(
                keys[uri], crs=crs.tls_address, pin=crs.certificate_sha256, host="127.0.0.1"
            )
            for uri in (ALICE, BOB)
        ]
        await asyncio.gather(*(phone.ready() for phone in phones))
        yield Lab(crs, *phones)
        await asyncio.gather(*(phone.stop() for phone in phones))


async def test_voice_and_digits_through_the_crs(lab: Lab) -> None:
    calling, called = await lab.connect()
    there, back = signals.make("rise", 0.6), signals.make("fall", 0.6)
    await asyncio.gather(calling.send_digits("5*"), called.send_digits("0"))
    await asyncio.gather(calling.play(there), called.play(back))
    await asyncio.sleep(0.05)
    called.hangup()
    assert (await calling.ended).reason is Reason.NORMAL
    assert analysis.compare(there, called.recorded()).ok
    assert analysis.compare(back, calling.recorded()).ok
    assert (called.digits, calling.digits) == ("5*", "0")
    assert calling.setup_seconds is not None


async def test_declined_and_unknown(lab: Lab) -> None:
    calling = await lab.alice.dial("+46707654321")
    (await lab.bob.incoming()).hangup(Reason.DECLINED)
    assert (await calling.ended).reason is Reason.DECLINED
    with pytest.raises(SecureCallEndedError):
        await calling.up
    calling = await lab.alice.dial("+1234")
    assert (await calling.ended).reason is Reason.NOT_FOUND


async def test_answer_that_the_crs_changed_is_refused(lab: Lab) -> None:
    def tamper(message: Message) -> Message:
        return replace(message, codec="PCMU/8000") if isinstance(message, Talk) else message

    lab.crs.tamper = tamper
    calling = await lab.alice.dial("+46707654321")
    called = await lab.bob.incoming()
    await called.accept()
    assert (await calling.ended).reason is Reason.CRYPTO
    assert (await called.ended).reason is Reason.CRYPTO


async def test_call_that_the_crs_changed_is_refused(lab: Lab) -> None:
    def tamper(message: Message) -> Message:
        if isinstance(message, Bang):
            return replace(message, to_uri=message.to_uri + ";101")
        return message

    lab.crs.tamper = tamper
    calling = await lab.alice.dial("+46707654321")
    assert (await calling.ended).reason is Reason.CRYPTO
    assert lab.bob.refused == 1


async def test_broken_connection_is_resumed_and_the_call_lives_on(lab: Lab) -> None:
    calling, called = await lab.connect()
    lab.crs.drop_connections()
    await asyncio.sleep(0.05)
    await asyncio.wait_for(asyncio.gather(lab.alice.ready(), lab.bob.ready()), 10)
    sent = signals.make("rise", 0.5)
    await calling.play(sent)
    assert analysis.compare(sent, called.recorded()).ok
    calling.hangup()
    assert (await called.ended).reason is Reason.NORMAL


async def test_wrong_pin_is_never_spoken_to(lab: Lab, keys: Keys) -> None:
    phone = SecurePhone(keys[ALICE], crs=lab.crs.tls_address, pin=bytes(32), host="127.0.0.1")
    while not phone.link.last_error:
        await asyncio.sleep(0.01)
    assert "pinned" in phone.link.last_error
    await phone.stop()


def banged(crypto: PhoneCrypto, now: float) -> Bang:
    mikey, _ = crypto.place(
        id="A" * 16, from_uri=ALICE, to_uri=BOB, offer=("PCMA/8000",), dtmf=101, now=now
    )
    leg = Leg(addr="127.0.0.1", port=146, ufrag="ufrag", pwd="p" * 24)
    return Bang(
        id="A" * 16,
        from_uri=ALICE,
        to_uri=BOB,
        mikey=mikey,
        offer=("PCMA/8000",),
        dtmf=101,
        leg=leg,
    )


def test_i_message_is_checked(keys: Keys) -> None:
    now = time.time()
    alice, bob = PhoneCrypto(keys[ALICE]), PhoneCrypto(keys[BOB])
    bang = banged(alice, now)
    secrets = bob.take(bang, now)
    assert secrets.ssrc != 0
    with pytest.raises(ReplayError):
        bob.take(bang, now)
    fresh = banged(alice, now)
    with pytest.raises(BindingError):
        bob.take(replace(fresh, dtmf=102), now)
    with pytest.raises(IdentityError):
        bob.take(replace(banged(alice, now), from_uri="tel:+1"), now)
    with pytest.raises(MikeySakkeError):
        bob.take(replace(fresh, mikey=fresh.mikey[:-1] + b"?"), now)
    with pytest.raises(PeriodError):
        alice.place(
            id="A" * 16, from_uri=ALICE, to_uri=BOB, offer=("PCMA/8000",), dtmf=101,
            now=now + 90 * 86400,
        )  # fmt: skip


def test_both_ends_have_the_same_keys_crosswise(keys: Keys) -> None:
    now = time.time()
    alice, bob = PhoneCrypto(keys[ALICE]), PhoneCrypto(keys[BOB])
    mikey, ours = alice.place(
        id="A" * 16, from_uri=ALICE, to_uri=BOB, offer=("PCMA/8000",), dtmf=101, now=now
    )
    leg = Leg(addr="127.0.0.1", port=146, ufrag="ufrag", pwd="p" * 24)
    theirs = bob.take(
        Bang(
            id="A" * 16,
            from_uri=ALICE,
            to_uri=BOB,
            mikey=mikey,
            offer=("PCMA/8000",),
            dtmf=101,
            leg=leg,
        ),
        now,
    )
    assert (ours.tx, ours.rx) == (theirs.rx, theirs.tx)
    mac = theirs.mac("talk", id="A" * 16, codec="PCMA/8000", dtmf=None)
    assert ours.proves(mac, "talk", id="A" * 16, codec="PCMA/8000", dtmf=None)
    assert not ours.proves(mac, "growl", id="A" * 16, codec="PCMA/8000", dtmf=None)
    assert "redacted" in repr(ours)


@pytest.mark.parametrize(
    ("dialled", "uri"),
    [
        ("+8888w101", "tel:+8888;101"),
        ("tel:+8888;101", "tel:+8888;101"),
        ("+46 (70) 123-45.67", "tel:+46701234567"),
        ("+8888", "tel:+8888"),
    ],
)
def test_dialling(dialled: str, uri: str) -> None:
    assert dialled_uri(dialled) == uri


@pytest.mark.parametrize("wrong", ["", "8888", "+8888;1@x", "sip:101@x", "+1234567890123456"])
def test_dialling_refuses(wrong: str) -> None:
    with pytest.raises(ValueError, match="international form"):
        dialled_uri(wrong)


def test_binding_takes_authentic_answers_only() -> None:
    leg = Leg(addr="127.0.0.1", port=146, ufrag="ufrag", pwd="p" * 24)
    binding = LegBinding(leg, lambda length: bytes(length), 0.0)
    request = binding.poll(0.0)
    assert request is not None
    assert binding.poll(0.1) is None
    for data in (b"", b"\0\1", request, bytes(40)):
        binding.receive(data, 0.2)
    assert (binding.bound, binding.refused) == (False, 4)
    assert binding.poll(0.5) is not None


def test_kms_issues_for_the_gateway(kms: LabKms) -> None:
    material = kms.gateway_material("tel:+8888", MONTHS, crs="127.0.0.1:5223", anchor_pin=bytes(32))
    assert [keys.period for keys in material.periods] == [f"{month}-1" for month in MONTHS]
    assert {keys.kms.kpak for keys in material.periods} == {kms.kpak}
    assert "Secret" not in repr(material).replace("Secret(redacted)", "")
