# SPDX-License-Identifier: MIT
"""Waiting for something to become true: by asking again, with a deadline, never by a fixed sleep."""

import time

INTERVAL_SECONDS = 0.01


class TooLate(AssertionError):
    """It did not become true in time."""


def until(what, condition, seconds=10.0, interval_seconds=INTERVAL_SECONDS):
    """Asks condition() until it is true and returns its value; what says what was waited for."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise TooLate("not within %g s: %s" % (seconds, what))
        time.sleep(interval_seconds)
