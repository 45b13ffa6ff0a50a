# SPDX-License-Identifier: MIT
"""Workers that are killed under load, the one that exports among them: what had ended is delivered,
what had not is counted, and exporting goes on.

The load: clients that send bundles of requests, so that a kill often falls into the middle of one,
and requests that hang at an upstream, so that each worker always has spans that have not ended."""

import contextlib
import os
import random
import signal
import time

import pytest

import client
import ledger as ledgers
import polling
from backend import Late
from books import join
from load import Hanging, Pipelines, h2load
from longer import times
from traced import TracedNginx
from upstream import Upstream

WORKERS = 4
SPANS_MAX = 8192
HTTP = """
    tracez on;
    tracez_buffer_size {spans_max};
    keepalive_requests 1000000;
    upstream application { server {upstream}; }
    server {
        listen 127.0.0.1:{port_shop};
        location / { return 200 "hello\\n"; }
        location /hangs { proxy_pass http://application; }
    }
"""
EXPORTING_SECONDS = 2


def pause(kill, backend, already):
    """Seconds from a kill until the backend has a span that ended after it."""
    def is_exported():
        return any(attempt.newest_end_ns > kill.at_unix_ns
                   for attempt in backend.accepted()[already:])
    polling.until("exporting goes on", is_exported, EXPORTING_SECONDS)
    return time.monotonic() - kill.at


def kill_one(nginx, backend, chance, clients, how, at_the_exporter):
    answered = len(clients.answered) + chance.randint(1, 400)
    polling.until("the load goes on", lambda: len(clients.answered) >= answered)
    exporting = polling.until("a worker exports", nginx.exporting_worker)
    victim = exporting if at_the_exporter else chance.choice(nginx.workers())
    already = len(backend.accepted())
    took = pause(nginx.kill(victim, how), backend, already)
    nginx.wait_for_workers()
    return victim == exporting, took


def assert_the_whole_buffer_is_in_use(nginx, backend):
    """Of a shard that a dead worker had locked nothing could be used any more."""
    backend.stop()
    h2load(nginx.port["shop"], SPANS_MAX + 500, 10_000)
    ledger = nginx.ledger()
    assert ledger["queued"] + ledger["inflight"] == SPANS_MAX
    assert ledger["dropped"]["queue_full"] == 500
    backend.start()


@pytest.fixture
def nginx(backend):
    """Its backend takes its time to answer: kills often find batches on their way."""
    backend.script(otherwise=Late(0.02))
    upstream = Upstream({"/hangs": None})
    with TracedNginx(HTTP, backend, workers=WORKERS, upstream=upstream.address,
                     spans_max=SPANS_MAX, sanitizer_options="handle_segv=0",
                     exporter="retry 10ms 50ms;") as opened:
        yield opened
    upstream.close()


def kill_under_load(nginx, backend, kills, how, figure):
    chance = random.Random(20261125)
    with Hanging(nginx.port["shop"], "/hangs", may_break=True) as hanging, \
            Pipelines(nginx.port["shop"], may_break=True) as clients:
        done = [kill_one(nginx, backend, chance, clients, how, number % 4 == 0)
                for number in range(kills)]
    ledger, repeated = join(nginx, backend, hanging, clients)

    assert set(ledgers.drops(ledger)) == {"worker_lost"}
    assert_the_whole_buffer_is_in_use(nginx, backend)
    at_exporters = sum(is_exporter for is_exporter, _ in done)
    assert at_exporters >= kills / 5
    figure("%d kills, %d of the exporter; %d spans delivered, %d lost with their workers; "
           "%d batches sent again; exporting went on after %.2f s at most", kills, at_exporters,
           ledger["exported"], ledger["dropped"]["worker_lost"], repeated,
           max(took for _, took in done))


def test_workers_that_are_killed_under_load_lose_no_span_that_had_ended(nginx, backend, figure):
    kill_under_load(nginx, backend, times(10, 100), signal.SIGKILL, figure)


def test_workers_that_crash_under_load_lose_no_span_that_had_ended(nginx, backend, figure):
    kill_under_load(nginx, backend, times(4, 20), signal.SIGSEGV, figure)


def test_all_workers_killed_at_once_lose_no_span_that_had_ended(nginx, backend):
    with Hanging(nginx.port["shop"], "/hangs", may_break=True) as hanging, \
            Pipelines(nginx.port["shop"], may_break=True) as clients:
        for _ in range(times(2, 10)):
            answered = len(clients.answered) + 500
            polling.until("the load goes on", lambda: len(clients.answered) >= answered)
            already = len(backend.accepted())
            for pid in nginx.workers():
                kill = nginx.kill(pid)
            pause(kill, backend, already)
            nginx.wait_for_workers()
    join(nginx, backend, hanging, clients)
    assert_the_whole_buffer_is_in_use(nginx, backend)


def test_workers_killed_amid_reloads_lose_no_span_that_had_ended(nginx, backend, figure):
    """Old ones that are leaving, new ones that are beginning, each one of them at any moment."""
    chance = random.Random(20261125)
    with Hanging(nginx.port["shop"], "/hangs", may_break=True) as hanging, \
            Pipelines(nginx.port["shop"], may_break=True) as clients:
        for _ in range(times(6, 60)):
            answered = len(clients.answered) + chance.randint(1, 200)
            old = set(nginx.workers())
            nginx.send_signal("HUP")
            polling.until("the load goes on", lambda: len(clients.answered) >= answered)
            for pid in chance.sample(nginx.workers(), 2):
                with contextlib.suppress(ProcessLookupError):  # it has just left
                    nginx.kill(pid)
            # What hangs keeps old workers alive, and may have found one again.
            polling.until("there are new workers, and no others", lambda: hanging.let_go() or (
                not old & set(nginx.workers()) and nginx.has_all_workers()))
    ledger, repeated = join(nginx, backend, hanging, clients)

    figure("%d kills amid reloads; %d spans delivered, %d lost with their workers; %d batches sent "
           "again", len(nginx.kills), ledger["exported"], ledger["dropped"]["worker_lost"], repeated)
    assert set(ledgers.drops(ledger)) == {"worker_lost"}
    assert_the_whole_buffer_is_in_use(nginx, backend)


def ask_for_what_hangs(nginx, count=20):
    """Connections, over all workers, on each of which a request hangs."""
    opened = [client.connect(nginx.port["shop"]) for _ in range(count)]
    for connection in opened:
        connection.sendall(client.request("GET", "/hangs", keep=True))
    polling.until("they all hang", lambda: nginx.ledger()["live"] == count)
    return opened


def leave(connections):
    for connection in connections:
        connection.close()


def end_what_lingers(old, end):
    """Ends those of the old workers at which something hangs; the others may have left by themselves."""
    for pid in old:
        with contextlib.suppress(ProcessLookupError):
            end(pid)


def test_a_worker_of_a_second_configuration_that_is_killed_is_counted(nginx):
    """Its successor finds the places of the first configuration's workers free."""
    nginx.wait_until_gone(nginx.reload())
    connections = ask_for_what_hangs(nginx)
    for pid in nginx.workers():
        nginx.kill(pid)
    nginx.wait_for_workers()
    leave(connections)

    assert ledgers.drops(nginx.settle()) == {"worker_lost": len(connections)}


def test_an_old_worker_that_is_killed_while_it_leaves_is_counted(nginx):
    """Nobody takes its place."""
    connections = ask_for_what_hangs(nginx)
    old = nginx.reload()
    end_what_lingers(old, nginx.kill)
    nginx.wait_until_gone(old)
    leave(connections)

    assert ledgers.drops(nginx.settle()) == {"worker_lost": len(connections)}


def test_what_hung_at_a_worker_that_was_told_to_leave_at_once_is_counted(nginx):
    """TERM, sent to old workers that linger: nobody takes their places either."""
    connections = ask_for_what_hangs(nginx)
    old = nginx.reload()
    end_what_lingers(old, lambda pid: os.kill(pid, signal.SIGTERM))
    nginx.wait_until_gone(old)
    leave(connections)

    assert ledgers.drops(nginx.settle()) == {"worker_lost": len(connections)}


def test_what_was_in_a_buffer_that_died_with_its_workers_is_counted(nginx, backend):
    """Old ones that have a buffer of their own, as the new configuration says another size; its memory
    is gone with the last of them."""
    backend.stop()
    for _ in range(50):
        client.get(nginx.port["shop"])
    connections = ask_for_what_hangs(nginx)
    end_what_lingers(nginx.reload(spans_max=1000), nginx.kill)
    leave(connections)
    backend.start()
    client.get(nginx.port["shop"])
    ledger = nginx.settle()

    assert ledgers.drops(ledger) == {"worker_lost": len(connections), "corrupt": 50}
    assert ledger["exported"] == 1


def test_a_worker_that_is_killed_just_before_the_end_is_counted(nginx):
    """The last process to leave sees to it: nobody comes after."""
    connections = ask_for_what_hangs(nginx)
    victim = nginx.workers().pop()
    os.kill(nginx.master, signal.SIGSTOP)  # it starts nobody in the victim's place
    nginx.kill(victim)
    os.kill(nginx.master, signal.SIGTERM)
    os.kill(nginx.master, signal.SIGCONT)
    nginx.quit(how=signal.SIGTERM)
    leave(connections)

    assert nginx.log_lines(r"tracez: of 20 spans, 0 were exported and 20 dropped")


def test_where_the_newest_buffer_is_without_workers_for_a_moment_no_span_counts_twice(nginx, backend):
    """An old worker, with a buffer of its own, keeps its hands off."""
    backend.stop()
    connections = ask_for_what_hangs(nginx, 1)
    old = nginx.reload(spans_max=1000)
    for _ in range(50):
        client.get(nginx.port["shop"])
    os.kill(nginx.master, signal.SIGSTOP)
    for pid in set(nginx.workers()) - old:
        nginx.kill(pid)
    looked = time.monotonic() + 2.5  # the old worker looks at the books each second
    polling.until("the old worker has looked", lambda: time.monotonic() > looked)
    os.kill(nginx.master, signal.SIGCONT)
    polling.until("others have taken their places",
                  lambda: len(set(nginx.workers()) - old) == WORKERS)
    backend.start()
    leave(connections)
    ledger = nginx.settle()

    assert (ledger["recorded"], ledgers.drops(ledger)) == (51, {})
