# SPDX-License-Identifier: GPL-3.0-or-later
"""The key material document: one versioned CBOR map, the only form in which the keys are written.

What is sealed for transport, what cig.raw holds, what the keystore seals and what an engine is
given is this same map. Its encoding is deterministic (RFC 8949 section 4.2.1), and its periods
stand oldest first and its KMS in the order in which the periods name them, each once, so that
equal material has equal octets. Fields of version 1, none of which may be missing or surplus:

| field | value |
| --- | --- |
| ``v`` | 1 |
| ``uri`` | the public id, a tel URI without extension: ``tel:+8888`` |
| ``domain`` | the security domain's name |
| ``crs`` | array of ``host:port``, in order of preference |
| ``pin`` | SHA-256 of the CRS's certificate in DER, 32 octets, or null |
| ``ca`` | certificates in PEM as octets, or null |
| ``kms`` | array of maps: ``uri``, ``set`` (1), ``kpak`` (65 octets), ``z`` (257) |
| ``periods`` | array of maps: ``month`` (``YYYY-MM``), ``revision``, ``kms`` (an index into the \
array above), ``ssk`` (32 octets), ``pvt`` (65), ``rsk`` (257) |
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cig_material.errors import MaterialError, NewerVersionError
from cig_material.material import KeyMaterial, KmsParameters, PeriodKeys
from cig_material.period import Period
from mikey_sakke.secret import Secret
from umsg import cbor
from umsg.errors import CborError

VERSION = 1
MAX_OCTETS = 61440
"""36 periods under as many KMS and 32 KiB of certificates; sealed it fits into one frame."""
_WHAT = "the key material"
_FIELDS = {
    "v": int,
    "uri": str,
    "domain": str,
    "crs": list,
    "pin": bytes | None,
    "ca": bytes | None,
    "kms": list,
    "periods": list,
}
_KMS_FIELDS = {"uri": str, "set": int, "kpak": bytes, "z": bytes}
_PERIOD_FIELDS = {
    "month": str,
    "revision": int,
    "kms": int,
    "ssk": bytes,
    "pvt": bytes,
    "rsk": bytes,
}


def encode(material: KeyMaterial) -> bytes:
    """Give the document of ``material``, secrets in clear.

    Raises `MaterialError` for material that makes more than 61440 octets.
    """
    kms = list(dict.fromkeys(keys.kms for keys in material.periods))
    octets = cbor.encode(
        {
            "v": VERSION,
            "uri": material.uri,
            "domain": material.domain,
            "crs": list(material.crs),
            "pin": material.anchor_pin,
            "ca": None if material.anchor_ca is None else material.anchor_ca.encode(),
            "kms": [_kms_map(parameters) for parameters in kms],
            "periods": [_period_map(keys, kms) for keys in material.periods],
        }
    )
    if len(octets) > MAX_OCTETS:
        raise MaterialError(f"{_WHAT} is longer than {MAX_OCTETS} octets: take fewer periods")
    return octets


def decode(octets: bytes) -> KeyMaterial:
    """Read a document of at most 61440 octets.

    Raises `NewerVersionError` for another version, `MaterialError` for anything else that is
    wrong. Keys' equations are not checked here.
    """
    if len(octets) > MAX_OCTETS:
        raise MaterialError(f"{_WHAT} is longer than {MAX_OCTETS} octets")
    try:
        values = cbor.decode_map(octets)
    except CborError:
        # The decoder's own error could quote the key octets that it stumbled over.
        raise MaterialError(f"{_WHAT} is damaged: it holds no CBOR map") from None
    version = values.get("v")
    if type(version) is int and version > VERSION:
        raise NewerVersionError(_WHAT, version, VERSION)
    try:
        material = _material(_checked(values, _FIELDS, _WHAT))
    except ValueError as error:
        raise MaterialError(f"{_WHAT} is wrong: {error}") from None
    if encode(material) != octets:
        raise MaterialError(f"{_WHAT} is wrong: its KMS or its periods are not in their order")
    return material


def _kms_map(parameters: KmsParameters) -> dict[str, object]:
    return {
        "uri": parameters.uri,
        "set": parameters.parameter_set,
        "kpak": parameters.kpak,
        "z": parameters.z,
    }


def _period_map(keys: PeriodKeys, kms: list[KmsParameters]) -> dict[str, object]:
    period = Period.parse(keys.period)
    return {
        "month": period.month,
        "revision": period.revision,
        "kms": kms.index(keys.kms),
        "ssk": keys.ssk.reveal(),
        "pvt": keys.pvt,
        "rsk": keys.rsk.reveal(),
    }


def _material(values: Mapping[str, Any]) -> KeyMaterial:
    if values["v"] != VERSION:
        raise ValueError(f"it has no format version {VERSION}")
    crs = values["crs"]
    if not all(type(address) is str for address in crs):
        raise ValueError("the CRS addresses are no texts")
    kms = [_kms(_checked(item, _KMS_FIELDS, "a KMS")) for item in values["kms"]]
    periods = [
        _period_keys(_checked(item, _PERIOD_FIELDS, "a period"), kms) for item in values["periods"]
    ]
    if {id(keys.kms) for keys in periods} != {id(parameters) for parameters in kms}:
        raise ValueError("it holds parameters of a KMS that no period names")
    return KeyMaterial(
        uri=values["uri"],
        domain=values["domain"],
        crs=tuple(crs),
        anchor_pin=values["pin"],
        anchor_ca=None if values["ca"] is None else _pem(values["ca"]),
        periods=tuple(periods),
    )


def _kms(values: Mapping[str, Any]) -> KmsParameters:
    return KmsParameters(values["uri"], values["kpak"], values["z"], values["set"])


def _period_keys(values: Mapping[str, Any], kms: list[KmsParameters]) -> PeriodKeys:
    if not 0 <= values["kms"] < len(kms):
        raise ValueError("a period names a KMS that is not there")
    if not 0 <= values["revision"] <= 999_999_999:
        raise ValueError("a revision is no number of at most 9 digits")
    return PeriodKeys(
        period=f"{values['month'][:16]}-{values['revision']}",
        kms=kms[values["kms"]],
        ssk=Secret(values["ssk"]),
        pvt=values["pvt"],
        rsk=Secret(values["rsk"]),
    )


def _pem(octets: bytes) -> str:
    try:
        return octets.decode("ascii")
    except UnicodeDecodeError:
        raise ValueError("the CA certificate is not in PEM") from None


def _checked(values: object, fields: Mapping[str, Any], what: str) -> Mapping[str, Any]:
    """Give the map back if it has just these fields of these types; raises ValueError."""
    if not isinstance(values, dict) or set(values) != set(fields):
        raise ValueError(f"{what} has not just the fields {' '.join(fields)}")
    for name, kind in fields.items():
        if not isinstance(values[name], kind) or isinstance(values[name], bool):
            raise ValueError(f"{what}: the field {name} is of a wrong type")
    return values
