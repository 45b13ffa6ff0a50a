# SPDX-License-Identifier: MIT
"""Reloads under load: no request fails, no span is lost, old workers leave in time and nothing of
them stays in the master, also while the backend takes connections and never answers."""

import os
import pathlib
import re
import signal
import time

import client

import ledger as ledgers
import polling
from backend import Answer, Stall
from books import join
from load import Clients
from longer import times
from nginx import is_sanitized
from traced import TracedNginx

HTTP = """
    tracez on;
    tracez_buffer_size {spans_max};
    server { listen 127.0.0.1:{port_shop}; location / { return 200 "hello\\n"; } }
"""

RELOADS = times(12, 200)
GONE_SECONDS = 5
SETTLED_AFTER = 10  # reloads
GROWTH_KIB_MAX = 64


def anonymous_kib(pid):
    """What is a process's own, the pages that its children still share with it among them."""
    rollup = pathlib.Path("/proc/%d/smaps_rollup" % pid).read_text()
    return int(re.search(r"^Anonymous:\s*(\d+) kB", rollup, re.MULTILINE).group(1))


def open_nginx(backend, exporter="", **settings):
    settings.setdefault("workers", 2)
    settings.setdefault("spans_max", 200_000)
    return TracedNginx(HTTP, backend, exporter=exporter, **settings)


def reload_again_and_again(nginx, clients, **changes):
    """(seconds until the old workers were gone, what the master then had for itself), one by one.
    changes: of settings, several values each that take turns."""
    done = []
    for number in range(RELOADS):
        answered = len(clients.answered) + 50
        polling.until("the load goes on", lambda: len(clients.answered) >= answered)
        began = time.monotonic()
        old = nginx.reload(**{name: values[number % len(values)]
                              for name, values in changes.items()})
        nginx.wait_until_gone(old)
        done.append((time.monotonic() - began, anonymous_kib(nginx.master)))
    return done


def check(nginx, backend, clients, done, figure):
    ledger, repeated = join(nginx, backend, clients)
    seconds, kib = zip(*done)
    growth_kib = max(kib[SETTLED_AFTER:]) - kib[SETTLED_AFTER - 1]
    figure("%d reloads, %d requests; old workers gone after %.2f s at most; the master grew by %d KiB",
           RELOADS, len(clients.answered), max(seconds), growth_kib)

    assert clients.answered == clients.sent
    assert (ledger["exported"], ledgers.drops(ledger)) == (len(clients.sent), {})
    assert repeated == 0 and len(backend.span_heads()) == len(clients.sent)
    assert max(seconds) < GONE_SECONDS
    # A sanitizer keeps what was freed.
    assert growth_kib <= GROWTH_KIB_MAX or is_sanitized()


def test_reloads_under_load_lose_nothing_and_leave_nothing_behind(backend, figure):
    with open_nginx(backend) as nginx:
        with Clients(nginx.port["shop"]) as clients:
            done = reload_again_and_again(nginx, clients)

        check(nginx, backend, clients, done, figure)


def test_so_do_reloads_that_change_the_buffer_each_time(backend, figure):
    """Of workers that use another one, the last empties the one that it leaves."""
    with open_nginx(backend) as nginx:
        with Clients(nginx.port["shop"]) as clients:
            done = reload_again_and_again(nginx, clients, spans_max=[10_000, 200_000, 20_000])

        check(nginx, backend, clients, done, figure)


def test_so_do_reloads_while_the_backend_never_answers(backend, figure):
    backend.script(otherwise=Stall())
    with open_nginx(backend, "connections 1; batch_size 100; retry 10ms 50ms;") as nginx:
        # A pace that the buffer can keep to the end.
        with Clients(nginx.port["shop"], 2, pause_seconds=0.002) as clients:
            done = reload_again_and_again(nginx, clients)
            assert nginx.ledger()["exported"] == 0
        backend.script(otherwise=Answer(200))
        backend.release()

        check(nginx, backend, clients, done, figure)


def reload_with_a_late_worker(nginx):
    """HUP, of which the new worker is stopped before it begins; the old ones, and the new one. Where it
    was too quick, all of it again."""
    siblings = pathlib.Path("/proc/%d/task/%d/children" % (nginx.master, nginx.master))
    while True:
        old = set(nginx.workers())
        nginx.send_signal("HUP")
        new = polling.until("a new worker", lambda: [
            int(pid) for pid in siblings.read_text().split() if int(pid) not in old], interval_seconds=0)[0]
        os.kill(new, signal.SIGSTOP)
        if nginx.threads(new) == 1 and new not in nginx.workers():
            return old, new
        os.kill(new, signal.SIGCONT)
        nginx.wait_until_gone(old)


def test_an_old_worker_leaves_the_rest_to_one_that_is_not_there_yet(backend):
    """It neither waits for the backend nor gives the spans up."""
    backend.script(otherwise=Stall())
    with open_nginx(backend, workers=1) as nginx:
        client.get(nginx.port["shop"])
        old, new = reload_with_a_late_worker(nginx)
        began = time.monotonic()
        nginx.wait_until_gone(old)
        assert time.monotonic() - began < 2
        os.kill(new, signal.SIGCONT)
        nginx.wait_for_workers()
        backend.script(otherwise=Answer(200))
        backend.release()

        assert ledgers.drops(nginx.settle()) == {}
