# SPDX-License-Identifier: MIT
"""Delivery: each span arrives exactly once, whatever the backend does first, or is counted; and the
log tells of it once."""

import re

import pytest

import client
import ledger as ledgers
import polling
from backend import Answer, Close, Cut, Partial, Reset, Stall
from traced import TracedNginx

HTTP = """
    tracez on;
    server { listen 127.0.0.1:{port_shop}; location / { return 200 "hello\\n"; } }
"""


def open_nginx(backend, **settings):
    settings.setdefault("workers", 2)
    return TracedNginx(HTTP, backend, **settings)


FAILED = r"\[warn\].* tracez: export to %s failed \(.+\), \d+ spans waiting, trying again"
WORKS = r"\[notice\].* tracez: export to %s works again, \d+ spans waiting"


def test_a_missing_backend_is_told_of_once_when_it_goes_and_once_when_it_is_back(backend):
    url = re.escape(backend.url) + "/v1/traces"
    backend.stop()
    with open_nginx(backend, exporter="retry 10ms 50ms;") as nginx:
        for _ in range(20):
            assert client.get(nginx.port["shop"]).body == b"hello\n"
        polling.until("the log tells of the failure", lambda: nginx.log_lines(FAILED % url))
        polling.until("it was tried again and again", lambda: (
            nginx.status()["exporter"]["failed_attempts"] >= 20))
        assert nginx.status()["exporter"]["state"] == "down"
        assert nginx.ledger()["exported"] == 0

        backend.start()

        assert nginx.settle()["exported"] == 20
        polling.until("the log tells of the end", lambda: nginx.log_lines(WORKS % url))
        assert nginx.status()["exporter"]["state"] == "up"
        assert len(nginx.log_lines("tracez:")) == 2


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_what_the_backend_puts_off_is_sent_again(backend, status):
    backend.script(*[Answer(status)] * 3)

    with open_nginx(backend, exporter="retry 10ms 50ms;") as nginx:
        client.get(nginx.port["shop"])

        assert nginx.settle()["exported"] == 1
    bodies = [attempt.body for attempt in backend.attempts]
    assert bodies == bodies[:1] * 4


@pytest.mark.parametrize("status", [429, 503])
def test_a_backend_that_asks_for_a_pause_gets_it(backend, status):
    backend.script(Answer(status, retry_after="1"))

    with open_nginx(backend, exporter="retry 10ms 50ms;") as nginx:
        client.get(nginx.port["shop"])
        polling.until("it was asked", lambda: backend.attempts)
        client.get(nginx.port["shop"])  # another batch has to wait as well

        assert nginx.settle()["exported"] == 2
    assert backend.attempts[1].at - backend.attempts[0].at >= 1


@pytest.mark.parametrize("status", [301, 400, 401, 404, 413, 500, 501])
def test_what_the_backend_refuses_is_counted_and_not_sent_again(backend, status):
    backend.script(Answer(status, headers=[("Location", "/elsewhere")]))

    with open_nginx(backend) as nginx:
        client.get(nginx.port["shop"])
        ledger = nginx.settle()
        client.get(nginx.port["shop"])
        nginx.settle()

    assert (ledger["exported"], ledgers.drops(ledger)) == (0, {"rejected": 1})
    assert [attempt.path for attempt in backend.attempts] == ["/v1/traces"] * 2


@pytest.mark.parametrize("action", [Close(), Reset(), Cut()])
def test_a_connection_that_breaks_is_tried_again(backend, action):
    backend.script(action)

    with open_nginx(backend, exporter="retry 10ms 50ms;") as nginx:
        client.get(nginx.port["shop"])

        assert nginx.settle()["exported"] == 1
    assert len(backend.attempts) == 2


def test_a_backend_that_hangs_costs_no_request_and_is_given_up_in_time(backend):
    backend.script(Stall())

    with open_nginx(backend, exporter="timeout 300ms; retry 10ms 50ms;") as nginx:
        client.get(nginx.port["shop"])
        polling.until("the backend has a batch", lambda: backend.attempts)
        for _ in range(100):
            assert client.get(nginx.port["shop"]).body == b"hello\n"

        assert nginx.settle()["exported"] == 101


def test_a_partial_success_is_split_exactly(backend):
    backend.script(Partial(3))

    with open_nginx(backend, interval="500ms", workers=1) as nginx:
        for _ in range(10):
            client.get(nginx.port["shop"])
        ledger = nginx.settle()

    assert (ledger["exported"], ledgers.drops(ledger)) == (7, {"partial_rejected": 3})
    assert len(backend.attempts) == 1


def test_batches_are_of_the_configured_size_and_carry_the_configured_headers(backend):
    with open_nginx(backend, interval="1s", exporter="batch_size 10; header X-Scope-OrgID 7; "
                    "header Authorization 'Bearer s3cret';") as nginx:
        for _ in range(35):
            client.get(nginx.port["shop"])
        nginx.settle()
        assert "s3cret" not in nginx.log()
        assert "s3cret" not in client.get(nginx.port["status"], "/ledger").raw.decode()

    assert sorted(len(attempt.heads) for attempt in backend.attempts) == [5, 10, 10, 10]
    for attempt in backend.attempts:
        assert (attempt.method, attempt.path) == ("POST", "/v1/traces")
        assert attempt.headers["content-type"] == "application/json"
        assert attempt.headers["user-agent"] == "tracez/0.1.0"
        assert attempt.headers["x-scope-orgid"] == "7"
        assert attempt.headers["authorization"] == "Bearer s3cret"
        assert "expect" not in attempt.headers
