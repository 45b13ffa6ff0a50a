# SPDX-License-Identifier: MIT
"""What the error log says of an outage that lasts: when spans begin to be lost, once in half a minute
while they are, and when it is over; of the backend, when it went and when it is back. Neither the
death of the worker that says it nor a reload makes it say so again. For scripts/test --long: what is
rate-limited needs its time."""

import datetime
import re
import time

import client
import ledger as ledgers
import polling
from load import Clients
from traced import TracedNginx

HTTP = """
    tracez on;
    tracez_buffer_size 500;
    server { listen 127.0.0.1:{port_shop}; location / { return 200 "hello\\n"; } }
"""

OUTAGE_SECONDS = 65
INTERVAL_SECONDS = 30
LOSING = r"\[warn\].* tracez: (\d+) spans dropped \(queue_full\): the buffer is full"
LOST = r"\[notice\].* tracez: no more spans dropped \(queue_full\), (\d+) in all"
FAILED = r"\[warn\].* tracez: export to \S+ failed \(.+\), \d+ spans waiting, trying again"
WORKS = r"\[notice\].* tracez: export to \S+ works again, \d+ spans waiting"


def said(nginx, pattern):
    """[(when, number)] of the lines of this kind."""
    return [(datetime.datetime.strptime(line[:19], "%Y/%m/%d %H:%M:%S").timestamp(),
             [int(number) for number in re.search(pattern, line).groups()])
            for line in nginx.log_lines(pattern)]


def assert_far_apart(lines):
    times = [when for when, _ in lines]
    assert all(later - earlier >= INTERVAL_SECONDS for earlier, later in zip(times, times[1:]))


def wait_until(moment):
    polling.until("the outage lasts", lambda: time.monotonic() >= moment, OUTAGE_SECONDS + 10)


def test_a_long_outage_is_told_of_at_its_ends_and_every_half_minute(backend, figure):
    backend.stop()
    with TracedNginx(HTTP, backend, workers=2, exporter="retry 100ms 500ms;") as nginx:
        with Clients(nginx.port["shop"], 2, pause_seconds=0.005, may_break=True):
            began = time.monotonic()
            polling.until("spans are lost", lambda: said(nginx, LOSING))
            wait_until(began + OUTAGE_SECONDS / 4)
            nginx.kill(nginx.workers()[0])
            nginx.wait_for_workers()
            wait_until(began + OUTAGE_SECONDS / 2)
            nginx.reload()
            wait_until(began + OUTAGE_SECONDS)
            attempts = nginx.status()["exporter"]["failed_attempts"]
            backend.start()
            polling.until("nothing is lost", lambda: said(nginx, WORKS))
        polling.until("the log says so", lambda: said(nginx, LOST), 2 * INTERVAL_SECONDS + 5)
        lost = ledgers.drops(nginx.settle())["queue_full"]
        losing, end = said(nginx, LOSING), said(nginx, LOST)

        figure("%d spans lost in %d s, %d attempts since the reload, %d lines", lost,
               OUTAGE_SECONDS, attempts, len(losing + end))
        assert len(said(nginx, FAILED)) == len(said(nginx, WORKS)) == 1
        assert 3 <= len(losing) <= 4 and len(end) == 1
        assert_far_apart(losing)
        assert sum(number for _, (number,) in losing) == end[0][1][0] == lost


def test_a_backend_that_flaps_is_told_of_every_half_minute(backend, figure):
    backend.stop()
    with TracedNginx(HTTP, backend, workers=2, exporter="retry 10ms 50ms;") as nginx:
        began = time.monotonic()
        rounds = 0
        while time.monotonic() < began + OUTAGE_SECONDS:
            client.get(nginx.port["shop"])
            polling.until("the backend is missed", lambda: (
                nginx.status()["exporter"]["state"] == "down"))
            backend.start()
            rounds += 1
            polling.until("all spans arrive", lambda: backend.span_count() == rounds)
            polling.until("the backend is seen", lambda: (
                nginx.status()["exporter"]["state"] == "up"))
            backend.stop()
        backend.start()
        client.get(nginx.port["shop"])
        polling.until("the log's last word is that it works", lambda: (
            len(said(nginx, FAILED)) == len(said(nginx, WORKS))))
        failed, works = said(nginx, FAILED), said(nginx, WORKS)

        figure("%d times gone and back in %d s, %d lines", rounds, OUTAGE_SECONDS,
               len(failed + works))
        assert rounds > 10
        assert 1 <= len(failed) <= 3
        assert_far_apart(failed)
        # Each that it is missed has its end, which may come soon or late.
        assert all(gone <= back for (gone, _), (back, _) in zip(failed, works))
