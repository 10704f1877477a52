# SPDX-License-Identifier: GPL-3.0-or-later
"""Making I_MESSAGEs (RFC 6509 §2.2): `build` for one, `Initiator` for many.

The SSV is random, encapsulated to the responder's identity of the month of T, and the message
is signed by the initiator's key of that month.
"""

import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from mikey_sakke import eccsi, sakke
from mikey_sakke.errors import ParameterError, PeriodError
from mikey_sakke.header import Header, SrtpCs, SrtpIdMap
from mikey_sakke.identifiers import bare_tel_uri, tel_identifier
from mikey_sakke.keys import UserKeys
from mikey_sakke.message import IMessage
from mikey_sakke.payloads import (
    GeneralExtension,
    Idr,
    IdRole,
    Rand,
    Sakke,
    Sign,
    Timestamp,
)
from mikey_sakke.periods import from_ntp, month_of, to_ntp
from mikey_sakke.policy import DEFAULT_POLICY
from mikey_sakke.prf import PrfFunction
from mikey_sakke.profile import DIGEST_LENGTH, EXTENSION_VENDOR, UMSG
from mikey_sakke.secret import Secret
from mikey_sakke.session import SessionKeys, derive_session_keys, signed_prefix

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
        """The CSB ID of the message."""
        return self.keys.csb_id


def build(
    keys: UserKeys,
    *,
    to_uri: str,
    ssrc: int,
    binding: bytes | None,
    now: float,
    csb_id: int | None = None,
    timestamp: int | None = None,
    random_bytes: RandomBytes = secrets.token_bytes,
) -> Built:
    """Make an I_MESSAGE from the owner of `keys` to `to_uri` in the profile of UMSG/1.

    `ssrc` (32 bits, not 0) is that of the stream which the initiator will send. `binding` is the
    32-octet digest for the vendor extension that ties the message to its call; None leaves
    the extension out, for peers of another profile. `csb_id` is random where it is None;
    `timestamp` is the 64-bit NTP timestamp where it shall not be that of `now`.

    Raises `IdentifierError` for a `to_uri` that is no tel URI, `PeriodError` where the keys are
    of another month than T, `ParameterError` for other wrong arguments.
    """
    if not ssrc:
        raise ParameterError("the initiator's SSRC must not be 0, which means unknown")
    if binding is not None and len(binding) != DIGEST_LENGTH:
        raise ParameterError(f"the binding must be a digest of {DIGEST_LENGTH} octets")
    ntp = to_ntp(now) if timestamp is None else timestamp
    month = month_of(from_ntp(ntp, near=now))
    if month != keys.month:
        raise PeriodError(
            f"keys of {keys.month} cannot serve a message of {month}: load that month"
        )
    responder = bare_tel_uri(to_uri)
    if csb_id is None:
        csb_id = int.from_bytes(random_bytes(4), "big")
    ssv = random_bytes(sakke.SSV_LENGTH)
    sed = keys.kms.encapsulate(ssv, identifier=tel_identifier(responder, month))
    unsigned = IMessage(
        Header(PrfFunction.HMAC_SHA_256, csb_id, SrtpIdMap((SrtpCs(0, ssrc), SrtpCs(0, 0)))),
        (
            Timestamp(ntp),
            Rand(random_bytes(RAND_LENGTH)),
            Idr(IdRole.INITIATOR, keys.uri.encode("ascii")),
            Idr(IdRole.RESPONDER, responder.encode("ascii")),
            DEFAULT_POLICY.to_payload(0),
            Sakke(sed),
            *_extension(binding),
        ),
        # The length of the signature is part of what is signed, so a blank one holds its place.
        Sign(bytes(eccsi.SIGNATURE_LENGTH)),
    )
    return _sign(unsigned, keys, ssv, random_bytes)


def _sign(unsigned: IMessage, keys: UserKeys, ssv: bytes, random_bytes: RandomBytes) -> Built:
    prefix = signed_prefix(unsigned.encode(), eccsi.SIGNATURE_LENGTH)
    signature = keys.signer.sign(prefix, random_bytes=random_bytes)
    session = derive_session_keys(unsigned, prefix=prefix, ssv=ssv, policy=DEFAULT_POLICY)
    return Built(prefix + signature, len(prefix), session)


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
        self, keys: UserKeys, *, to_uri: str, ssrc: int, binding: bytes | None, now: float
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
