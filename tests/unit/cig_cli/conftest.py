# SPDX-License-Identifier: GPL-3.0-or-later
"""A real management port for the tests of cig-cli."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cig_common.config import load
from cig_server.mgmt.server import ManagementServer
from cig_server.mgmt.token import Token
from unit.cig_server.mgmt.gateway_view import CALL, StillView

SIMPLE = Path(__file__).parents[1] / "cig_common" / "config" / "files" / "manual_simple.conf"


@contextmanager
def serving(view: StillView, token: Token | None = None) -> Iterator[int]:
    """Run a management server in a thread of its own; give its port."""
    loop = asyncio.new_event_loop()
    server = ManagementServer(view, token=token, port=0)
    loop.run_until_complete(server.start())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield server.port
    finally:
        asyncio.run_coroutine_threadsafe(server.stop(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """The port of a server with one call and the manual's simple configuration."""
    view = StillView(call_rows=[CALL], config=load(SIMPLE))
    with serving(view) as number:
        yield number
