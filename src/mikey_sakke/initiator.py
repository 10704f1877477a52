# SPDX-License-Identifier: GPL-3.0-or-later
"""Making I_MESSAGEs (RFC 6509 §2.2): `build` for one, `Initiator` for many.

The SSV is random, encapsulated to the responder's identity of the period of T, and the message
is signed by the initiator's key of that period. `BuildOptions` says what else a message has.
"""

import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from mikey_sakke import eccsi, sakke
from mikey_sakke.errors import ParameterError, PeriodError, UnsupportedError
from mikey_sakke.header import (
    CsIdMap,
    EmptyMap,
    GenericCs,
    GenericIdMap,
    Header,
    MapType,
    SrtpCs,
    SrtpIdMap,
)
from mikey_sakke.identifiers import ID_SCHEME_HASHED_UID
from mikey_sakke.keys import UserKeys
from mikey_sakke.message import MAX_LENGTH, IMessage
from mikey_sakke.payloads import (
    GeneralExtension,
    Idr,
    IdRole,
    Rand,
    Sakke,
    Sign,
    Timestamp,
)
from mikey_sakke.periods import from_ntp, to_ntp
from mikey_sakke.policy import DEFAULT_POLICY, PROTOCOL_SRTP, SrtpPolicy
from mikey_sakke.prf import PrfFunction
from mikey_sakke.profile import DIGEST_LENGTH, EXTENSION_VENDOR, UMSG, Profile
from mikey_sakke.secret import Secret
from mikey_sakke.session import SessionKeys, derive_session_keys, signed_prefix
from mikey_sakke.wire import check_uint

RAND_LENGTH = 16
_REMEMBERED = 4096
_MAX_DRAWS = 64

RandomBytes = Callable[[int], bytes]


@dataclass(frozen=True, slots=True)
class Built:
    """A message ready to be sent, and its keys.

    The signature covers the first `signed_prefix_len` octets of `message`.
    """

    message: bytes
    signed_prefix_len: int
    keys: SessionKeys

    @property
    def ssv(self) -> Secret:
        """The shared secret value, 16 octets."""
        return self.keys.ssv

    @property
    def rand(self) -> bytes:
        """The RAND of the message, 16 octets."""
        return self.keys.rand

    @property
    def csb_id(self) -> int:
        """The CSB ID of the message, 32 bits (RFC 3830 §6.1)."""
        return self.keys.csb_id


@dataclass(frozen=True, slots=True)
class BuildOptions:
    """What a message shall look like; without any, one in the profile of UMSG/1.

    `prf_func`: 0 or 1 (RFC 3830 §4.1.2, RFC 6043 §6.1). `policy`: the SRTP policy that SP number 0
    states; None leaves SP out, and the default policy holds. `map_type`: the CS ID map, with a
    session for each direction; `cs_map` is a ready map in its place. `extensions` come after
    SAKKE in this order. `profile` is the one by which the message will be read: it has the CS
    IDs of an empty map and the fewest sessions.

    `name_uris` writes IDRi and IDRr with the URIs. For a `HashedUid` scheme alone, `name_uids`
    writes IDRuidi and IDRuidr with the UIDs (ID type URI, as 3GPP products have it); `name_kms`
    writes IDRkmsi and IDRkmsr for keys whose KMS is known.
    """

    prf_func: int = PrfFunction.HMAC_SHA_256
    policy: SrtpPolicy | None = DEFAULT_POLICY
    map_type: MapType = MapType.SRTP_ID
    cs_map: CsIdMap | None = None
    extensions: tuple[GeneralExtension, ...] = ()
    profile: Profile = UMSG
    name_uris: bool = True
    name_uids: bool = False
    name_kms: bool = False


DEFAULT_OPTIONS = BuildOptions()


def two_sessions(map_type: int, ssrc: int) -> CsIdMap:
    """Make a CS ID map with a session for each direction under policy 0.

    `ssrc` (32 bits) is that of the initiator's stream; the peer fills in its own. Maps of type 0
    (SRTP-ID) and 2 (GENERIC-ID) say that CS ID 1 is the initiator's stream and 2 the
    responder's; type 1 (empty) says nothing. Raises `UnsupportedError` for another type,
    `ParameterError` for an SSRC that does not fit.
    """
    check_uint(ssrc, 32, "SSRC")
    if map_type == MapType.SRTP_ID:
        return SrtpIdMap((SrtpCs(0, ssrc), SrtpCs(0, 0)))
    if map_type == MapType.EMPTY:
        return EmptyMap()
    if map_type == MapType.GENERIC_ID:
        return GenericIdMap(
            tuple(
                GenericCs(cs_id, PROTOCOL_SRTP, False, b"\0", number.to_bytes(4, "big"), b"")
                for cs_id, number in ((1, ssrc), (2, 0))
            )
        )
    raise UnsupportedError(f"CS ID map type {map_type} is unknown")


def build(
    keys: UserKeys,
    *,
    to_uri: str,
    binding: bytes | None,
    now: float,
    ssrc: int = 0,
    csb_id: int | None = None,
    timestamp: int | None = None,
    ssv: bytes | None = None,
    rand: bytes | None = None,
    options: BuildOptions = DEFAULT_OPTIONS,
    random_bytes: RandomBytes = secrets.token_bytes,
) -> Built:
    """Make an I_MESSAGE from the owner of `keys` to `to_uri`, in the profile of UMSG/1 by default.

    `ssrc` (32 bits, not 0) is that of the stream which the initiator will send; only where the
    map of the `options` has no place for it may it be left out. `binding` is the 32-octet digest
    for the vendor extension that ties the message to its call; None leaves the extension out,
    for peers of another profile. `csb_id` (32 bits), `ssv` (16 octets) and `rand` (16 to 255) are
    random where they are None: a shared key, such as a group's, is given as `ssv`. `timestamp` is
    the 64-bit NTP timestamp where it shall not be that of `now`.

    Raises `IdentifierError` for a `to_uri` that is not of the keys' scheme, `PeriodError` where
    the keys are of another period than T, `ParameterError` for other wrong arguments.
    """
    cs_map = options.cs_map or two_sessions(options.map_type, ssrc)
    if not ssrc and options.cs_map is None and cs_map.map_type is not MapType.EMPTY:
        raise ParameterError("the initiator's SSRC must not be 0, which means unknown")
    if binding is not None and len(binding) != DIGEST_LENGTH:
        raise ParameterError(f"the binding must be a digest of {DIGEST_LENGTH} octets")
    scheme = keys.scheme
    ntp = to_ntp(now) if timestamp is None else timestamp
    period = scheme.period_of(from_ntp(ntp, near=now))
    if period != keys.period:
        raise PeriodError(
            f"keys of {keys.period} cannot serve a message of {period}: load that period's"
        )
    responder = scheme.bare_uri(to_uri)
    identifier = scheme.identifier(responder, period)
    if csb_id is None:
        csb_id = int.from_bytes(random_bytes(4), "big")
    if ssv is None:
        ssv = random_bytes(sakke.SSV_LENGTH)
    sed = keys.kms.encapsulate(ssv, identifier=identifier)
    policy = () if options.policy is None else (options.policy.to_payload(0),)
    unsigned = IMessage(
        Header(options.prf_func, csb_id, cs_map),
        (
            Timestamp(ntp),
            Rand(random_bytes(RAND_LENGTH) if rand is None else rand),
            *_identities(keys, responder, identifier, options),
            *policy,
            Sakke(sed, id_scheme=scheme.id_scheme),
            *_extension(binding),
            *options.extensions,
        ),
        # The length of the signature is part of what is signed, so a blank one holds its place.
        Sign(bytes(eccsi.SIGNATURE_LENGTH)),
    )
    return _sign(unsigned, keys, ssv, options, random_bytes)


def _sign(
    unsigned: IMessage,
    keys: UserKeys,
    ssv: bytes,
    options: BuildOptions,
    random_bytes: RandomBytes,
) -> Built:
    prefix = signed_prefix(unsigned.encode(), eccsi.SIGNATURE_LENGTH)
    if len(prefix) + eccsi.SIGNATURE_LENGTH > MAX_LENGTH:
        raise ParameterError(f"the message would be longer than {MAX_LENGTH} octets")
    signature = keys.signer.sign(prefix, random_bytes=random_bytes)
    session = derive_session_keys(
        unsigned,
        prefix=prefix,
        ssv=ssv,
        policy=options.policy or DEFAULT_POLICY,
        sessions=options.profile.crypto_sessions(unsigned.header),
    )
    return Built(prefix + signature, len(prefix), session)


def _identities(
    keys: UserKeys, responder: str, identifier: bytes, options: BuildOptions
) -> tuple[Idr, ...]:
    """Give the IDR payloads in the order of RFC 6509 §4.4, UIDs where 3GPP messages have them."""
    idrs = []
    if options.name_uris:
        idrs.append(Idr(IdRole.INITIATOR, keys.uri.encode("utf-8")))
        idrs.append(Idr(IdRole.RESPONDER, responder.encode("utf-8")))
    if options.name_uids:
        if keys.scheme.id_scheme != ID_SCHEME_HASHED_UID:
            raise ParameterError("only keys of a hashed UID have a UID to be named")
        idrs.append(Idr(IdRole.INITIATOR_UID, keys.identifier))
        idrs.append(Idr(IdRole.RESPONDER_UID, identifier))
    if options.name_kms and keys.kms_uri is not None:
        kms_uri = keys.kms_uri.encode("utf-8")
        idrs += [Idr(role, kms_uri) for role in (IdRole.INITIATOR_KMS, IdRole.RESPONDER_KMS)]
    return tuple(idrs)


def _extension(binding: bytes | None) -> tuple[GeneralExtension, ...]:
    if binding is None or UMSG.extension_magic is None:
        return ()
    return (GeneralExtension(EXTENSION_VENDOR, UMSG.extension_magic + binding),)


class Initiator:
    """Makes messages whose T and CSB ID do not repeat (RFC 3830 §5.4, §6.1).

    The last 4096 of each are remembered. A T that was used is moved on by the smallest step
    (2^-32 s), so a clock that stands still or was set back does no harm.
    """

    __slots__ = ("_csb_ids", "_random_bytes", "_timestamps")

    def __init__(self, *, random_bytes: RandomBytes = secrets.token_bytes) -> None:
        self._random_bytes = random_bytes
        self._timestamps = _Recent()
        self._csb_ids = _Recent()

    def build(
        self,
        keys: UserKeys,
        *,
        to_uri: str,
        binding: bytes | None,
        now: float,
        ssrc: int = 0,
        options: BuildOptions = DEFAULT_OPTIONS,
    ) -> Built:
        """Make a message; arguments and errors as for the function `build`."""
        timestamp = to_ntp(now)
        while timestamp in self._timestamps:
            timestamp = (timestamp + 1) % (1 << 64)
        built = build(
            keys,
            to_uri=to_uri,
            ssrc=ssrc,
            binding=binding,
            now=now,
            csb_id=self._draw_csb_id(),
            timestamp=timestamp,
            options=options,
            random_bytes=self._random_bytes,
        )
        self._timestamps.add(timestamp)
        self._csb_ids.add(built.csb_id)
        return built

    def _draw_csb_id(self) -> int:
        for _ in range(_MAX_DRAWS):
            csb_id = int.from_bytes(self._random_bytes(4), "big")
            if csb_id not in self._csb_ids:
                return csb_id
        raise ParameterError("the random source gives no new CSB ID: it is broken")


class _Recent:
    """The last few thousand numbers that were added."""

    __slots__ = ("_numbers",)

    def __init__(self) -> None:
        self._numbers: OrderedDict[int, None] = OrderedDict()

    def __contains__(self, number: int) -> bool:
        return number in self._numbers

    def add(self, number: int) -> None:
        self._numbers[number] = None
        if len(self._numbers) > _REMEMBERED:
            self._numbers.popitem(last=False)
