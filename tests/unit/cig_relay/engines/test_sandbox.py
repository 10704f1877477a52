# SPDX-License-Identifier: GPL-3.0-or-later
"""What a process can still do in an engine's sandbox; each try is made in a child of its own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys

import pytest

from cig_common.control.record import Record
from cig_material import document
from cig_relay.engines.sandbox import _ARCHITECTURES
from cig_relay.engines.wire import (
    Authentic,
    Build,
    CallSecrets,
    Failed,
    Load,
    Open,
    Ping,
    Ready,
    Refused,
    Sign,
    Signature,
    Started,
    Verify,
    decode,
    encode,
)
from mikey_sakke import initiator
from umsg.framing import FrameDecoder
from unit.cig_relay.engines.children import ENVIRONMENT
from unit.cig_relay.keys.lab import ALICE, GATEWAY, NOW, material, user

FILTERED = pytest.mark.skipif(
    os.uname().machine not in _ARCHITECTURES, reason="no filter for this processor"
)

TRY = """
import ctypes, mmap, os, random, resource, select, signal, socket, sys, threading, time
from cig_relay.engines.sandbox import confine

libc = ctypes.CDLL(None, use_errno=True)

def call(function, *arguments):
    if function(*arguments) == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

with socket.socket(fileno=0) as channel:
    filtered = confine({arguments})
    try:
        result = {expression}
    except Exception as error:
        result = getattr(error, "strerror", None) or error
    channel.send(f"{{filtered}} {{result}}".encode())
"""


def _try(expression: str, arguments: str = "") -> tuple[str, int]:
    """Evaluate ``expression`` in the sandbox; gives what came of it, and the exit status."""
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            process = subprocess.Popen(
                [sys.executable, "-c", TRY.format(expression=expression, arguments=arguments)],
                stdin=theirs,
                env=ENVIRONMENT,
            )
        told = ours.recv(4096).decode()
    return told, process.wait(30)


@FILTERED
@pytest.mark.parametrize(
    "expression",
    [
        "os.open('/etc/passwd', os.O_RDONLY)",
        "open('/tmp/written', 'w')",
        "os.listdir('/')",
        "os.stat('/')",
        "os.unlink('/no-such-file')",
        "os.pipe()",
        "os.dup(0)",
        "os.memfd_create('x')",
        "os.setuid(65534)",
        "call(libc.unshare, 0x40000000)",
        "signal.raise_signal(signal.SIGTERM)",
        "mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_EXEC)",
        "call(libc.personality, 0xFFFFFFFF)",
    ],
)
def test_is_refused(expression: str) -> None:
    assert _try(expression) == ("True Operation not permitted", 0)


@FILTERED
def test_memory_with_data_in_it_is_not_made_executable() -> None:
    code = (
        "(lambda m: call(libc.mprotect, ctypes.c_void_p(ctypes.addressof("
        "(ctypes.c_char * 8192).from_buffer(m)) & -4096), 4096, 5))(mmap.mmap(-1, 8192))"
    )
    assert _try(code) == ("True Operation not permitted", 0)
    assert _try(code.replace("4096, 5", "4096, 1")) == ("True None", 0)


@FILTERED
@pytest.mark.parametrize(
    "expression",
    [
        "socket.socket()",
        "socket.socket(socket.AF_UNIX)",
        "call(libc.connect, 0, b'', 0)",
        "call(libc.bind, 0, b'', 0)",
        "os.fork()",
        "os.execv(sys.executable, ['python'])",
        "os.posix_spawn(sys.executable, ['python'], {})",
        "threading.Thread(target=print).start()",
        "call(libc.ptrace, 0, 0, 0, 0)",
        "call(libc.process_vm_readv, os.getpid(), 0, 0, 0, 0, 0)",
        "call(libc.process_vm_writev, os.getpid(), 0, 0, 0, 0, 0)",
        "os.kill(1, 0)",
    ],
)
def test_ends_the_process(expression: str) -> None:
    assert _try(expression) == ("", -signal.SIGSYS)


@FILTERED
@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("len(os.getrandom(32)) + len(os.urandom(32))", "64"),
        ("len(bytearray(256 << 20)) >> 20", "256"),
        ("time.time() > 1.7e9 and time.monotonic() > 0", "True"),
        ("print('late', file=sys.stderr) or print('late')", "None"),
        ("__import__('warnings').warn('late')", "None"),
        ("sys.stdin or sys.__stderr__", "None"),
    ],
)
def test_is_allowed(expression: str, result: str) -> None:
    assert _try(expression) == (f"True {result}", 0)


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("os.open('/', os.O_RDONLY)", "Too many open files"),
        ("socket.socket()", "Too many open files"),
        ("os.listdir('/proc/self/fd')", "Too many open files"),
        ("resource.getrlimit(resource.RLIMIT_NOFILE)", "(1, 1)"),
        ("resource.getrlimit(resource.RLIMIT_FSIZE)", "(0, 0)"),
        ("resource.getrlimit(resource.RLIMIT_NPROC)", "(0, 0)"),
        ("[fd for fd in range(1, 4096) if not call(libc.fcntl, fd, 1)]", "Bad file descriptor"),
        ("libc.prctl(39, 0, 0, 0, 0)", "1"),
    ],
)
def test_without_a_filter_no_descriptor_can_be_made(expression: str, result: str) -> None:
    assert _try(expression, "machine='riscv64'") == (f"False {result}", 0)


def test_an_exception_ends_the_process_without_a_word() -> None:
    told, status = _try("channel.close()")
    assert (told, status) == ("", 1)


ENGINE = """
import os, sys
from functools import partial
from cig_relay.engines import process
from cig_relay.engines.sandbox import KILL_PROCESS, confine

process.confine = partial(confine, otherwise=KILL_PROCESS)
sys.argv[1:] = [str(os.getppid())]
process.main()
"""


class Engine:
    """An engine that is ended by whatever its filter does not let through."""

    def __init__(self) -> None:
        self.channel, theirs = socket.socketpair()
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-c", ENGINE], stdin=theirs, env=ENVIRONMENT
            )
        self.frames = FrameDecoder()

    def hear(self) -> Record:
        while octets := self.channel.recv(65536):
            for payload in self.frames.feed(octets):
                return decode(payload)[1]
        raise EOFError(f"the engine ended with {self.process.wait(10)}")

    def ask(self, request: Record) -> Record:
        self.channel.sendall(encode(1, request))
        return self.hear()


@FILTERED
def test_an_engine_lives_and_ends_with_what_its_filter_lets_through() -> None:
    engine = Engine()
    with engine.channel:
        started = engine.hear()
        assert isinstance(started, Started)
        assert started.filtered
        assert isinstance(engine.ask(Sign("2026-11-1", b"too early")), Refused)
        assert engine.ask(Load(document.encode(material("2026-11-1", "2026-12-1")))) == Ready()
        assert engine.ask(Ping()) == Ready()
        assert isinstance(engine.ask(Load(b"rubbish")), Failed)
        assert isinstance(engine.ask(Ready()), Failed)
        for number in range(50):
            made = initiator.build(user(ALICE), to_uri=GATEWAY, ssrc=7, binding=bytes(32), now=NOW)
            assert engine.ask(Verify(made.message, NOW)) == Authentic(short=False)
            assert isinstance(engine.ask(Open(made.message, NOW)), CallSecrets)
            assert isinstance(engine.ask(Open(bytes(900), NOW)), Refused)
            request = Build(f"tel:+4670000{number:04}", NOW, 9, number, bytes(32))
            assert isinstance(engine.ask(request), CallSecrets)
            assert isinstance(engine.ask(Sign("2026-11-1", os.urandom(200))), Signature)
        assert engine.ask(Load(b"")) == Ready()
    assert engine.process.wait(30) == 0
