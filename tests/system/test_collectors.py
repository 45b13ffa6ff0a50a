# SPDX-License-Identifier: MIT
"""Collectors with a pace of their own: each span waits in the first that wants it, leaves when that one's does, and is
counted there."""

import pytest

import client
import polling
from backend import Stall
from spans import parse
from traced import TracedNginx

HTTP = """
    tracez on;
    tracez_collector errors size=500 interval=20ms batch_size=50 match=errors;
    tracez_collector checkout size=600 batch_size=2 match=name:checkout;
    server {
        listen 127.0.0.1:{port_shop};
        location / { return 200; }
        location /fails { return 503; }
        location /checkout { tracez_span_name checkout; return 200; }
    }
    server {
        listen 127.0.0.1:{port_cart};
        server_name cart.example;
        tracez_buffer_size 700;
        location / { return 200; }
        location /fails { return 500; }
    }
"""

SLOW = "1h"


def collectors(nginx):
    return {collector["name"]: collector for collector in nginx.status()["collectors"]}


def statuses(attempts):
    return [span.tags["http.response.status_code"] for span in parse(attempts)]


@pytest.mark.parametrize("lanes", [1, 2])
def test_errors_arrive_at_their_interval_while_requests_wait(backend, lanes):
    with TracedNginx(HTTP, backend, interval=SLOW, workers=2, exporter="lanes %d;" % lanes) as nginx:
        for _ in range(5):
            client.get(nginx.port["shop"], "/")
            client.get(nginx.port["cart"], "/")
        for round_ in (1, 2, 3):
            client.get(nginx.port["shop"], "/fails")
            client.get(nginx.port["cart"], "/fails")
            polling.until("both are there", lambda: backend.span_count() == 2 * round_)

        assert set(statuses(backend.accepted())) == {500, 503}
        waiting = polling.until("they are acknowledged", lambda: (
            collectors(nginx)["errors"]["exported"] == 6 and collectors(nginx)))
        assert {name: (waiting[name]["queued"], waiting[name]["exported"]) for name in waiting} == {
            "errors": (0, 6), "checkout": (0, 0), "default": (5, 0), "cart.example": (5, 0)}
        nginx.quit()
        assert nginx.last_words() == (16, 16, 0)

    assert backend.span_count() == 16  # the others left with the last worker


def test_a_batch_of_a_collectors_own_size_leaves_at_once(backend):
    with TracedNginx(HTTP, backend, interval=SLOW) as nginx:
        client.get(nginx.port["shop"], "/")
        client.get(nginx.port["shop"], "/checkout")
        assert backend.attempts == []
        client.get(nginx.port["shop"], "/checkout")
        polling.until("two are there", lambda: backend.span_count() == 2)

        assert [span.name for span in parse(backend.accepted())] == ["checkout", "checkout"]
        nginx.quit()
        assert nginx.last_words() == (3, 3, 0)


def test_an_error_does_not_wait_for_all_the_requests_that_came_before_it(backend):
    backend.script(Stall())
    exporter = "connections 1; batch_size 1; retry 1ms 5ms;"
    http = HTTP.replace("batch_size=50", "batch_size=1")
    with TracedNginx(http, backend, interval=SLOW, exporter=exporter) as nginx:
        for _ in range(40):
            client.get(nginx.port["shop"], "/")
        client.get(nginx.port["shop"], "/fails")
        polling.until("all are recorded", lambda: nginx.ledger()["recorded"] == 41)
        backend.release()
        nginx.settle()

    order = statuses(backend.accepted())
    assert len(order) == 41
    assert order.index(503) <= 4  # what was under way, and each collector's turn


def test_a_collector_that_is_full_drops_its_own_spans_only(backend):
    http = HTTP.replace("errors size=500", "errors size=3")
    backend.script(otherwise=Stall())
    with TracedNginx(http, backend, interval="20ms", exporter="timeout 1s; retry 10ms 50ms;") as nginx:
        for _ in range(10):
            client.get(nginx.port["shop"], "/fails")
            client.get(nginx.port["shop"], "/")
        full = polling.until("all are recorded", lambda: (
            nginx.ledger()["recorded"] == 20 and collectors(nginx)))
        backend.script()
        backend.release()
        ledger = nginx.settle()

    assert (full["errors"]["dropped"]["queue_full"], full["default"]["dropped"]["queue_full"]) == (7, 0)
    assert (ledger["exported"], ledger["dropped"]["queue_full"]) == (13, 7)


def test_the_page_shows_what_each_takes_and_when_it_leaves(backend):
    with TracedNginx(HTTP, backend, interval="5s") as nginx:
        shown = collectors(nginx)

    assert {name: tuple(shown[name][key] for key in (
        "match", "interval_ms", "batch_size", "spans_max", "sample_rate")) for name in shown} == {
            "errors": ("errors", 20, 50, 500, ""), "checkout": ("name:checkout", 5000, 2, 600, ""),
            "default": ("server", 5000, 512, 8192, "1"), "cart.example": ("server", 5000, 512, 700, "1")}


def test_another_pace_keeps_the_buffer_and_another_size_empties_it(backend):
    http = HTTP.replace("size=500 interval=20ms", "size={size} interval={pace}")
    with TracedNginx(http, backend, interval=SLOW, size=500, pace=SLOW) as nginx:
        client.get(nginx.port["shop"], "/fails")
        nginx.wait_until_gone(nginx.reload(pace="1s"))
        polling.until("the new pace counts", lambda: backend.span_count() == 1)

        client.get(nginx.port["shop"], "/")
        nginx.wait_until_gone(nginx.reload(size=501))

        assert nginx.settle()["exported"] == 2  # what was in the old buffer is not lost
        assert collectors(nginx)["errors"]["spans_max"] == 501


def test_a_worker_that_is_killed_loses_no_span_of_any_of_them(backend):
    with TracedNginx(HTTP, backend, interval=SLOW, workers=2) as nginx:
        client.get(nginx.port["shop"], "/fails")
        polling.until("a worker exports", lambda: backend.span_count() == 1 and nginx.exporting_worker())
        for target in ("/", "/checkout", "/"):
            client.get(nginx.port["shop"], target)
        polling.until("they wait", lambda: nginx.ledger()["queued"] == 3)

        nginx.kill(nginx.exporting_worker())
        nginx.wait_for_workers()
        client.get(nginx.port["cart"], "/fails")

        ledger = nginx.settle()  # who takes over sends what waited there
        assert (ledger["exported"], sum(ledger["dropped"].values())) == (5, 0)
        assert sum(collector["exported"] for collector in collectors(nginx).values()) == 5


def test_without_a_server_nothing_is_made(backend):
    nginx = TracedNginx(HTTP, backend)
    nginx.write(http="tracez on; tracez_collector errors size=10 match=errors;")

    assert nginx.test()[0] == 0
    nginx.discard()
