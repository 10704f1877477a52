# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole lab on loopback: KMS, CRS, secure phone, the gateway's real programs, SIP phone."""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from cig_common.carrier import armour
from cig_lab import ports
from cig_lab.crs import CrsServer
from cig_lab.kms import LabKms, months_for, months_from
from cig_lab.phone.phone import SecurePhone
from cig_lab.process import Child, LabError, run
from cig_lab.sip_phone.address import host_port
from cig_lab.sip_phone.phone import SipPhone
from cig_material.seal import Cost
from cig_relay.randomness.rdrand import has_rdrand
from cig_relay.randomness.source import NO_RDRAND
from mikey_sakke.periods import month_of

HOST = "127.0.0.1"
SECURE_URI = "tel:+46701234567"
GATEWAY_URI = "tel:+8888"
PBX_USER = "101"
KEYS_FILE = "keys.txt"
PASSPHRASE_FILE = "passphrase"
MGMT_PORT = 8083

_CONNECT_SECONDS = 20.0
_POLL_SECONDS = 0.05
_RTP_PORTS = 400
_GATEWAY_MONTHS = 3
_SEAL_COST = Cost(log_n=14, r=8, p=1)
"""The lab's keys are worth nothing in a minute: their passphrase need not be hard to guess."""
_MAX_ANSWER = 1 << 24

# The manual's simple example; pbx.com is the SIP phone, secure.com the gateway itself.
_CONFIGURATION = """\
// The manual's simple example with the lab's addresses.
map maptel2sip {{
  entry telext2sip
    tel "tel:+8888;{{TELEXT}}"
    sip "sip:{{TELEXT}}@{pbx}";
}}

map mapsip2tel {{
  entry sipext2tel
    sip "sip:9{{SIPEXT}}@{domain}"
    tel "tel:+{{SIPEXT}}";
}}

map srctel2sip {{
  entry tel2sipsrc
    tel "tel:+{{TELEXT}}"
    sip "sip:{{TELEXT}}@{domain}";
}}
{any_source_map}
interfaces {{
  tel {{
    extension map maptel2sip;{any_source}
    rtp_port_range {tel_low} {tel_high};
  }}
  sip {{
    extension map mapsip2tel;
    source map srctel2sip;{bind}
    port {sip_port};
    rtp_port_range {sip_low} {sip_high};
    messaging {messaging};
  }}
}}

translate_map users {{
  rule match "sip:{{number}}@{{discard}}" translation "tel:+{{number}}";
}}
translate_map extensions {{
  rule match "sip:{{ext}}@pbx" translation "tel:+8888;{{ext}}";
}}
translate_map users_out {{
  rule match "tel:+{{number}}" translation "sip:{{number}}@{domain}";
}}
translate_map extensions_out {{
  rule match "tel:+8888;{{ext}}" translation "sip:{{ext}}@pbx";
}}
mailboxes {{
  read {{
    path "{mail}/from-pbx";
    map_from translate_map extensions;
    map_to translate_map users;
  }}
  write {{
    path "{mail}/to-pbx";
    map_from translate_map users_out;
    map_to translate_map extensions_out;
  }}
}}
"""

WITHOUT_RDRAND = "This processor has no RdRand: cig-relay is started with --no-rdrand."
"""What a person is told where that is so."""

_ANY_SOURCE_MAP = """
// Whoever calls from outside the PBX is shown by his user part, as in the manual's second example.
map srcsip2tel {
  entry all
    sip "sip:{series}@{discard}"
    tel "tel:+8888;{series}";
}
"""


@dataclass(frozen=True, slots=True)
class Plan:
    """What can be chosen; ports of 0 are drawn.

    ``any_caller`` lets every SIP caller in, not only the PBX (the demo's ``up``). ``pbx`` is
    where calls to SIP go instead of the SIP phone: ``host:port``, or ``host:port;transport=tcp``.
    ``sip_host`` is the loopback address of the SIP phone and, unless ``sip_everywhere`` leaves
    out the statement ``bind``, the only one on which the gateway takes SIP. ``messaging``: texts
    go to the PBX as SIP MESSAGE too. ``text_folder`` is where the CRS keeps texts.
    """

    sip_port: int = 0
    mgmt_port: int = MGMT_PORT
    any_caller: bool = False
    keep: bool = False
    pbx: str = ""
    sip_host: str = HOST
    sip_everywhere: bool = False
    messaging: bool = False
    text_folder: Path | None = None


class Environment:
    """Everything that a call needs; ``async with Environment(plan) as lab``.

    ``mgmt_port`` is the planned one, or another one where that was taken. ``has_rdrand`` tells
    whether the processor has RdRand; where it has not, the relay is started to do without it.
    """

    kms: LabKms
    crs: CrsServer
    phone: SecurePhone
    sip_phone: SipPhone
    relay: Child
    server: Child

    def __init__(self, plan: Plan | None = None) -> None:
        self.plan = plan or Plan()
        self.sip_port = self.plan.sip_port
        self.mgmt_port = self.plan.mgmt_port
        self.folder = Path()
        self.rtp_ports = range(0)
        self.keys_installed = ""
        """What `cig-cli set-key` said of the gateway's keys."""
        self.server_environment: dict[str, str] = {}
        """What `start_server` adds to the environment."""
        self.has_rdrand = bool(has_rdrand())
        self._stack = AsyncExitStack()

    @property
    def mail(self) -> Path:
        """The folder of the gateway's mailboxes: ``from-pbx`` is read, ``to-pbx`` written."""
        return self.folder / "mail"

    @property
    def gateway(self) -> tuple[str, int]:
        """Where the gateway takes SIP."""
        return self.plan.sip_host, self.sip_port

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stack.aclose()

    async def _start(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="cig-lab-"))
        if not self.plan.keep:
            self._stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
        self._choose_ports()
        self.kms = kms = LabKms()
        months = {*months_for(time.time())}
        self.crs = await self._stack.enter_async_context(
            CrsServer(
                kpak=kms.kpak,
                domain=kms.domain,
                host=HOST,
                issued_under=kms.kpak_of,
                text_folder=self.plan.text_folder,
            )
        )
        self.phone = SecurePhone(
            kms.user_keys(SECURE_URI, sorted(months)),
            crs=self.crs.tls_address,
            pin=self.crs.certificate_sha256,
            host=HOST,
        )
        self._stack.push_async_callback(self.phone.stop)
        self.sip_phone = await SipPhone.start(user=PBX_USER, host=self.plan.sip_host)
        self._stack.push_async_callback(self.sip_phone.stop)
        self._write_configuration()
        await self.start_relay()
        self.keys_installed = await self.set_key(
            self.export_keys(
                sorted(months | {*months_from(month_of(time.time()), _GATEWAY_MONTHS)})
            )
        )
        await self.start_server()
        await asyncio.wait_for(self.phone.ready(), _CONNECT_SECONDS)
        await self._until("the gateway to be connected", self._connected)

    def _choose_ports(self) -> None:
        host = "::" if self.plan.sip_everywhere else self.plan.sip_host
        if not self.sip_port:
            self.sip_port = ports.free_port(host)
        elif not ports.is_free(host, self.sip_port):
            raise LabError(
                f"SIP port {self.sip_port} on {host} is taken, perhaps by a softphone or PBX: "
                "end that program, or choose another port with --sip-port"
            )
        if not ports.is_free(HOST, self.mgmt_port, ("tcp",)):
            self.mgmt_port = ports.free_port(HOST, ("tcp",))

    def export_keys(self, months: Iterable[str]) -> Path:
        """Do what the CMS does: give new keys as sealed text, and the passphrase apart from it."""
        crs_host, crs_port = self.crs.tls_address
        sealed, phrase = self.kms.sealed_material(
            GATEWAY_URI,
            months,
            crs=f"{crs_host}:{crs_port}",
            anchor_pin=self.crs.certificate_sha256,
            cost=_SEAL_COST,
        )
        path = self.folder / KEYS_FILE
        path.write_text(armour.encode(sealed))
        passphrase = self.folder / PASSPHRASE_FILE
        passphrase.touch(mode=0o600)
        passphrase.write_text(f"{phrase}\n")
        return path

    async def set_key(self, file: Path, *options: str) -> str:
        """Install key material in cig-relay as an operator does; gives what cig-cli said."""
        return await self.cli(
            "set-key",
            *("--keys-socket", str(self.folder / "keys.sock")),
            *("--file", str(file)),
            *("--passphrase-file", str(self.folder / PASSPHRASE_FILE)),
            *options,
        )

    def _write_configuration(self) -> None:
        (self.folder / "userdata").mkdir(mode=0o700)
        make_mailboxes(self.mail)
        low, high = ports.rtp_range(2 * _RTP_PORTS)
        self.rtp_ports = range(low, high + 1)
        plan = self.plan
        domain = f"[{plan.sip_host}]" if ":" in plan.sip_host else plan.sip_host
        (self.folder / "cig.conf").write_text(
            _CONFIGURATION.format(
                pbx=plan.pbx or host_port(self.sip_phone.address),
                domain=domain,
                bind="" if plan.sip_everywhere else f"\n    bind {plan.sip_host};",
                sip_port=self.sip_port,
                tel_low=low,
                tel_high=low + _RTP_PORTS - 1,
                sip_low=low + _RTP_PORTS,
                sip_high=high,
                mail=self.mail,
                messaging="true" if plan.messaging else "false",
                any_source_map=_ANY_SOURCE_MAP if plan.any_caller else "",
                any_source="\n    source map srcsip2tel;" if plan.any_caller else "",
            )
        )

    async def start_relay(self) -> None:
        """Start cig-relay; again too, after it has ended."""
        self.relay = await Child.start(
            "cig-relay",
            (
                *("--config", str(self.folder / "cig.conf")),
                *("--userdata", str(self.folder / "userdata")),
                *("--socket", str(self.folder / "relay.sock")),
                *("--keys-socket", str(self.folder / "keys.sock")),
                *("--log", str(self.folder / "cig-relay.log")),
                *(() if self.has_rdrand else (NO_RDRAND,)),
            ),
            folder=self.folder,
        )
        self._stack.push_async_callback(self.relay.stop)

    async def start_server(self) -> None:
        """Start cig-server; again too, after it has ended."""
        self.server = await Child.start(
            "cig-server",
            (
                *("--config", str(self.folder / "cig.conf")),
                *("--relay-socket", str(self.folder / "relay.sock")),
                *("--mgmt-port", str(self.mgmt_port)),
                *("--mgmt-token", str(self.folder / "mgmt-token")),
                *("--log", str(self.folder / "cig-server.log")),
                *("--session-log", str(self.folder / "session.log")),
                *("--texts", str(self.folder / "texts")),
                # Never the one of a gateway that is installed on this host.
                *("--notify-script", str(self.folder / "notify.sh")),
            ),
            folder=self.folder,
            environment=self.server_environment,
        )
        self._stack.push_async_callback(self.server.stop)

    # --- what tests and the demo ask -------------------------------------------------------

    async def cli(self, *arguments: str) -> str:
        """Run the real cig-cli against the gateway; raises LabError unless it succeeds."""
        code, output = await run("cig-cli", "--port", str(self.mgmt_port), *arguments)
        if code:
            raise LabError(f"cig-cli {' '.join(arguments)} ended with {code}:\n{output}")
        return output

    async def ask(self, command: str) -> Any:
        """Ask the management port for a command's JSON object."""
        word, _, rest = command.partition(" ")
        reader, writer = await asyncio.open_connection(HOST, self.mgmt_port, limit=_MAX_ANSWER)
        try:
            writer.write(f"{word} --json {rest}".rstrip().encode() + b"\n")
            return json.loads(await reader.readline())
        finally:
            writer.close()

    async def _connected(self) -> bool:
        for child in (self.relay, self.server):
            if child.returncode is not None:
                raise LabError(f"{child.name} ended with {child.returncode}")
        status = await self.ask("status")
        return bool(status["umsg_connected"])

    async def _until(self, what: str, condition: Callable[[], Awaitable[bool]]) -> None:
        deadline = asyncio.get_running_loop().time() + _CONNECT_SECONDS
        while not await condition():
            if asyncio.get_running_loop().time() > deadline:
                raise LabError(f"waited in vain for {what}\n{self.tails()}")
            await asyncio.sleep(_POLL_SECONDS)

    def save_logs(self, folder: Path) -> list[Path]:
        """Copy the gateway's configuration and logs to ``folder``; gives the copies."""
        folder.mkdir(parents=True, exist_ok=True)
        wanted = ("*.log", "*.out", "cig.conf")
        found = [path for pattern in wanted for path in sorted(self.folder.glob(pattern))]
        return [Path(shutil.copy(path, folder)) for path in found]

    def tails(self) -> str:
        """Give the ends of the gateway's logs."""
        children = [getattr(self, name, None) for name in ("relay", "server")]
        return "\n".join(child.tail() for child in children if child is not None)


def make_mailboxes(folder: Path) -> None:
    """Make the lab's mailboxes, as create_cig_maildir does in an installation."""
    for box in ("from-pbx", "to-pbx"):
        for name in ("new", "cur", "tmp", "failed"):
            (folder / box / name).mkdir(parents=True)
            (folder / box / name).chmod(0o2770)
