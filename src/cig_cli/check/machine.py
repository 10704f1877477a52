# SPDX-License-Identifier: GPL-3.0-or-later
"""The machine and its kernel, held against the manual's prerequisites and what the relay uses.

Every function takes the folder that stands for ``/``, so that it can be shown another machine.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from cig_cli.check.row import Row, fail, ok, skip, warn
from cig_common.processor import flags

LEAST_KERNEL = (3, 10)
"""RHEL 7's, which the manual names."""
MANUAL_MEMORY = 4
LEAST_MEMORY_KIB = int(3.5 * 1024 * 1024)
"""4 GB less what firmware and kernel keep for themselves."""
LEAST_CORES = 2

_FULL_POOL = "the kernel's pool of random numbers is ready"


def machine_rows(root: Path) -> Iterator[Row]:
    """Yield the rows about processor, memory and kernel."""
    cpuinfo = _text(root / "proc/cpuinfo")
    yield rdrand(cpuinfo)
    yield architecture(os.uname().machine)
    yield cores(cpuinfo)
    yield memory(_text(root / "proc/meminfo"))
    yield kernel(_text(root / "proc/sys/kernel/osrelease"))
    yield random_pool(os.getrandom)
    yield seccomp(_text(root / "proc/self/status"))
    yield systemd(root)


def rdrand(cpuinfo: str | None) -> Row:
    """Look for RdRand among the processors' flags."""
    listed = flags(cpuinfo or "")
    if listed and all("rdrand" in one for one in listed):
        return ok("RdRand", "the processor has it")
    if cpuinfo is None:
        return skip("RdRand", "/proc/cpuinfo cannot be read", "run: grep -c rdrand /proc/cpuinfo")
    if any("hypervisor" in one for one in listed):
        advice = (
            "this is a virtual machine: have its host pass the processor through (KVM, libvirt: "
            "cpu mode host-passthrough; VMware: an EVC level of Ivy Bridge or later)"
        )
    else:
        advice = "use a processor that has it (Intel since Ivy Bridge, AMD since Excavator and Zen)"
    advice += "; in a laboratory alone: cig-relay --no-rdrand"
    return fail("RdRand", "the processor lacks it: cig-relay does not start", advice)


def architecture(machine: str) -> Row:
    """Compare the machine's architecture with the manual's."""
    if machine == "x86_64":
        return ok("architecture", "64-bit x86")
    return fail("architecture", f"{machine} is not 64-bit x86", "use a 64-bit x86 machine")


def cores(cpuinfo: str | None) -> Row:
    """Count the processors."""
    count = len(re.findall(r"^processor\s*:", cpuinfo or "", re.M))
    if not count:
        return skip("cores", "/proc/cpuinfo names none", "run: nproc")
    if count < LEAST_CORES:
        advice = f"the manual asks for {LEAST_CORES}: give the machine another"
        return warn("cores", f"{count}", advice)
    return ok("cores", str(count))


def memory(meminfo: str | None) -> Row:
    """Compare the memory with the manual's."""
    found = re.search(r"^MemTotal:\s*(\d+) kB", meminfo or "", re.M)
    if found is None:
        return skip("memory", "/proc/meminfo does not say", "run: free -h")
    kib = int(found[1])
    text = f"{kib / 1024**2:.1f} GiB"
    if kib < LEAST_MEMORY_KIB:
        return warn(
            "memory", text, f"the manual asks for {MANUAL_MEMORY} GB: give the machine more"
        )
    return ok("memory", text)


def kernel(release: str | None) -> Row:
    """Compare the kernel's version with the oldest that was tried."""
    found = re.match(r"(\d+)\.(\d+)", release or "")
    if release is None or found is None:
        return skip("kernel", "its version cannot be read", "run: uname -r")
    if (int(found[1]), int(found[2])) < LEAST_KERNEL:
        least = ".".join(map(str, LEAST_KERNEL))
        return fail("kernel", release.strip(), f"use a system with Linux {least} or later")
    return ok("kernel", release.strip())


def random_pool(getrandom: Callable[[int, int], bytes]) -> Row:
    """Ask the kernel for a random octet, without waiting."""
    try:
        getrandom(1, os.GRND_NONBLOCK)
    except BlockingIOError:
        advice = "wait some minutes after the start, or install haveged or rng-tools"
        return fail("random pool", "not initialised yet: cig-relay does not start", advice)
    except OSError:
        advice = "use a system with Linux 3.17 or later, or RHEL 7.4 or later"
        return fail("random pool", "the kernel has no getrandom", advice)
    return ok("random pool", _FULL_POOL)


def seccomp(status: str | None) -> Row:
    """Look whether the kernel can take system calls away from a process."""
    if status is None:
        return skip("seccomp", "/proc/self/status cannot be read", "mount /proc")
    if re.search(r"^Seccomp:", status, re.M):
        return ok("seccomp", "the kernel has it")
    advice = "the services run, but less shut in; use a kernel with CONFIG_SECCOMP_FILTER"
    return warn("seccomp", "the kernel lacks it", advice)


def systemd(root: Path) -> Row:
    """Look whether systemd runs the machine."""
    if (root / "run/systemd/system").is_dir():
        return ok("systemd", "it runs this machine")
    advice = "the services are units of systemd: without it, start and watch both daemons yourself"
    return warn("systemd", "it does not run this machine", advice)


def _text(path: Path) -> str | None:
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return None
