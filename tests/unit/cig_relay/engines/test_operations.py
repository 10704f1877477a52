# SPDX-License-Identifier: GPL-3.0-or-later
"""Which keys an engine computes with: of the right month, revision and KMS."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from cig_material import document
from cig_material.material import KeyMaterial, KmsParameters, PeriodKeys
from cig_relay.engines.operations import Operations
from cig_relay.engines.self_test import SelfTestError, self_test
from cig_relay.engines.wire import (
    Authentic,
    Build,
    BuildText,
    CallSecrets,
    CheckSignature,
    Failed,
    Load,
    Open,
    OpenText,
    Ready,
    Refused,
    Sign,
    Signature,
    TextSecrets,
    Verify,
    decode,
    encode,
)
from mikey_sakke import eccsi, initiator, receiver
from mikey_sakke.identifiers import tel_identifier
from mikey_sakke.kms import MasterKeys
from mikey_sakke.secret import Secret
from umsg.binding import TEXT_INFO
from umsg.framing import FrameDecoder
from umsg.texts import MAX_AGE
from unit.cig_relay.keys.lab import ALICE, GATEWAY, KMS_URI, domain, kms, material

NOVEMBER, DECEMBER = "2026-11", "2026-12"
MIDDLE = datetime(2026, 11, 15, 12, tzinfo=UTC).timestamp()
BOUNDARY = datetime(2026, 12, 1, tzinfo=UTC).timestamp()
BINDING = bytes(32)

OLD = MasterKeys.generate()
NEW = MasterKeys.generate()


def _period(masters: MasterKeys, period: str) -> PeriodKeys:
    identifier = tel_identifier(GATEWAY, period[:7])
    ssk, pvt = masters.issue_ssk(identifier)
    parameters = KmsParameters(KMS_URI, masters.kpak, masters.z_public)
    return PeriodKeys(period, parameters, Secret(ssk), pvt, Secret(masters.issue_rsk(identifier)))


def _operations(*periods: PeriodKeys) -> Operations:
    operations = Operations(os.urandom)
    assert operations.answer(Load(document.encode(material(periods=periods)))) == Ready()
    return operations


def _message(masters: MasterKeys, moment: float) -> initiator.Built:
    month = datetime.fromtimestamp(moment, UTC).strftime("%Y-%m")
    caller = masters.issue(ALICE, month, kms_uri=KMS_URI)
    return initiator.build(caller, to_uri=GATEWAY, ssrc=7, binding=BINDING, now=moment)


@pytest.mark.parametrize("order", [1, -1])
def test_each_month_is_served_under_its_own_kms_parameters(order: int) -> None:
    periods = (_period(OLD, "2026-11-1"), _period(NEW, "2026-12-1"))[::order]
    operations = _operations(*periods)
    # A second before and after midnight; both months count at both moments.
    for masters, moment in ((OLD, BOUNDARY - 1), (NEW, BOUNDARY + 1)):
        built = _message(masters, moment)
        for now in (BOUNDARY - 30, BOUNDARY + 30):
            assert operations.answer(Verify(built.message, now)) == Authentic(short=False)
            opened = operations.answer(Open(built.message, now))
            assert isinstance(opened, CallSecrets)
            assert opened.caller.reveal() == built.keys.initiator.reveal()


def test_a_signature_without_the_sign_header_is_good_only_for_those_who_ask() -> None:
    operations = _operations(_period(OLD, "2026-11-1"))
    built = _message(OLD, MIDDLE)
    prefix = built.message[: built.signed_prefix_len]
    signer = OLD.issue(ALICE, NOVEMBER, kms_uri=KMS_URI).signer
    short = prefix + signer.sign(prefix[:-2])
    for request in (Verify(short, MIDDLE), Open(short, MIDDLE)):
        answer = operations.answer(request)
        assert isinstance(answer, Refused)
        assert answer.reason == "signature"
    assert operations.answer(Verify(short, MIDDLE, accept_short=True)) == Authentic(short=True)
    opened = operations.answer(Open(short, MIDDLE, accept_short=True))
    assert isinstance(opened, CallSecrets)
    assert opened.caller.reveal() == built.keys.initiator.reveal()
    whole = operations.answer(Verify(built.message, MIDDLE, accept_short=True))
    assert whole == Authentic(short=False)
    other = prefix + signer.sign(prefix[:-3])
    assert isinstance(operations.answer(Verify(other, MIDDLE, accept_short=True)), Refused)


@pytest.mark.parametrize(("masters", "moment"), [(OLD, BOUNDARY + 1), (NEW, BOUNDARY - 1)])
def test_a_signature_under_the_other_months_kms_is_refused(
    masters: MasterKeys, moment: float
) -> None:
    operations = _operations(_period(OLD, "2026-11-1"), _period(NEW, "2026-12-1"))
    message = _message(masters, moment).message
    for request in (Verify(message, BOUNDARY), Open(message, BOUNDARY)):
        answer = operations.answer(request)
        assert isinstance(answer, Refused)
        assert answer.reason == "signature"


def test_the_highest_revision_of_a_month_serves() -> None:
    # Revision 10 comes after 9 by number, not by text.
    operations = _operations(_period(OLD, "2026-11-9"), _period(NEW, "2026-11-10"))
    built = _message(NEW, MIDDLE)
    assert isinstance(operations.answer(Open(built.message, MIDDLE)), CallSecrets)
    answer = operations.answer(Verify(_message(OLD, MIDDLE).message, MIDDLE))
    assert isinstance(answer, Refused)
    made = operations.answer(Build(ALICE, MIDDLE, 9, 5, BINDING))
    assert isinstance(made, CallSecrets)
    alice = NEW.issue(ALICE, NOVEMBER, kms_uri=KMS_URI)
    parsed = receiver.precheck(made.message, now=MIDDLE, own_uri=ALICE)
    opened = receiver.open(receiver.verify(parsed, verifier=alice.verifier), alice)
    assert opened.initiator.reveal() == made.caller.reveal()


def test_a_login_is_signed_by_the_revision_that_is_named() -> None:
    operations = _operations(_period(OLD, "2026-11-1"), _period(NEW, "2026-11-2"))
    for period, masters in (("2026-11-1", OLD), ("2026-11-2", NEW)):
        signed = operations.answer(Sign(period, b"text"))
        assert isinstance(signed, Signature)
        identifier = tel_identifier(GATEWAY, NOVEMBER)
        eccsi.verify(signed.sig, b"text", identifier=identifier, kpak=masters.kpak)


def test_a_higher_revision_that_is_loaded_later_takes_over() -> None:
    operations = _operations(_period(OLD, "2026-11-1"))
    message = _message(NEW, MIDDLE).message
    assert isinstance(operations.answer(Verify(message, MIDDLE)), Refused)
    later = material(periods=(_period(OLD, "2026-11-1"), _period(NEW, "2026-11-2")))
    assert operations.answer(Load(document.encode(later))) == Ready()
    assert operations.answer(Verify(message, MIDDLE)) == Authentic(short=False)


def test_keys_of_another_month_do_not_stand_in() -> None:
    operations = _operations(_period(OLD, "2026-12-1"))
    message = _message(OLD, BOUNDARY - 1).message
    for request in (
        Verify(message, BOUNDARY),
        Open(message, BOUNDARY),
        Build(ALICE, MIDDLE, 9, 5, BINDING),
        Sign("2026-11-1", b"text"),
    ):
        answer = operations.answer(request)
        assert isinstance(answer, Refused)
        assert answer.reason == "period"


def _text_key(built: initiator.Built) -> bytes:
    return built.keys.answer_key(TEXT_INFO).reveal()[:16]


def test_a_text_s_message_gives_the_text_s_key_and_no_other() -> None:
    operations = _operations(_period(OLD, "2026-11-1"))
    built = _message(OLD, MIDDLE)
    opened = operations.answer(OpenText(built.message, MIDDLE))
    assert opened == TextSecrets(b"", _text_key(built))
    made = operations.answer(BuildText(ALICE, MIDDLE, 9, 5, BINDING))
    assert isinstance(made, TextSecrets)
    alice = OLD.issue(ALICE, NOVEMBER, kms_uri=KMS_URI)
    parsed = receiver.precheck(made.message, now=MIDDLE, own_uri=ALICE)
    session = receiver.open(receiver.verify(parsed, verifier=alice.verifier), alice)
    assert made.key == session.answer_key(TEXT_INFO).reveal()[:16]
    for answer in (opened, made):
        assert repr(answer.key) not in repr(answer)
        (payload,) = FrameDecoder().feed(encode(1, answer))
        assert decode(payload) == (1, answer)


def test_a_text_s_message_may_be_old_but_its_month_must_count() -> None:
    operations = _operations(_period(OLD, "2026-11-1"), _period(NEW, "2026-12-1"))
    late = _message(OLD, BOUNDARY - 60)
    for age in (0.0, 3600.0, MAX_AGE - 1):
        opened = operations.answer(OpenText(late.message, BOUNDARY - 60 + age))
        assert isinstance(opened, TextSecrets)
    refused = operations.answer(OpenText(late.message, BOUNDARY - 60 + MAX_AGE + 1))
    assert isinstance(refused, Refused)
    assert refused.reason == "stale"
    old = operations.answer(Open(late.message, BOUNDARY + 3600))
    assert isinstance(old, Refused)
    assert old.reason == "stale"


def test_a_text_is_opened_only_under_a_good_signature() -> None:
    operations = _operations(_period(OLD, "2026-11-1"))
    built = _message(OLD, MIDDLE)
    prefix = built.message[: built.signed_prefix_len]
    short = prefix + OLD.issue(ALICE, NOVEMBER, kms_uri=KMS_URI).signer.sign(prefix[:-2])
    forged = built.message[:-1] + bytes([built.message[-1] ^ 1])
    for message in (short, forged):
        answer = operations.answer(OpenText(message, MIDDLE))
        assert isinstance(answer, Refused)
        assert answer.reason == "signature"
    taken = operations.answer(OpenText(short, MIDDLE, accept_short=True))
    assert taken == TextSecrets(b"", _text_key(built), short=True)
    assert isinstance(operations.answer(OpenText(forged, MIDDLE, accept_short=True)), Refused)


def test_signatures_of_others_are_checked_under_their_month_s_kms() -> None:
    operations = _operations(_period(OLD, "2026-11-1"), _period(NEW, "2026-12-1"))
    for masters, month in ((OLD, NOVEMBER), (NEW, DECEMBER)):
        sig = masters.issue(ALICE, month, kms_uri=KMS_URI).signer.sign(b"text")
        assert operations.answer(CheckSignature(ALICE, month, b"text", sig)) == Ready()
        other = DECEMBER if month == NOVEMBER else NOVEMBER
        for wrong in (
            CheckSignature(ALICE, other, b"text", sig),
            CheckSignature(GATEWAY, month, b"text", sig),
            CheckSignature(ALICE, month, b"next", sig),
            CheckSignature(ALICE, month, b"text", sig[:-1]),
        ):
            answer = operations.answer(wrong)
            assert isinstance(answer, Refused)
            assert answer.reason == "signature"
    answer = operations.answer(CheckSignature(ALICE, "2026-10", b"text", bytes(129)))
    assert isinstance(answer, Refused)
    assert answer.reason == "period"


def test_wrong_keys_leave_the_old_ones_in_use() -> None:
    operations = _operations(_period(OLD, "2026-11-1"))
    wrong = replace(_period(NEW, "2026-11-2"), kms=kms())
    assert isinstance(operations.answer(Load(_encoded(wrong))), Refused)
    assert isinstance(operations.answer(Load(b"rubbish")), Failed)
    assert operations.answer(Verify(_message(OLD, MIDDLE).message, MIDDLE)) == Authentic(
        short=False
    )
    assert operations.answer(Load(b"")) == Ready()
    assert isinstance(operations.answer(Sign("2026-11-1", b"text")), Refused)


def _encoded(*periods: PeriodKeys) -> bytes:
    whole: KeyMaterial = material(periods=periods)
    return document.encode(whole)


def test_what_fails_names_no_value() -> None:
    answer = _operations(_period(domain(), "2026-11-1")).answer(Load(b"\xa1secret-octets"))
    assert isinstance(answer, Failed)
    assert "secret" not in answer.text


def test_an_engine_that_computes_right_passes_its_test() -> None:
    self_test(os.urandom)


def test_an_engine_that_computes_wrong_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    right = Operations.answer

    def wrong(operations: Operations, request: object) -> object:
        answer = right(operations, request)  # type: ignore[arg-type]
        if isinstance(request, Open) and isinstance(answer, CallSecrets):
            return replace(answer, caller_key=bytes(16))
        return answer

    monkeypatch.setattr(Operations, "answer", wrong)
    with pytest.raises(SelfTestError):
        self_test(os.urandom)
