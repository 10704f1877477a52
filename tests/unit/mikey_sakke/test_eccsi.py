# SPDX-License-Identifier: GPL-3.0-or-later
"""ECCSI: the vectors of RFC 6507, every negative case, and the paths they do not reach."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mikey_sakke import MikeySakkeError, VerificationError, eccsi
from mikey_sakke.errors import KeyValidationError, ParameterError, Reason
from unit.mikey_sakke.support import deterministic, sequence, unhex, vector

RFC = {name: unhex(vector("eccsi")[name]) for name in ("ID", "SSK", "PVT", "KPAK", "M", "Sig", "j")}
KEYS = {
    "identifier": RFC["ID"],
    "ssk": RFC["SSK"],
    "pvt": RFC["PVT"],
    "kpak": RFC["KPAK"],
}
PUBLIC = {"identifier": RFC["ID"], "kpak": RFC["KPAK"]}
NEGATIVE = vector("eccsi_negative")["tests"]


def test_signature_equals_rfc_vector():
    signature = eccsi.sign(RFC["M"], **KEYS, random_bytes=sequence(RFC["j"]))
    assert signature == RFC["Sig"]


def test_blinding_does_not_show_in_the_signature():
    for blinding in (1, 2, 2**255):
        source = sequence(RFC["j"], blinding.to_bytes(32, "big"))
        assert eccsi.sign(RFC["M"], **KEYS, random_bytes=source) == RFC["Sig"]


def test_intermediate_values_equal_rfc_vector():
    data = vector("eccsi")
    hs = eccsi.hash_hs(RFC["ID"], RFC["PVT"], RFC["KPAK"])
    assert hs.hex() == data["HS"]
    assert eccsi.hash_he(hs, unhex(data["r"]), RFC["M"]).hex() == data["HE"]
    assert eccsi.multiply_base(int(data["j"], 16)).hex() == data["J"]
    assert eccsi.G_OCTETS.hex() == data["G"]
    y = eccsi.P256.add(
        eccsi.P256.multiply(int(data["HS"], 16), eccsi.P256.decode(RFC["PVT"])),
        eccsi.P256.decode(RFC["KPAK"]),
    )
    assert eccsi.P256.encode(y).hex() == data["Y"]


@pytest.mark.parametrize("case", NEGATIVE, ids=lambda case: f"{case['tcId']}-{case['comment']}")
@pytest.mark.parametrize("remembering", [False, True])
def test_every_case(case, remembering):
    kpak, identifier = unhex(case["kpak"]), unhex(case["id"])
    signature, message = unhex(case["sig"]), unhex(case["msg"])

    def run() -> None:
        if remembering:
            eccsi.Verifier(kpak).verify(signature, message, identifier=identifier)
        else:
            eccsi.verify(signature, message, identifier=identifier, kpak=kpak)

    if case["result"] == "invalid":
        with pytest.raises(VerificationError) as caught:
            run()
        assert caught.value.reason is Reason.SIGNATURE
    else:
        run()


def test_sign_without_a_source_is_fresh_each_time():
    first, second = eccsi.sign(b"text", **KEYS), eccsi.sign(b"text", **KEYS)
    assert first != second
    for signature in (first, second):
        eccsi.verify(signature, b"text", **PUBLIC)
        with pytest.raises(VerificationError):
            eccsi.verify(signature, b"texT", **PUBLIC)


def test_every_bit_of_a_signature_counts():
    for bit in range(8 * len(RFC["Sig"])):
        flipped = bytearray(RFC["Sig"])
        flipped[bit // 8] ^= 0x80 >> bit % 8
        with pytest.raises(VerificationError):
            eccsi.verify(bytes(flipped), RFC["M"], **PUBLIC)


def _scalars(r: int, s: int) -> bytes:
    return r.to_bytes(32, "big") + s.to_bytes(32, "big") + RFC["PVT"]


@pytest.mark.parametrize("r", [0, 1, eccsi._P - eccsi._Q - 1, eccsi._Q, eccsi._P - 1, eccsi._P])
@pytest.mark.parametrize("s", [0, 1, eccsi._Q - 1, eccsi._Q, 2**256 - 1])
def test_edges_of_the_ranges_are_refused(r, s):
    with pytest.raises(VerificationError):
        eccsi.verify(_scalars(r, s), RFC["M"], **PUBLIC)


def test_both_ways_to_check_the_equation_agree():
    data = vector("eccsi")
    y = eccsi.P256.decode(unhex(data["Y"]))
    he, r, s = (int(data[name], 16) for name in ("HE", "r", "s"))
    assert eccsi.equation_holds(he, r, s, y)
    assert eccsi.equation_holds(he, r, eccsi._Q - s, y)
    assert not eccsi.equation_holds(he + 1, r, s, y)
    assert not eccsi.equation_holds(he, r, s - 1, y)


def test_r_between_q_and_p_is_compared_modulo_p():
    """A point J with q <= Jx < p: only the way without OpenSSL can decide on it.

    Such a signature cannot be made (J would have to be of known logarithm), so the equation is
    put together from its end: Y = [r^-1]([s^-1]J - [HE]G).
    """
    curve, q = eccsi.P256, eccsi._Q
    x = q
    while pow(x**3 - 3 * x + int(curve.b), (eccsi._P - 1) // 2, eccsi._P) != 1:
        x += 1
    assert q <= x < eccsi._P
    y_squared = (x**3 - 3 * x + int(curve.b)) % eccsi._P
    j = (x, pow(y_squared, (eccsi._P + 1) // 4, eccsi._P))
    assert curve.contains(j)
    he, s, r = 0x1234, 0x5678, x
    scaled = curve.multiply(pow(s, -1, q), j)
    minus = curve.multiply(q - he, eccsi.G)
    y = curve.multiply(pow(r, -1, q), curve.add(scaled, minus))
    assert eccsi.equation_holds(he, r, s, y)
    assert not eccsi.equation_holds(he, r - q, s, y), "r and r - q are not the same to ECCSI"


def test_infinity_is_refused():
    # [HE]G + [r]Y = infinity for Y = G and r = q - HE
    assert not eccsi.equation_holds(5, eccsi._Q - 5, 1, eccsi.G)


def test_validate():
    eccsi.validate(**KEYS)
    bad = {
        "identifier": RFC["ID"] + b"x",
        "ssk": (int.from_bytes(RFC["SSK"], "big") + 1).to_bytes(32, "big"),
        "pvt": RFC["KPAK"],
        "kpak": RFC["PVT"],
    }
    for name, value in bad.items():
        with pytest.raises(KeyValidationError):
            eccsi.validate(**(KEYS | {name: value}))


@pytest.mark.parametrize("name", ["ssk", "pvt", "kpak"])
@pytest.mark.parametrize(
    "value", [b"", b"\0" * 32, b"\xff" * 32, b"\x04" + b"\xff" * 64, b"x" * 65]
)
def test_validate_refuses_garbage(name, value):
    with pytest.raises(KeyValidationError):
        eccsi.validate(**(KEYS | {name: value}))


@pytest.mark.parametrize(
    ("name", "value"),
    [("ssk", b""), ("ssk", bytes(32)), ("ssk", b"\xff" * 32), ("pvt", b"x"), ("kpak", b"x")],
)
def test_sign_refuses_keys_of_wrong_shape(name, value):
    with pytest.raises(ParameterError):
        eccsi.sign(b"text", **(KEYS | {name: value}))


def test_a_broken_random_source_ends_in_an_error():
    with pytest.raises(ParameterError):
        eccsi.sign(b"text", **KEYS, random_bytes=bytes)


@given(signature=st.binary(max_size=140), kpak=st.binary(max_size=70), identifier=st.binary())
def test_verify_raises_nothing_else(signature, kpak, identifier):
    with pytest.raises(VerificationError):
        eccsi.verify(signature, b"", identifier=identifier, kpak=kpak)
    with pytest.raises(VerificationError):
        eccsi.verify(signature, b"", **PUBLIC)


@given(message=st.binary(max_size=100), seed=st.text(max_size=5))
def test_sign_and_verify_agree(message, seed):
    signer = eccsi.Signer(**KEYS)
    signature = signer.sign(message, random_bytes=deterministic(seed))
    assert len(signature) == eccsi.SIGNATURE_LENGTH
    eccsi.verify(signature, message, **PUBLIC)


def test_verifier_remembers_only_whom_it_verified():
    verifier = eccsi.Verifier(RFC["KPAK"], capacity=2)
    with pytest.raises(VerificationError):
        verifier.verify(RFC["Sig"], b"another", identifier=RFC["ID"])
    assert len(verifier) == 0
    verifier.verify(RFC["Sig"], RFC["M"], identifier=RFC["ID"])
    verifier.verify(RFC["Sig"], RFC["M"], identifier=RFC["ID"])
    assert len(verifier) == 1
    with pytest.raises(VerificationError):
        verifier.verify(RFC["Sig"], b"another", identifier=RFC["ID"])


def test_signer_shows_no_key():
    assert repr(eccsi.Signer(**KEYS)) == "Signer(redacted)"
    assert issubclass(VerificationError, MikeySakkeError)
