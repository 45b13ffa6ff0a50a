# SPDX-License-Identifier: MIT
"""Delivery under load: each request's span arrives exactly once while buffer and backend suffice, and
what can't be held is counted, to the last span."""

import pathlib
import re

import ledger as ledgers
import polling
from load import finish_h2load, h2load, start_h2load, wrk
from spans import SERVER, parse
from traced import TracedNginx

HTTP = """
    tracez on;
    {buffer}
    keepalive_requests 1000000;
    server { listen 127.0.0.1:{port_shop}; location / { return 200 "hello\\n"; } }
"""

DROPPING = r"\[warn\].* tracez: \d+ spans dropped \(queue_full\): "


def open_nginx(backend, buffer="", **settings):
    settings.setdefault("workers", 2)
    return TracedNginx(HTTP, backend, buffer=buffer, **settings)


def assert_all_distinct(backend, count):
    heads = backend.span_heads()
    assert len(heads) == count
    assert len({span_id for _, span_id in heads}) == count
    assert len({trace_id for trace_id, _ in heads}) == count


def test_100_000_requests_at_5_000_a_second_arrive_whole_at_the_defaults(backend):
    with open_nginx(backend, interval="5s") as nginx:
        assert h2load(nginx.port["shop"], 100_000, 5_000) == 100_000
        ledger = nginx.settle()

    assert (ledger["exported"], ledgers.drops(ledger)) == (100_000, {})
    assert_all_distinct(backend, 100_000)
    assert {span.kind for span in parse(backend.accepted()[::20])} == {SERVER}


def send_during_an_outage(nginx, backend):
    """80,000 requests at 5,000 a second; from the fourth second on the backend is away for ten."""
    load = start_h2load(nginx.port["shop"], 80_000, 5_000)
    polling.until("20,000 spans arrived", lambda: backend.span_count() >= 20_000)
    backend.stop()
    before = nginx.counted_requests()
    polling.until("ten seconds' load went by", lambda: (
        nginx.counted_requests() - before >= 50_000), seconds=60)
    backend.start()
    assert finish_h2load(load) == 80_000


def test_an_outage_of_ten_seconds_loses_nothing_when_the_buffer_is_sized_for_it(backend):
    with open_nginx(backend, "tracez_buffer_size 100000;", exporter="retry 100ms 1s;") as nginx:
        send_during_an_outage(nginx, backend)
        ledger = nginx.settle(seconds=40)

    assert (ledger["exported"], ledgers.drops(ledger)) == (80_000, {})
    assert_all_distinct(backend, 80_000)


def test_an_outage_that_the_buffer_is_too_small_for_is_counted_exactly(backend):
    with open_nginx(backend, exporter="retry 100ms 1s;") as nginx:
        send_during_an_outage(nginx, backend)
        ledger = nginx.settle(seconds=40)
        polling.until("the log tells", lambda: nginx.log_lines(DROPPING))

        assert len(nginx.log_lines(DROPPING)) == 1
    dropped = ledgers.drops(ledger)
    assert set(dropped) == {"queue_full"}
    assert ledger["exported"] + dropped["queue_full"] == 80_000
    assert_all_distinct(backend, 80_000 - dropped["queue_full"])


def test_at_full_speed_received_and_dropped_are_all_requests(backend):
    with open_nginx(backend) as nginx:
        answered = wrk(nginx.port["shop"], 5)
        ledger = nginx.settle(seconds=40)

    dropped = sum(ledgers.drops(ledger).values())
    assert ledger["exported"] + dropped == ledger["traced"] >= answered
    assert_all_distinct(backend, ledger["traced"] - dropped)


def private_kib(pid):
    """What a process has for itself, without the shared buffer."""
    status = pathlib.Path("/proc/%d/status" % pid).read_text()
    return int(re.search(r"^RssAnon:\s*(\d+) kB", status, re.MULTILINE).group(1))


def test_100_000_requests_on_one_connection_make_nothing_grow(backend):
    with open_nginx(backend, workers=1) as nginx:
        worker, = nginx.workers()
        h2load(nginx.port["shop"], 20_000, 10_000, connections=1)
        nginx.settle()
        before = private_kib(worker)

        h2load(nginx.port["shop"], 100_000, 10_000, connections=1)
        ledger = nginx.settle(seconds=40)

        # Bodies of batches in flight come and go; 24 bytes lost for each request would be more.
        assert private_kib(worker) - before < 2400
    assert ledger["exported"] + sum(ledgers.drops(ledger).values()) == 120_000
