# SPDX-License-Identifier: GPL-3.0-or-later
"""The names that the gateway looks up: of PBXs, in cig.conf's maps, and of the CRS."""

from __future__ import annotations

import ipaddress
import queue
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from cig_cli.check.row import Row, fail, ok, skip, warn
from cig_cli.check.service import Service
from cig_common.config import Configuration
from cig_common.uri import UriError, parse_target_tail

MOST_NAMES = 50
MOST_ENTRIES = 200_000
PATIENCE_SECONDS = 3.0
SLOW_SECONDS = 0.5

_SHOWN = 3
_CACHE = "put the names into /etc/hosts or run a caching resolver on this host (docs/sip.md)"


@dataclass(frozen=True, slots=True)
class Lookup:
    """What came of looking a name up: an error or nothing, and how long it took (seconds)."""

    name: str
    error: str
    seconds: float


def pbx_names(config: Configuration) -> list[str]:
    """Give the host names, at most MOST_NAMES, to which the tel side's maps send calls."""
    texts = (pair for use in config.tel.extension_maps for pair in use.map.entries.texts())
    names: dict[str, None] = {}
    for sip, _ in islice(texts, MOST_ENTRIES):
        name = _host_name(sip)
        if name:
            names.setdefault(name)
        if len(names) == MOST_NAMES:
            break
    return list(names)


def look_up(names: Sequence[str], patience: float = PATIENCE_SECONDS) -> list[Lookup]:
    """Look names up, all at once; one that takes longer than `patience` seconds has failed."""
    done: queue.SimpleQueue[Lookup] = queue.SimpleQueue()

    def one(name: str) -> None:
        start, error = time.monotonic(), ""
        try:
            socket.getaddrinfo(name, None, type=socket.SOCK_DGRAM)
        except (OSError, UnicodeError) as reason:
            error = getattr(reason, "strerror", None) or "no name can be so"
        done.put(Lookup(name, error, time.monotonic() - start))

    for name in names:
        # A thread that the resolver keeps waiting must not keep the program.
        threading.Thread(target=one, args=(name,), daemon=True).start()
    found: dict[str, Lookup] = {}
    end = time.monotonic() + patience
    while len(found) < len(names):
        try:
            lookup = done.get(timeout=max(0.0, end - time.monotonic()))
        except queue.Empty:
            break
        found[lookup.name] = lookup
    late = f"no answer within {patience:g} s"
    return [found.get(name, Lookup(name, late, patience)) for name in names]


def name_rows(config: Configuration | None, service: Service | None) -> Iterator[Row]:
    """Yield the rows about names."""
    if config is None:
        yield skip("PBX names", "cig.conf does not load", "mend it first")
    else:
        names = pbx_names(config)
        yield judge("PBX names", look_up(names)) if names else ok("PBX names", "addresses only")
    yield _crs(service)


def judge(name: str, lookups: Sequence[Lookup]) -> Row:
    """Give the row for some names that were looked up."""
    failed = [one for one in lookups if one.error]
    slow = [one for one in lookups if not one.error and one.seconds > SLOW_SECONDS]
    if failed:
        told = "; ".join(f"{one.name}: {one.error}" for one in failed[:_SHOWN])
        more = f"; {len(failed) - _SHOWN} more" if len(failed) > _SHOWN else ""
        advice = f"correct the name in cig.conf, or the resolver (/etc/resolv.conf); {_CACHE}"
        return fail(name, f"{told}{more}", advice)
    if slow:
        told = f"{slow[0].name} took {slow[0].seconds:.1f} s"
        return warn(name, told, f"calls wait for each look-up: {_CACHE}")
    which = lookups[0].name if len(lookups) == 1 else f"all {len(lookups)}"
    return ok(name, f"{which} found")


def _crs(service: Service | None) -> Row:
    if service is None or not service.crs_address:
        found = "its address comes with the keys, and is known while the service runs"
        return skip("CRS", found, "look again when cig-server runs and keys are set")
    address = service.crs_address
    host = address.rpartition(":")[0].strip("[]") or address
    if not _is_address(host):
        row = judge("CRS", look_up([host]))
        if row.advice:
            return row
    if not service.connected:
        advice = "look at `cig-cli status` and cig.log; TCP 5223 and UDP 146 must be let through"
        return warn("CRS", f"{address} is not connected: {service.problem or 'not yet'}", advice)
    return ok("CRS", f"{address} is connected")


def _host_name(target: str) -> str | None:
    """Give the host that a map's SIP side names; None for an address, or where it has a gap."""
    tail = target.rpartition("@")[2] if "@" in target else target.partition(":")[2]
    if "{" in tail:
        return None
    try:
        host = parse_target_tail(tail)[0].lower()
    except UriError:
        return None  # `cig-cli read` tells of it
    return None if _is_address(host.strip("[]")) else host


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
