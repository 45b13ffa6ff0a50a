# SPDX-License-Identifier: MIT
"""Another binary in place of the running one (USR2, WINCH, QUIT), and back again (HUP, QUIT), under
load. Each master has buffer and ledger of its own: what the leaving one has in its buffer it sends,
and its last worker sees to that."""

import pytest

import ledger as ledgers
import polling
from load import Clients
from traced import TracedNginx

HTTP = """
    tracez on;
    server { listen 127.0.0.1:{port_shop}; location / { return 200 "hello\\n"; } }
"""


@pytest.fixture
def nginx(backend):
    with TracedNginx(HTTP, backend, workers=2, daemon="on", interval="200ms") as opened:
        yield opened


def go_on(clients, requests=200):
    answered = len(clients.answered) + requests
    polling.until("the load goes on", lambda: len(clients.answered) >= answered)


def retire_workers(nginx, master):
    nginx.send_signal("WINCH", master)
    polling.until("its workers have left", lambda: not nginx.workers(master))


def is_at_rest(ledger):
    return all(ledger[name] == 0 for name in ("live", "queued", "inflight"))


def assert_each_request_is_one_span(nginx, backend, clients):
    """Of all masters together; the ledger of the one that is left is complete as well."""
    assert clients.answered == clients.sent
    polling.until("all spans arrive", lambda: backend.span_count() >= len(clients.sent))
    assert sorted(trace_id.decode() for trace_id, _ in backend.span_heads()) == sorted(clients.sent)
    polling.until("the ledger tells so too", lambda: is_at_rest(nginx.ledger()))
    nginx.exported_elsewhere = len(clients.sent) - nginx.ledger()["exported"]
    assert nginx.exported_elsewhere > 0
    assert ledgers.drops(nginx.settle()) == {}


def upgrade_and_retire(nginx, clients):
    """Until only the new master has workers; returns the old one."""
    go_on(clients)
    old = nginx.upgrade()
    go_on(clients)
    retire_workers(nginx, old)
    go_on(clients)
    return old


def test_an_upgrade_under_load_drops_nothing(nginx, backend):
    with Clients(nginx.port["shop"]) as clients:
        old = upgrade_and_retire(nginx, clients)
        nginx.quit_master(old)
        go_on(clients)

    assert_each_request_is_one_span(nginx, backend, clients)


def test_an_upgrade_that_is_taken_back_under_load_drops_nothing(nginx, backend):
    with Clients(nginx.port["shop"]) as clients:
        old = upgrade_and_retire(nginx, clients)
        nginx.send_signal("HUP", old)
        polling.until("it has workers again", lambda: len(nginx.workers(old)) == 2)
        new, nginx.master = nginx.master, old
        nginx.quit_master(new)
        go_on(clients)

    assert_each_request_is_one_span(nginx, backend, clients)


def test_an_upgrade_after_which_the_old_master_leaves_at_once_drops_nothing(nginx, backend):
    """Its workers then leave with it."""
    with Clients(nginx.port["shop"]) as clients:
        go_on(clients)
        old = nginx.upgrade()
        nginx.quit_master(old)
        go_on(clients)

    assert_each_request_is_one_span(nginx, backend, clients)
