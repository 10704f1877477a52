# SPDX-License-Identifier: GPL-3.0-or-later
"""The stack's lines reach our log, but never more than a few a second."""

import logging

from cig_server.sif.stack_log import BURST, StackLog, Throttle


def test_a_burst_then_one_a_second():
    throttle = Throttle(burst=3, per_second=1.0)
    assert [throttle.admit(100.0) for _ in range(5)] == [True, True, True, False, False]
    assert throttle.suppressed == 2
    assert throttle.admit(101.0)
    assert not throttle.admit(101.5)
    assert [throttle.admit(1000.0) for _ in range(4)] == [True, True, True, False]


def test_a_clock_that_stands_still_or_steps_back_gains_nothing():
    throttle = Throttle(burst=1, per_second=1.0)
    assert throttle.admit(50.0)
    assert not throttle.admit(50.0)
    assert not throttle.admit(40.0)


def test_what_was_left_out_is_told(caplog):
    log = StackLog()
    with caplog.at_level(logging.WARNING):
        for _ in range(BURST + 5):
            log.write("bad packet\n", 10.0)
        log.write("bad packet\n", 12.0)
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == BURST + 1
    assert messages[-1] == "bad packet (and 5 more lines before it)"
    assert log.lines == BURST + 6


def test_the_packet_that_the_stack_prints_is_left_out(caplog):
    with caplog.at_level(logging.WARNING):
        StackLog().write("Error processing packet: Missing Via:\r\nMESSAGE\r\n\r\nsesame\n", 10.0)
    assert [record.getMessage() for record in caplog.records] == [
        "Error processing packet: Missing Via:"
    ]
