# SPDX-License-Identifier: MIT
"""Somebody overwrites tracez's shared memory in a running nginx: no request fails, no process dies or
hangs, a reload makes everything good, and what was lost is counted."""

import signal

import pytest

import client
import ledger as ledgers
import polling
import shared_memory
from longer import times
from traced import TracedNginx

HTTP = """
    tracez on;
    server {
        listen 127.0.0.1:{port_shop};
        location / { return 200 "hello\\n"; }
    }
"""

# The header, resources, lease and positions, and the beginning of the ring; all but the end of the ledger.
BUFFER_BYTES = 128 * 1024
LEDGER_BYTES = 160 * 1024


def open_nginx(backend, **settings):
    return TracedNginx(HTTP, backend, workers=2, exporter="retry 10ms 50ms; shutdown_timeout 1s;",
                       **settings)


def get(nginx, count):
    for _ in range(count):
        assert client.get(nginx.port["shop"]).body == b"hello\n"


@pytest.mark.parametrize("seed", range(times(2, 20)))
def test_a_buffer_of_noise_costs_no_request_and_a_reload_begins_a_new_one(backend, seed):
    backend.stop()
    with open_nginx(backend, interval="{pace}", pace="1h") as nginx:
        get(nginx, 50)
        workers = nginx.workers()

        shared_memory.overwrite(nginx.master, shared_memory.BUFFER, BUFFER_BYTES, seed)
        get(nginx, 50)
        assert nginx.ledger()["exported"] == 0
        assert nginx.workers() == workers

        nginx.wait_until_gone(nginx.reload(pace="20ms"))
        backend.start()
        get(nginx, 50)
        ledger = nginx.settle()

        assert len(nginx.log_lines(r"\[warn\].* makes no sense: new workers begin with an empty")) == 1
        assert (ledger["recorded"], ledger["exported"]) == (150, 50)
        assert ledger["dropped"]["corrupt"] >= 50
        polling.until("the log tells of the loss",
                      lambda: nginx.log_lines(r"\[warn\].* spans dropped \(corrupt\): what lay in"))
        nginx.reload()  # and the new one is kept
        get(nginx, 10)
        assert nginx.settle()["exported"] == 60


def test_a_worker_that_starts_over_noise_serves_untraced_until_the_reload(backend):
    with open_nginx(backend) as nginx:
        get(nginx, 10)
        nginx.settle()
        shared_memory.overwrite(nginx.master, shared_memory.BUFFER, BUFFER_BYTES, 3)

        for pid in nginx.workers():
            nginx.kill(pid)
        nginx.wait_for_workers()
        get(nginx, 20)
        assert nginx.log_lines(r"\[error\].* this worker traces nothing: shared memory rejected")
        nginx.wait_until_gone(nginx.reload())
        get(nginx, 20)

        polling.until("spans arrive again", lambda: backend.span_count() >= 30)
        nginx.quit()
    assert backend.span_count() == 30


# Of the ledger's zone: a magic, the door's lock, the lines with a lock each (nginx_module's struct).
DOOR, LINES = 8, 48
DAMAGE = {
    "a door that is none": lambda nginx: (DOOR, bytes(40)),
    "a door that one who lives holds": lambda nginx: (DOOR, nginx.master.to_bytes(4, "little")),
    "no line": lambda nginx: (LINES, b"\xff" * (64 * 64)),
}


def damage(nginx, what):
    shared_memory.write(nginx.master, shared_memory.LEDGER, *DAMAGE[what](nginx))


@pytest.mark.parametrize("what", DAMAGE)
def test_locks_that_somebody_overwrote_cost_no_request_and_a_reload_makes_new_ones(backend, what):
    with open_nginx(backend) as nginx:
        get(nginx, 10)
        nginx.settle()
        damage(nginx, what)
        nginx.kill(nginx.workers().pop())
        nginx.wait_for_workers()
        get(nginx, 20)

        nginx.wait_until_gone(nginx.reload())
        before = backend.span_count()
        get(nginx, 20)

        polling.until("the new ones' spans arrived", lambda: backend.span_count() == before + 20)
        assert len(nginx.log_lines(r"\[warn\].* makes no sense: the books begin anew")) == 1
        nginx.quit()


@pytest.mark.parametrize("what", ["a door that is none", "a door that one who lives holds"])
@pytest.mark.parametrize("how", [signal.SIGQUIT, signal.SIGTERM])
def test_a_door_that_does_not_open_keeps_nothing_from_being_sent_at_the_end(backend, what, how):
    with open_nginx(backend, interval="1h") as nginx:
        get(nginx, 50)
        damage(nginx, what)
        nginx.quit(how=how)
    assert backend.span_count() == 50
    assert nginx.quit_seconds < 1.2


@pytest.mark.parametrize("seed", range(times(2, 20)))
def test_a_ledger_of_noise_costs_no_request_and_a_reload_begins_the_books_anew(backend, seed):
    with open_nginx(backend) as nginx:
        get(nginx, 50)
        nginx.settle()
        workers = nginx.workers()

        shared_memory.overwrite(nginx.master, shared_memory.LEDGER, LEDGER_BYTES, seed)
        get(nginx, 50)
        nginx.status()  # whatever it says
        assert nginx.workers() == workers

        nginx.wait_until_gone(nginx.reload())
        before = backend.span_count()
        get(nginx, 50)

        polling.until("the new ones' spans arrived", lambda: backend.span_count() == before + 50)
        assert len(nginx.log_lines(r"\[warn\].* makes no sense: the books begin anew")) == 1
        polling.until("and are counted", lambda: nginx.ledger()["exported"] == 50)
        ledger = nginx.ledger()
        assert (ledger["recorded"], ledgers.drops(ledger)) == (50, {})
        assert not ledgers.imbalances(ledger)
        nginx.quit()
