# SPDX-License-Identifier: MIT
"""Lanes: several workers export at once, each a share of the buffer; whatever happens to one of them,
nothing is lost. And with any number of lanes: whoever fills a batch wakes the worker that sends it."""

import contextlib
import os
import pathlib
import re
import signal
import time

import pytest

import client
import ledger as ledgers
import polling
from backend import Late
from books import join
from load import Pipelines
from longer import times
from traced import TracedNginx

HTTP = """
    tracez on;
    keepalive_requests 1000000;
    server {
        listen 127.0.0.1:{port_shop} reuseport;
        location / { return 200 "$pid\\n"; }
        location = /untraced { tracez off; return 200 "$pid\\n"; }
    }
"""
LANE_SECONDS = 2  # within which a lane goes on


def open_nginx(backend, lanes=2, exporter="", **settings):
    settings.setdefault("workers", 2)
    return TracedNginx(HTTP, backend, exporter="lanes {lanes}; retry 10ms 50ms; " + exporter,
                       lanes=lanes, **settings)


def lanes_of(nginx):
    return nginx.status()["exporter"]["lanes"]


def holders(nginx):
    """Pids of those that export; None for a lane that nobody has."""
    return {lane["worker"] if lane["state"] != "waiting" else None for lane in lanes_of(nginx)}


def wait_for_a_lane_each(nginx, seconds=10.0):
    polling.until("each worker has a lane", lambda: holders(nginx) == set(nginx.workers()), seconds)


def test_each_of_two_workers_sends_a_lane(backend):
    with open_nginx(backend) as nginx:
        wait_for_a_lane_each(nginx)
        with Pipelines(nginx.port["shop"], count=16) as clients:
            polling.until("both have sent", lambda: all(
                lane["batches"] > 5 for lane in lanes_of(nginx)))
        ledger, repeated = join(nginx, backend, clients)
        polling.until("both have published all that they sent", lambda: (
            nginx.status()["exporter"]["exported"] == ledger["exported"]))
        exporter = nginx.status()["exporter"]

    assert (ledgers.drops(ledger), repeated) == ({}, 0)
    assert ledger["exported"] == len(clients.answered)
    assert exporter["batches"] == sum(lane["batches"] for lane in exporter["lanes"])
    assert exporter["batches"] == len(backend.accepted())


def finished(ledger):
    return ledger["queued"] + ledger["inflight"] + ledger["exported"]


def test_the_lane_of_a_worker_that_is_killed_goes_on_within_two_seconds(backend, figure):
    pauses = []
    backend.script(otherwise=Late(0.02))
    with open_nginx(backend) as nginx:
        with Pipelines(nginx.port["shop"], may_break=True) as clients:
            for number in range(times(4, 40)):
                wait_for_a_lane_each(nginx)
                answered = len(clients.answered) + 200
                polling.until("the load goes on", lambda: len(clients.answered) >= answered)
                kill = nginx.kill(lanes_of(nginx)[number % 2]["worker"])
                nginx.wait_for_workers()
                reached = finished(nginx.ledger())
                polling.until("what had ended is sent", lambda: nginx.ledger()["exported"] >= reached,
                              LANE_SECONDS - (time.monotonic() - kill.at))
                pauses.append(time.monotonic() - kill.at)
        ledger, repeated = join(nginx, backend, clients)

        assert set(ledgers.drops(ledger)) <= {"worker_lost"}
        wait_for_a_lane_each(nginx)
    figure("%d kills, %d spans delivered; %d batches sent again; what had ended was sent %.2f s "
           "after a kill at most", len(pauses), ledger["exported"], repeated, max(pauses))


def test_a_worker_that_is_alone_has_one_lane_whatever_is_configured(backend):
    with open_nginx(backend, lanes=4, workers=1) as nginx:
        for _ in range(100):
            client.get(nginx.port["shop"])
        ledger = nginx.settle()

        assert (ledger["exported"], ledgers.drops(ledger)) == (100, {})
        assert [lane["worker"] for lane in lanes_of(nginx)] == nginx.workers()
        assert len(nginx.log_lines(r"\[warn\].* lanes 4 taken for 1, as there are no more")) == 1


def test_other_numbers_of_lanes_at_a_reload_lose_nothing(backend):
    backend.script(otherwise=Late(0.02))
    with open_nginx(backend, lanes=1) as nginx:
        with Pipelines(nginx.port["shop"], may_break=True) as clients:
            for lanes in (2, 1, 2):
                answered = len(clients.answered) + 200
                polling.until("the load goes on", lambda: len(clients.answered) >= answered)
                nginx.wait_until_gone(nginx.reload(lanes=lanes))
                assert len(lanes_of(nginx)) == lanes
        ledger, repeated = join(nginx, backend, clients)

        assert (ledgers.drops(ledger), repeated) == ({}, 0)
        wait_for_a_lane_each(nginx)


@pytest.mark.parametrize("how", [signal.SIGQUIT, signal.SIGTERM])
def test_the_last_worker_sends_what_is_in_all_lanes(backend, how):
    with open_nginx(backend, interval="1h") as nginx:
        wait_for_a_lane_each(nginx)
        while {pid_of(client.get(nginx.port["shop"])) for _ in range(10)} != set(nginx.workers()):
            pass
        requests = nginx.ledger()["queued"]
        assert (nginx.ledger()["exported"], backend.span_count()) == (0, 0)

        assert nginx.quit(how=how) == 0

    assert backend.span_count() == requests >= 10


def connections_that_wait(nginx):
    """Those whose request nginx is reading, by its own count."""
    body = client.get(nginx.port["status"], "/count").body.decode()
    return int(re.search(r"Reading: (\d+)", body).group(1))


def test_an_older_configuration_hands_all_lanes_over(backend):
    with open_nginx(backend) as nginx:
        wait_for_a_lane_each(nginx)
        waiting = [client.connect(nginx.port["shop"]) for _ in range(20)]
        for connection in waiting:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: shop\r\n")
        polling.until("all requests are begun", lambda: connections_that_wait(nginx) >= 20)

        old = nginx.reload()
        polling.until("only new ones export", lambda: (
            None not in holders(nginx) and not holders(nginx) & old), 5)
        assert old <= set(nginx.workers())
        for connection in waiting:
            connection.sendall(b"Connection: close\r\n\r\n")
            client.read_all(connection)
            connection.close()
        nginx.wait_until_gone(old)

        assert nginx.settle()["exported"] == 20


# ---- Waking --------------------------------------------------------------------------------------

def pid_of(reply):
    return int(reply.body)


def ask(connection, target="/"):
    connection.sendall(client.request("GET", target, keep=True))
    return int(client.read_response(connection).split(b"\r\n\r\n", 1)[1])


def connect_to(nginx, pid):
    """A kept connection to this very worker; no span is made on the way, as that would count to the
    worker's next batch."""
    while True:
        connection = client.connect(nginx.port["shop"])
        if ask(connection, "/untraced") == pid:
            return connection
        connection.close()


@pytest.mark.parametrize("lanes", [1, 2])
def test_a_batch_is_sent_at_once_whichever_worker_fills_it(backend, lanes):
    with open_nginx(backend, lanes=lanes, interval="1h", exporter="batch_size 10;") as nginx:
        polling.until("all lanes are held", lambda: None not in holders(nginx))
        for pid in nginx.workers():
            with connect_to(nginx, pid) as connection:
                for _ in range(3):
                    before = backend.span_count()
                    for _ in range(10):
                        assert ask(connection) == pid
                    polling.until("it is sent, an hour too early",
                                  lambda: backend.span_count() >= before + 10, 1)
        nginx.quit()


def assert_each_worker_wakes(nginx, backend, old=frozenset()):
    polling.until("all lanes are held", lambda: None not in holders(nginx) and not holders(nginx) & old)
    for pid in set(nginx.workers()) - old:
        before = backend.span_count()
        with connect_to(nginx, pid) as connection:
            for _ in range(20):
                ask(connection)
            polling.until("a batch is sent", lambda: backend.span_count() >= before + 10, 1)


def test_a_batch_wakes_also_after_a_reload(backend):
    with open_nginx(backend, lanes=1, interval="1h", exporter="batch_size 10;") as nginx:
        for lanes in (1, 2, 1):
            nginx.wait_until_gone(nginx.reload(lanes=lanes))
            assert_each_worker_wakes(nginx, backend)
        nginx.quit()


def eventfds(pid):
    """What tells each apart, in whatever process it is open; the master has none of nginx's own."""
    found = set()
    for entry in os.listdir("/proc/%d/fdinfo" % pid):
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile: a connection's
            info = pathlib.Path("/proc/%d/fdinfo/%s" % (pid, entry)).read_text()
            found.update(re.findall(r"^eventfd-id:\s*(\d+)$", info, re.MULTILINE))
    return found


def test_workers_share_an_eventfd_a_lane_with_those_that_share_their_buffer_only(backend):
    """Of an older buffer's the exporter would take wake-ups away."""
    with open_nginx(backend, lanes=1) as nginx:
        first = eventfds(nginx.master)
        nginx.reload()
        kept = eventfds(nginx.master)
        nginx.wait_until_gone(nginx.reload(lanes=2))
        second = eventfds(nginx.master)

        assert (len(first), kept, len(second), first & second) == (1, first, 2, set())
        for pid in nginx.workers():
            assert second <= eventfds(pid) and not first & eventfds(pid)


def test_a_batch_wakes_also_beside_an_older_buffer_that_is_still_exported(backend):
    """Its worker is kept by a request; it exports on, and must not take wake-ups away."""
    with open_nginx(backend, lanes=1, interval="1h", exporter="batch_size 10;") as nginx:
        polling.until("the lane is held", lambda: None not in holders(nginx))
        waiting = [client.connect(nginx.port["shop"]) for _ in range(20)]
        for connection in waiting:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: shop\r\n")
        polling.until("all requests are begun", lambda: connections_that_wait(nginx) >= 20)
        old = nginx.reload(lanes=2)

        for _ in range(3):
            assert_each_worker_wakes(nginx, backend, old)

        for connection in waiting:
            connection.close()
        nginx.wait_until_gone(old)
        nginx.quit()


def test_a_batch_wakes_also_after_another_binary_took_over(backend):
    with open_nginx(backend, lanes=2, interval="1h", exporter="batch_size 10;",
                    daemon="on") as nginx:
        nginx.quit_master(nginx.upgrade())
        assert_each_worker_wakes(nginx, backend)
        nginx.quit()
