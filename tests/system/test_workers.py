# SPDX-License-Identifier: MIT
"""One worker, and many: exact books under load, and ids that nobody else gives out."""

import pytest

import ledger as ledgers
import polling
from books import join
from load import Clients, h2load
from spans import parse
from traced import TracedNginx

HTTP = """
    tracez on;
    tracez_tag worker $pid;
    tracez_buffer_size 50000;
    keepalive_requests 1000000;
    server { listen 127.0.0.1:{port_shop} {listen}; location / { return 200 "hello\\n"; } }
"""
REQUESTS = 8_000
MANY = 32
PROCESSES_MAX = 64
LEAVING_SECONDS = 60  # a sanitizer looks for leaks in each


def open_nginx(backend, workers, listen=""):
    return TracedNginx(HTTP, backend, workers=workers, listen=listen)


def load_all_workers(nginx):
    """Each has a socket of its own, and so many connections find every one of them."""
    assert h2load(nginx.port["shop"], REQUESTS, 8_000, connections=400) == REQUESTS


def workers_of(spans):
    return {int(span.tags["worker"]) for span in spans}


@pytest.mark.parametrize("workers", [1, MANY])
def test_however_many_workers_the_books_are_exact(backend, workers):
    with open_nginx(backend, workers, "reuseport") as nginx:
        load_all_workers(nginx)
        ledger = nginx.settle()

        assert workers_of(parse(backend.accepted())) == set(nginx.workers())
    assert (ledger["exported"], ledgers.drops(ledger)) == (REQUESTS, {})


def test_workers_that_are_forked_at_once_give_out_different_ids(backend):
    with open_nginx(backend, MANY, "reuseport") as nginx:
        load_all_workers(nginx)
        nginx.settle()
    spans = sorted(parse(backend.accepted()), key=lambda span: span.start_ns)
    first = {span.tags["worker"]: span for span in reversed(spans)}

    assert len(first) == MANY
    assert len({span.trace_id for span in spans}) == REQUESTS
    assert len({span.span_id for span in spans}) == REQUESTS
    for digits in slice(0, 8), slice(8, 16):  # 32 bits each, so that chance has next to none
        assert len({span.trace_id[digits] for span in first.values()}) == MANY
        assert len({span.span_id[digits] for span in first.values()}) == MANY


def test_a_reload_of_many_workers_under_load_drops_nothing(backend):
    with open_nginx(backend, MANY) as nginx:
        with Clients(nginx.port["shop"]) as clients:
            for _ in range(3):
                answered = len(clients.answered) + 200
                polling.until("the load goes on", lambda: len(clients.answered) >= answered)
                nginx.wait_until_gone(nginx.reload(), LEAVING_SECONDS)
        ledger, _ = join(nginx, backend, clients)

        assert (ledger["exported"], ledgers.drops(ledger)) == (len(clients.sent), {})


def test_more_workers_than_may_trace_at_once_all_trace_when_the_old_ones_have_left(backend):
    """Up to 64 trace at once, so that some of the new ones have to wait."""
    workers = 34
    with open_nginx(backend, workers, "reuseport") as nginx:
        nginx.wait_until_gone(nginx.reload(), LEAVING_SECONDS)
        waited = len(nginx.log_lines(r"\[warn\].* tracez: this worker traces nothing yet: "))
        polling.until("all have begun", lambda: len(
            nginx.log_lines(r"\[notice\].* tracez: this worker traces from now on")) == waited)
        load_all_workers(nginx)
        ledger = nginx.settle()

        assert waited == 2 * workers - PROCESSES_MAX
        assert workers_of(parse(backend.accepted())) == set(nginx.workers())
    assert (ledger["exported"], ledgers.drops(ledger)) == (REQUESTS, {})
